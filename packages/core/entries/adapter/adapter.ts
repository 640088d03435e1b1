import {
  builtin,
  checkCache,
  checkNames,
  ConfigurationError,
  kindOf,
  type Cache,
  type CacheError,
  type CacheErrorCode,
  type Duration,
  type Namespace,
} from "../../src/internal.ts";
import { sha256 } from "./sha-256.ts";

/** Options that most adapters have. */
export interface AdapterOptions {
  /** The namespace of the cache that has the values of the framework. */
  readonly name?: string | undefined;
  /** How long a value lives for which the framework gives no time. */
  readonly ttl?: Duration | undefined;
}

/** How {@link namespaceFor} names and completes the options of an adapter. */
export interface AdapterDefaults extends AdapterOptions {
  /** The function of the adapter, as errors name it: `graphqlCache`. */
  readonly place: string;
  /** The namespace if `name` is left out. */
  readonly name: string;
  /** Names of options that the adapter has in addition to `name` and `ttl`. @default none */
  readonly further?: readonly string[] | undefined;
}

/**
 * The namespace in which an adapter keeps the values of its framework. They are never served stale, since a framework
 * that asks a store for a value expects a current one.
 *
 * @throws {ConfigurationError} for anything but a cache, and for an option that the adapter does not have.
 * @throws {InvalidArgumentError} for a bad `name` or `ttl`.
 */
export function namespaceFor<V>(cache: Cache, options: AdapterOptions, defaults: AdapterDefaults): Namespace<V> {
  const { place, further = [] } = defaults;
  checkCache(cache, place);
  checkNames(options, [...further, "name", "ttl"], { place });
  const { name = defaults.name, ttl = defaults.ttl } = options;
  return cache.namespace<V>(name, { ...(ttl !== undefined && { ttl }), staleWhileRevalidate: 0, staleIfError: 0 });
}

/**
 * Checks the function with which an adapter makes its cache.
 *
 * @param place the function of the adapter, as the error names it.
 * @throws {ConfigurationError} for anything else, such as a cache.
 */
export function checkBuild(build: unknown, place: string): void {
  if (typeof build === "function") return;
  throw new ConfigurationError(
    `${place}: build must be a function that returns a cache, such as () => cache, got ${kindOf(build)}`,
  );
}

/**
 * Whether `error` is one of hotset with one of these codes. Does not ask for the class, since the cache may be of
 * another copy of the package. Never throws.
 */
export const hasCode = (error: unknown, ...codes: readonly CacheErrorCode[]): boolean =>
  codes.includes((error as CacheError | undefined)?.code as CacheErrorCode);

/**
 * A tag for a name that a framework gives: the name itself, or a hash of one that cannot be a tag because it is empty,
 * has more than 512 characters or is not well-formed. The same in every process and runtime. Never throws.
 */
export const tagOf = (name: string): string =>
  name !== "" && name.length <= 512 && name.isWellFormed() ? name : `#${hashOf(name).slice(0, 22)}`;

/** SHA-256 in base64url. A worker or a browser has no synchronous one. */
const hashOf = (text: string): string =>
  builtin("node:crypto")?.hash("sha256", text, "base64url") ??
  btoa(String.fromCharCode(...sha256(new TextEncoder().encode(text))))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

/**
 * A function that warns once about each `what`, for calls of a framework that must not reject. The function never
 * throws.
 *
 * @param adapter the name at the beginning of each warning.
 */
export function warnOnce(adapter: string): (what: string, error: unknown) => void {
  const said = new Set<string>();
  return (what, error) => {
    if (said.has(what)) return;
    said.add(what);
    const reason = error instanceof Error ? error.message : String(error);
    const text = `${adapter}: ${what}: ${reason}`;
    if (typeof process === "undefined") console.warn(text);
    else process.emitWarning(text, "HotsetWarning");
  };
}
