/**
 * The answer of a backend, asked for again while pages show it, and at most so often. A backend that hangs blocks no
 * page.
 */
export class Polled<T> {
  readonly #everyMs: number;
  readonly #ask: () => Promise<T>;
  #value: T | undefined;
  #error: string | undefined;
  #askedAt = -Infinity;
  #isAsking = false;

  constructor(everyMs: number, ask: () => Promise<T>) {
    this.#everyMs = everyMs;
    this.#ask = ask;
  }

  /** The last answer, and why there is no newer one. Asks in the background where it is old. */
  current(): { readonly value: T | undefined; readonly error: string | undefined } {
    if (!this.#isAsking && performance.now() - this.#askedAt >= this.#everyMs) void this.refresh();
    return { value: this.#value, error: this.#error };
  }

  async refresh(): Promise<void> {
    this.#isAsking = true;
    this.#askedAt = performance.now();
    try {
      this.#value = await this.#ask();
      this.#error = undefined;
    } catch (error) {
      this.#error = error instanceof Error ? error.message : String(error);
    } finally {
      this.#isAsking = false;
    }
  }
}
