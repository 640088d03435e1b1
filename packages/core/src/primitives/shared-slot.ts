import type { Semaphore } from "./semaphore.ts";

/**
 * One slot of a semaphore for several users: the first takes it, the last frees it. While it is taken, no user waits
 * for it.
 */
export class SharedSlot {
  readonly #slots: Semaphore;
  readonly #waiting = new Set<() => void>();
  #users = 0;
  #isExempt = false;
  #abandon: (() => void) | undefined;

  constructor(slots: Semaphore) {
    this.#slots = slots;
  }

  /** Takes it if another user has it, or if it is free. */
  tryTake(): boolean {
    if (!this.#isExempt && this.#users === 0 && !this.#slots.tryTake()) return false;
    this.#users += 1;
    // They wait for a place in the line of the semaphore, which is not theirs any more.
    if (this.#waiting.size > 0) {
      this.#abandon?.();
      this.#grant();
    }
    return true;
  }

  /** Resolves with `true` once it is taken, or with `false` if `cancelled` resolves first. */
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
    this.#users -= 1;
    if (this.#users === 0 && !this.#isExempt) this.#slots.free();
  }

  /** Lets all users that wait continue together, without a slot unless one is taken already. */
  exempt(): void {
    if (this.#isExempt || this.#users !== 0) return;
    this.#isExempt = true;
    this.#abandon?.();
    this.#grant();
  }

  #queue(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const abandon = (): void => {
      this.#abandon = undefined;
      resolve();
    };
    this.#abandon = abandon;
    void this.#slots.take(promise).then((isTaken) => {
      if (!isTaken) return;
      if (this.#abandon === abandon) this.#abandon = undefined;
      // Cancelled, exempted, or taken by another way meanwhile.
      if (this.#isExempt || this.#users !== 0 || this.#waiting.size === 0) this.#slots.free();
      else this.#grant();
    });
  }

  #grant(): void {
    const granted = [...this.#waiting];
    this.#waiting.clear();
    this.#users += granted.length;
    for (const grant of granted) grant();
  }
}
