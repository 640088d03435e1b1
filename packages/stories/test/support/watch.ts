import type { Cache, CacheEvents } from "@hotset/core";

/** All events of a cache. */
export const EVENTS = [
  "hit",
  "stale",
  "miss",
  "load",
  "load:error",
  "load:unleased",
  "load:unadmitted",
  "store",
  "fenced",
  "coalesced",
  "invalidate",
  "backend:error",
  "backend:state",
  "decode:error",
  "evict",
  "pending:overflow",
  "recover",
] as const satisfies readonly (keyof CacheEvents)[];

export type Seen<E extends keyof CacheEvents> = { readonly [N in E]: readonly [name: N, event: CacheEvents[N]] }[E];

/** Collects every later event with one of these names, in order. */
export function watch<E extends keyof CacheEvents>(cache: Cache, ...names: readonly E[]): Seen<E>[] {
  const seen: Seen<E>[] = [];
  for (const name of names) cache.on(name, (event) => seen.push([name, event] as unknown as Seen<E>));
  return seen;
}
