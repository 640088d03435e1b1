/** A bounded number of slots; further callers wait in the order in which they came. */
export class Semaphore {
  readonly #limit: number;
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  constructor(limit: number) {
    this.#limit = limit;
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
      const granted = (): void => resolve(true);
      this.#waiting.add(granted);
      void cancelled?.then(() => {
        if (this.#waiting.delete(granted)) resolve(false);
      });
    });
  }

  /** Frees a slot, or passes it to the caller that has waited longest. */
  free(): void {
    const next = this.#waiting.values().next();
    if (next.done === true) this.#taken -= 1;
    else {
      this.#waiting.delete(next.value);
      next.value();
    }
  }
}
