import {
  checkCache,
  checkNames,
  ConfigurationError,
  type Cache,
  type CacheError,
  type CacheErrorCode,
  type Duration,
  type Namespace,
} from "../../src/internal.ts";

/** Options that such adapters share. */
export interface SpaceOptions {
  readonly name?: string | undefined;
  readonly ttl?: Duration | undefined;
}

/**
 * The namespace of an adapter whose framework knows no stale values.
 *
 * @param place the function of the adapter, as errors name it.
 * @param further names of other options.
 * @throws {ConfigurationError} for anything but a cache, and for an unknown option.
 */
export function spaceOf<V>(
  cache: Cache,
  options: SpaceOptions,
  place: string,
  defaults: SpaceOptions & { readonly name: string },
  further: readonly string[] = [],
): Namespace<V> {
  checkCache(cache, place);
  checkNames(options, [...further, "name", "ttl"], { place });
  const { name = defaults.name, ttl = defaults.ttl } = options;
  return cache.namespace<V>(name, { ...(ttl !== undefined && { ttl }), staleWhileRevalidate: 0, staleIfError: 0 });
}

/**
 * Checks the function with which an adapter makes its cache.
 *
 * @throws {ConfigurationError} for anything else, such as a cache.
 */
export function checkBuild(build: unknown, place: string): void {
  if (typeof build === "function") return;
  throw new ConfigurationError(
    `${place}: build must be a function that returns a cache, such as () => cache, got ${build === null ? "null" : typeof build}`,
  );
}

/** By its code: the cache may be of another copy of the package. */
export const hasCode = (error: unknown, ...codes: readonly CacheErrorCode[]): boolean =>
  codes.includes((error as CacheError | undefined)?.code as CacheErrorCode);

/** A tag for each name that a framework gives: a hash of one that is too long, or not well-formed. */
export const tagOf = (name: string): string =>
  name.length <= 512 && name.isWellFormed()
    ? name
    : `#${process.getBuiltinModule("node:crypto").hash("sha256", name, "base64url").slice(0, 22)}`;

/** A function that warns once about each `what`. */
export function warnOnce(adapter: string): (what: string, error: unknown) => void {
  const said = new Set<string>();
  return (what, error) => {
    if (!said.has(what)) process.emitWarning(`${adapter}: ${what}: ${(error as Error).message}`, "HotsetWarning");
    said.add(what);
  };
}
