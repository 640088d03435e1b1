import type { Clock } from "@hotset/core";

/** How long no more connections are opened than a server has given. */
const FULL_MS = 10_000;

/** Connections that are lent, or being opened: a server may give fewer of them than the pool wants. */
export class Lent {
  readonly #clock: Clock;
  #count = 0;
  #ended = 0;
  #most = Infinity;
  #fullUntil = -Infinity;
  #onEnd: PromiseWithResolvers<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Waits while as many are lent as the server gives. @returns how many have ended, for {@link limit}. */
  async begin(): Promise<number> {
    while (this.#count >= this.#most && this.#clock.now() < this.#fullUntil)
      await (this.#onEnd ??= Promise.withResolvers<void>()).promise;
    this.#count += 1;
    return this.#ended;
  }

  end(): void {
    this.#count -= 1;
    this.#ended += 1;
    this.#onEnd?.resolve();
    this.#onEnd = undefined;
  }

  /**
   * The server has refused one more. @param ended as of its beginning.
   * @returns whether another one is lent, or has come back meanwhile.
   */
  limit(ended: number): boolean {
    // One of them is that which was refused.
    if (this.#count === 0 && this.#ended === ended + 1) return false;
    this.#most = Math.max(1, this.#count);
    this.#fullUntil = this.#clock.now() + FULL_MS;
    return true;
  }
}
