/** By local key, until when something is not tried again, and why. Bounded: the oldest is forgotten first. */
export class Pauses<R> {
  readonly #pauses = new Map<string, Pause<R>>();

  find(localKey: string, now: number): Pause<R> | undefined {
    if (this.#pauses.size === 0) return undefined;
    const pause = this.#pauses.get(localKey);
    return pause !== undefined && now < pause.until ? pause : undefined;
  }

  begin(localKey: string, until: number, reason: R): void {
    if (this.#pauses.size >= MAX_PAUSES) this.#pauses.delete(this.#pauses.keys().next().value!);
    this.#pauses.set(localKey, { until, reason });
  }

  end(localKey: string): void {
    if (this.#pauses.size !== 0) this.#pauses.delete(localKey);
  }
}

export interface Pause<R> {
  readonly until: number;
  readonly reason: R;
}

const MAX_PAUSES = 10_000;
