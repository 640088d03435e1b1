/** By local key, until when something is not tried again. Bounded: the oldest is forgotten first. */
export class Pauses {
  readonly #until = new Map<string, number>();

  isActive(localKey: string, now: number): boolean {
    if (this.#until.size === 0) return false;
    const until = this.#until.get(localKey);
    return until !== undefined && now < until;
  }

  begin(localKey: string, until: number): void {
    if (this.#until.size >= MAX_PAUSES) this.#until.delete(this.#until.keys().next().value!);
    this.#until.set(localKey, until);
  }

  end(localKey: string): void {
    if (this.#until.size !== 0) this.#until.delete(localKey);
  }
}

const MAX_PAUSES = 10_000;
