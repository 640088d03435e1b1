import type { StoredEntry } from "@hotset/core";

type Life = Pick<StoredEntry, "staleInMs" | "expiresInMs">;

/**
 * The life that {@link Backend.markStale} leaves: the stale window begins now, unless it has begun, and never ends
 * later than before. `undefined` if there is no such window: the entry is removed.
 */
export function markedStale({ staleInMs, expiresInMs }: Life): Life | undefined {
  // An entry that never ends has none.
  const windowMs = staleInMs === Infinity ? 0 : expiresInMs - staleInMs;
  const life = { staleInMs: Math.min(staleInMs, 0), expiresInMs: Math.min(expiresInMs, windowMs) };
  return life.expiresInMs >= 1 ? life : undefined;
}
