import type { Silence } from "./pages.ts";

/** A question that waits so long has no answer. */
const LATE_MS = 3_000;

/**
 * The answer of a backend, asked for again while pages show it, and at most so often. A backend that hangs blocks no
 * page.
 */
export class Polled<T> {
  readonly #everyMs: number;
  readonly #ask: () => Promise<T>;
  #last: { readonly value: T; readonly at: number } | undefined;
  #failed: { readonly since: number; readonly error: unknown } | undefined;
  #askedAt = -Infinity;
  #asking: { readonly since: number; readonly end: Promise<void> } | undefined;

  constructor(everyMs: number, ask: () => Promise<T>) {
    this.#everyMs = everyMs;
    this.#ask = ask;
  }

  /** The last answer, and why there is no newer one. Asks in the background where it is old. */
  current(): { readonly value: T | undefined; readonly silence: Silence | null } {
    this.#askWhereOld();
    return this.last;
  }

  /** Likewise, without a question. */
  get last(): { readonly value: T | undefined; readonly silence: Silence | null } {
    return { value: this.#last?.value, silence: this.#silence() };
  }

  /** The last answer, or the first one. @throws its error. */
  async answer(): Promise<T> {
    if (this.#last === undefined) await this.#refresh();
    else this.#askWhereOld();
    if (this.#last === undefined) throw this.#failed?.error;
    return this.#last.value;
  }

  #askWhereOld(): void {
    if (performance.now() - this.#askedAt >= this.#everyMs) void this.#refresh();
  }

  #silence(): Silence | null {
    const asking = this.#asking;
    const isLate = asking !== undefined && Date.now() - asking.since >= LATE_MS;
    if (this.#failed === undefined && !isLate) return null;
    const { since = asking!.since, error = "no answer yet" } = this.#failed ?? {};
    return { since, shownAt: this.#last?.at ?? null, error: error instanceof Error ? error.message : String(error) };
  }

  #refresh(): Promise<void> {
    this.#asking ??= {
      since: Date.now(),
      end: this.#asked().finally(() => {
        this.#asking = undefined;
      }),
    };
    return this.#asking.end;
  }

  async #asked(): Promise<void> {
    this.#askedAt = performance.now();
    const at = Date.now();
    try {
      this.#last = { value: await this.#ask(), at };
      this.#failed = undefined;
    } catch (error) {
      this.#failed = { since: this.#failed?.since ?? at, error };
    }
  }
}
