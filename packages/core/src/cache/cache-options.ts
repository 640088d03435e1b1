import type { Clock } from "../contracts/clock.ts";
import { ConfigurationError } from "../contracts/errors.ts";
import { LEVELS, type CacheLogger } from "./reporter.ts";
import { didYouMeanInCache } from "../primitives/did-you-mean.ts";
import { describe } from "../primitives/duration.ts";
import type { KeyGroup } from "../primitives/meters.ts";
import { checkNames } from "../primitives/option-names.ts";

/** Options of `createCache`. */
export interface CacheOptions {
  /**
   * The root of every key, before namespaces: caches with different names are isolated; processes with the same name
   * share entries. Use `''` for keys that other programs own; such a cache has no namespaces.
   */
  readonly name: string;
  /** Part of every key: raise it when values change their shape, and nothing older is read. @default none */
  readonly version?: string | number | undefined;
  /**
   * Loads at one time in this process, background ones included; further callers wait their turn within their
   * timeouts. Nested loads aren't queued, since that could deadlock.
   * @default 1_000
   */
  readonly maxLoads?: number | undefined;
  /**
   * Keeps a serverless invocation alive for background loads. The promise never rejects. Called within the async
   * context of the request.
   */
  readonly waitUntil?: ((work: Promise<void>) => void) | undefined;
  /** Background loads at one time; those beyond it are left to a later call. @default 100 */
  readonly maxBackgroundLoads?: number | undefined;
  /**
   * Calls of `getOrSet` that wait at one time, joined ones included. Further ones get what `staleIfError` covers, or
   * reject with {@link OverloadedError}: a source that hangs would otherwise fill the memory with callers, at some 3 KB
   * each. `getOrSetMany` is accepted or refused as a whole; a call inside a loader is always accepted. @default 100_000
   */
  readonly maxWaiting?: number | undefined;
  /**
   * Receives what goes wrong, and when a backend goes down and comes back: `console`, a pino or a winston logger. One
   * text for each call, without values; at most 10 a second of each kind and code. @default one warning of Node's for
   * each kind of trouble that no listener observes
   */
  readonly logger?: CacheLogger | undefined;
  /**
   * Keeps keys and tags out of events, diagnostics channels, logs, warnings and error messages: `true` shows
   * `"[redacted]"`, a function shows what it returns. @default false
   */
  readonly redactKeys?: boolean | ((key: string) => string) | undefined;
  /**
   * How many decisions to remember, over all keys, for {@link Namespace.explain}. A note is some 200 bytes. @default
   * none
   */
  readonly explain?: number | undefined;
  /**
   * Groups of keys that are counted together, in all namespaces, for metrics and `hotset/inspect`: at most 50, each
   * with a name, and a text that its keys begin with or an expression that matches them. A key is in the first that
   * matches.
   *
   *     keyGroups: [{ name: "product", match: "product:" }, { name: "page", match: /^\/page\// }]
   *
   * @default none
   */
  readonly keyGroups?: readonly KeyGroup[] | undefined;
  /**
   * Freezes plain objects and arrays of values that the local tier shares, so that a change throws where it is made
   * (in strict mode), instead of being seen by every later caller. Instances of classes, collections and bytes stay as
   * they are. Without meaning where the tier freezes or clones. @default `true`, and `false` with
   * `NODE_ENV=production` when the cache is built
   */
  readonly freezeShared?: boolean | undefined;
  /** Where time comes from; a `TestClock` in tests. @default the system's */
  readonly clock?: Clock | undefined;
}

export const CACHE_OPTIONS: ReadonlySet<string> = new Set([
  "name",
  "version",
  "maxLoads",
  "waitUntil",
  "maxBackgroundLoads",
  "maxWaiting",
  "logger",
  "redactKeys",
  "explain",
  "keyGroups",
  "freezeShared",
  "clock",
]);

/** @throws {ConfigurationError} for an option that does not exist, or that is out of its range. */
export function checkCacheOptions(options: CacheOptions): CacheOptions {
  checkNames(options, CACHE_OPTIONS, { place: "createCache", hint: didYouMeanInCache });
  const refuse = (name: keyof CacheOptions, accepted: string): never => {
    throw new ConfigurationError(`${name} must be ${accepted}, got ${describe(options?.[name])}`);
  };
  if (typeof options?.name !== "string" || !options.name.isWellFormed())
    refuse("name", 'a well-formed string, as in createCache({ name: "shop" })');
  const { version, logger, clock, keyGroups } = options;
  if (
    version !== undefined &&
    !(typeof version === "string" && version !== "" && version.isWellFormed()) &&
    !Number.isFinite(version)
  )
    refuse("version", "a number or a non-empty string");
  for (const count of ["maxLoads", "maxBackgroundLoads", "maxWaiting", "explain"] as const) {
    const { [count]: given = 1 } = options;
    if (!(Number.isSafeInteger(given) && given >= 1) && !(given === Infinity && count !== "explain"))
      refuse(count, "a whole number of at least 1");
  }
  if (!["undefined", "function"].includes(typeof options.waitUntil)) refuse("waitUntil", "a function");
  if (logger !== undefined && !LEVELS.every((level) => typeof logger?.[level] === "function"))
    refuse("logger", `an object with the functions ${LEVELS.join(", ")}, as console has`);
  if (!["undefined", "boolean"].includes(typeof options.freezeShared)) refuse("freezeShared", "true or false");
  if (!["undefined", "boolean", "function"].includes(typeof options.redactKeys))
    refuse("redactKeys", "true, false, or a function of a key that returns text");
  if (
    clock !== undefined &&
    (typeof clock?.now !== "function" ||
      typeof clock.schedule !== "function" ||
      !["undefined", "function"].includes(typeof clock.epochMs))
  )
    refuse("clock", "an object with now() and schedule()");
  return Object.freeze({ ...options, ...(keyGroups !== undefined && { keyGroups: checkKeyGroups(keyGroups) }) });
}

/** Copies: a program may change its list, and an expression with `g` or `y` remembers where it was. */
function checkKeyGroups(given: readonly KeyGroup[]): readonly KeyGroup[] {
  if (!Array.isArray(given) || given.length > MAX_GROUPS)
    throw new ConfigurationError(`keyGroups must be a list of at most ${MAX_GROUPS} groups, got ${describe(given)}`);
  const names = new Set<string>();
  return given.map((group: KeyGroup) => {
    checkNames(group ?? null, ["name", "match"], { place: "keyGroups" });
    const { name, match } = group;
    if (typeof name !== "string" || name === "" || names.has(name))
      throw new ConfigurationError(`keyGroups: name must be a non-empty string, once each, got ${describe(name)}`);
    names.add(name);
    if (match instanceof RegExp) return { name, match: new RegExp(match.source, match.flags.replace(/[gy]/g, "")) };
    if (typeof match === "string" && match !== "") return { name, match };
    throw new ConfigurationError(
      `keyGroups: match of ${describe(name)} must be a non-empty text or a RegExp, got ${describe(match)}`,
    );
  });
}

const MAX_GROUPS = 50;
