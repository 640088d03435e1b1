import type { Awaitable } from "../contracts/awaitable.ts";
import type { Semaphore } from "../primitives/semaphore.ts";
import type { Flight } from "./flight.ts";

/** Gives back what a flight took. */
export type Release = () => void;

/** The limits of one cache. */
export interface LoadLimits {
  readonly loads: Semaphore;
  readonly backgroundLoads: Semaphore;
}

/**
 * How many loads run at once. Each flight takes one of `maxLoads` slots, and one of `maxBackgroundLoads` if no caller
 * waits for it; the flights of a batch share theirs, since its loader runs once.
 *
 * A load that a running load waits for takes none: the outer load holds one, so with all slots taken by outer loads
 * nothing would ever end. That is also so if the inner load began, and was queued, before the outer load asked for it.
 */
export class LoadSlots {
  readonly #limits: LoadLimits;

  constructor(limits: LoadLimits) {
    this.#limits = limits;
  }

  /**
   * `undefined` for a flight that ended while it waited, that would be one load too many in the background, or that
   * would have to wait although its callers are gone and got nothing of it.
   */
  take(flight: Flight): Awaitable<Release | undefined> {
    const { batch } = flight.call;
    const background = flight.isAwaited ? undefined : (batch?.backgroundLoads ?? this.#limits.backgroundLoads);
    if (background?.tryTake() === false) return undefined;
    if (flight.isNested) {
      batch?.loads.exempt();
      return () => background?.free();
    }
    const slots = batch?.loads ?? this.#limits.loads;
    if (slots.tryTake()) return releaseOf(slots, background);
    if (flight.isAbandoned) {
      background?.free();
      return undefined;
    }
    return this.#wait(flight, batch?.loads ?? flight.waitFor(new SharedSlot(this.#limits.loads)), background);
  }

  async #wait(flight: Flight, turn: SharedSlot, background: Slots | undefined): Promise<Release | undefined> {
    if (await turn.take(flight.whenSettled())) return releaseOf(turn, background);
    background?.free();
    return undefined;
  }
}

type Slots = Pick<Semaphore, "free">;

const releaseOf =
  (slots: Slots, background: Slots | undefined): Release =>
  () => {
    slots.free();
    background?.free();
  };

/** One slot of a semaphore for several holders: the first takes it, the last frees it. */
export class SharedSlot {
  readonly #slots: Semaphore;
  readonly #waiting = new Set<() => void>();
  #holders = 0;
  #isExempt = false;
  #abandon: (() => void) | undefined;

  constructor(slots: Semaphore) {
    this.#slots = slots;
  }

  /** Takes it if it is held already, or free. */
  tryTake(): boolean {
    if (!this.#isExempt && this.#holders === 0 && !this.#slots.tryTake()) return false;
    this.#holders += 1;
    return true;
  }

  /** Resolves with `true` once it is held, or with `false` if `cancelled` resolves first. */
  take(cancelled: Promise<unknown>): Promise<boolean> {
    if (this.tryTake()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const granted = (): void => resolve(true);
      this.#waiting.add(granted);
      void cancelled.then(() => {
        if (!this.#waiting.delete(granted)) return;
        resolve(false);
        if (this.#waiting.size === 0) this.#abandon?.();
      });
      if (this.#abandon === undefined) this.#queue();
    });
  }

  free(): void {
    this.#holders -= 1;
    if (this.#holders === 0 && !this.#isExempt) this.#slots.free();
  }

  /** It needs no slot, unless it is held already: all that wait go on at once. */
  exempt(): void {
    if (this.#isExempt || this.#holders !== 0) return;
    this.#isExempt = true;
    this.#abandon?.();
    this.#grant();
  }

  #queue(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#abandon = () => {
      this.#abandon = undefined;
      resolve();
    };
    void this.#slots.take(promise).then((isTaken) => {
      if (!isTaken) return;
      this.#abandon = undefined;
      // Cancelled, exempted, or taken by another way meanwhile.
      if (this.#isExempt || this.#holders !== 0 || this.#waiting.size === 0) this.#slots.free();
      else this.#grant();
    });
  }

  #grant(): void {
    const granted = [...this.#waiting];
    this.#waiting.clear();
    this.#holders += granted.length;
    for (const grant of granted) grant();
  }
}
