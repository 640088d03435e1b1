import type { Clock } from "../contracts/clock.ts";
import { inNoCall } from "./async-context.ts";

/**
 * Lets at most {@link MAX_PER_SECOND} events of one kind and code pass in a second. The last of those left out passes
 * when the second has ended, with the number of the others: none goes uncounted.
 */
export class EventLimit<T> {
  readonly #clock: Clock;
  readonly #deliver: (event: T, omitted: number) => void;
  #passed = 0;
  #secondEndsAt = -Infinity;
  #last: T | undefined;
  #omitted = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, deliver: (event: T, omitted: number) => void) {
    this.#clock = clock;
    this.#deliver = deliver;
  }

  offer(event: T): void {
    const now = this.#clock.now();
    if (now >= this.#secondEndsAt) this.#begin(now);
    if (this.#passed < MAX_PER_SECOND) {
      this.#passed += 1;
      return this.#deliver(event, 0);
    }
    this.#last = event;
    this.#omitted += 1;
    this.#cancel ??= inNoCall(() =>
      this.#clock.schedule(() => this.#begin(this.#clock.now()), this.#secondEndsAt - now),
    );
  }

  /** Lets the last event that was left out pass now. Ends its timer. */
  flush(): void {
    if (this.#last !== undefined) this.#begin(this.#clock.now());
  }

  #begin(now: number): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#secondEndsAt = now + SECOND_MS;
    this.#passed = 0;
    const last = this.#last;
    if (last === undefined) return;
    const omitted = this.#omitted - 1;
    this.#last = undefined;
    this.#omitted = 0;
    this.#passed = 1;
    this.#deliver(last, omitted);
  }
}

export const MAX_PER_SECOND = 10;
const SECOND_MS = 1_000;
