import type { Awaitable, Clock, Duration } from "@hotset/core";

/** Options of `compose`. */
export interface ComposeOptions {
  /**
   * The longest that a copy in `near` may live, and so the longest that it may hide a change in `far` by another
   * process; where replicas answer for `far`, their lag comes on top. More than 0, and finite.
   */
  readonly nearTtl: Duration;
  /** @default near.label + '+' + far.label */
  readonly label?: string | undefined;
  /** `race`: both are asked at the same time, and the first fresh entry is the answer. @default 'sequential' */
  readonly read?: "sequential" | "race" | undefined;
  /** Whether a fresh entry that was found in `far` is copied to `near`. Written ones always are. @default 'always' */
  readonly refill?: "always" | "never" | undefined;
  /** Called with each failure of `near`, which fails no call. @default one warning, `HOTSET_NEAR_FAILED` */
  readonly onNearError?: ((error: Error) => Awaitable<void>) | undefined;
  /** For tests. @default systemClock */
  readonly clock?: Clock | undefined;
}
