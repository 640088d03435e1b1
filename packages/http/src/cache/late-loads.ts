import { OverloadedError } from "@hotset/core";

/**
 * How many loads of each key are late: their handlers have not answered within `loadTimeout`, and run on for the
 * callers that wait. Nothing is kept for other keys.
 */
export class LateLoads {
  readonly #counts = new Map<string, number>();

  /** @throws {OverloadedError} when no further load of this key may begin. */
  admit(key: string): void {
    if ((this.#counts.get(key) ?? 0) < MOST_LATE) return;
    throw new OverloadedError(
      `${MOST_LATE} runs of this URL have not answered within loadTimeout; is its handler stuck?`,
      {
        operation: "load",
      },
    );
  }

  begin(key: string): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  end(key: string): void {
    const left = this.#counts.get(key)! - 1;
    if (left === 0) this.#counts.delete(key);
    else this.#counts.set(key, left);
  }
}

const MOST_LATE = 10;
