import { inThisContext } from "./async-context.ts";
import { SHARES_PROMISES } from "./platform.ts";

/** A bounded number of slots; further callers wait in the order in which they came. */
export class Semaphore {
  readonly #limit: number;
  #taken = 0;
  /** Waiters by ticket. A set would look for its first member among all that were removed before. */
  readonly #waiting = new Map<number, () => void>();
  #tickets = 0;
  /** The ticket whose turn is next; its caller may have left. */
  #next = 0;

  constructor(limit: number) {
    this.#limit = SHARES_PROMISES ? limit : Infinity;
  }

  /** How many slots there are; `Infinity` where nothing waits for one. */
  get limit(): number {
    return this.#limit;
  }

  get isFree(): boolean {
    return this.#taken < this.#limit;
  }

  /** Takes a slot if one is free. */
  tryTake(): boolean {
    if (this.#taken >= this.#limit) return false;
    this.#taken += 1;
    return true;
  }

  /** Resolves with `true` once a slot is taken, or with `false` if `cancelled` resolves first. */
  async take(cancelled?: Promise<unknown>): Promise<boolean> {
    if (this.tryTake()) return true;
    return new Promise((resolve) => {
      const ticket = this.#tickets++;
      this.#waiting.set(ticket, () => resolve(true));
      void cancelled?.then(() => {
        if (this.#waiting.delete(ticket)) resolve(false);
      });
    });
  }

  /** Calls `work` with a slot: now if one is free, else in its turn. The slot is freed by {@link free}. */
  enter(work: () => void): void {
    if (this.tryTake()) work();
    else this.#waiting.set(this.#tickets++, inThisContext(work));
  }

  /** Frees a slot, or passes it to the caller that has waited longest. */
  free(): void {
    while (this.#next < this.#tickets) {
      const ticket = this.#next++;
      const grant = this.#waiting.get(ticket);
      if (grant === undefined) continue;
      this.#waiting.delete(ticket);
      return grant();
    }
    this.#taken -= 1;
  }
}
