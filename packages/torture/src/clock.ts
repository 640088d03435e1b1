import type { Instant } from "./history.ts";

/**
 * Instants since `origin`, which one process took and gave to the others. `process.hrtime` is CLOCK_MONOTONIC on Linux,
 * the same in all processes of a machine, and it continues while one is stopped.
 *
 * @see https://docs.libuv.org/en/v1.x/misc.html#c.uv_hrtime
 */
export function clockSince(origin: bigint): () => Instant {
  return () => Number(process.hrtime.bigint() - origin) / 1e6;
}
