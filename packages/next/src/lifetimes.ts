/** No value is kept for longer: those of an old build end, too. */
const LONGEST_S = 30 * 86_400;

export interface Lifetimes {
  readonly ttl: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
}

/**
 * Seconds of Next, where `false`, `undefined` and numbers of years are "never", as lifetimes in milliseconds. A value
 * that is marked as stale at the end of its `ttl` needs a window behind it, so the window is longer than `expire`
 * says: a read compares the age.
 */
export function lifetimes(revalidate: number | false | undefined, expire: number | undefined): Lifetimes {
  const endS = Math.min(expire ?? LONGEST_S, LONGEST_S);
  const freshS = Math.min(revalidate === false ? LONGEST_S : (revalidate ?? LONGEST_S), endS);
  return { ttl: Math.max(freshS * 1_000, 1), staleWhileRevalidate: 0, staleIfError: endS * 1_000 };
}
