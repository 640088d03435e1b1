import type { Awaitable, Clock, Duration } from "@hotset/core";

/** Options of `gutter`. */
export interface GutterOptions {
  /** How long an entry lives in the gutter, and so may hide a change by another process. @default '10s' */
  readonly ttl?: Duration | undefined;
  /** @default main.label + '+' + small.label */
  readonly label?: string | undefined;
  /** Called with each failure of the gutter. @default one warning, `HOTSET_GUTTER_FAILED` */
  readonly onSmallError?: ((error: Error) => Awaitable<void>) | undefined;
  /** For tests. @default systemClock */
  readonly clock?: Clock | undefined;
}
