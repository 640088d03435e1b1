/** A bounded number of things at one time; further ones wait in the order they came. */
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

  /** Resolves with a slot taken, or with `false` once `cancelled` resolved first. */
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

  /** Hands the slot to whoever waits longest. */
  free(): void {
    const next = this.#waiting.values().next();
    if (next.done === true) this.#taken -= 1;
    else {
      this.#waiting.delete(next.value);
      next.value();
    }
  }
}
