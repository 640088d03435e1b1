import type { Clock } from "../contracts/clock.ts";
import { ConfigurationError } from "../contracts/errors.ts";
import { verifySettings, type VerifyOptions } from "../engine/verify-options.ts";
import { newKeysBudget, type NewKeysOptions } from "../entry/new-keys.ts";
import { didYouMeanInCache } from "../primitives/did-you-mean.ts";
import { describe } from "../primitives/duration.ts";
import type { KeyGroup } from "../primitives/meters.ts";
import {
  anything,
  callback,
  checkNames,
  CLOCK,
  flag,
  having,
  option,
  readOption,
  readOptions,
  wholeNumber,
  type Option,
} from "../primitives/options.ts";
import { LEVELS, type CacheLogger } from "./reporter.ts";

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
   * with a name, and a text that its keys begin with or an expression that matches them. A key belongs to the
   * first group that matches it.
   *
   *     keyGroups: [{ name: "product", match: "product:" }, { name: "page", match: /^\/page\// }]
   *
   * @default none
   */
  readonly keyGroups?: readonly KeyGroup[] | undefined;
  /**
   * Bounds how many new keys each namespace stores, so that a flood of keys that are asked for once pushes nothing out.
   * Namespaces inherit it, each with its own budget. @default no bound
   */
  readonly newKeys?: NewKeysOptions | undefined;
  /**
   * Freezes plain objects and arrays of values that the local tier shares, so that a change throws where it is made
   * (in strict mode), instead of being seen by every later caller. Instances of classes, collections and bytes stay as
   * they are. Without meaning where the tier freezes or clones. @default `true`, and `false` with
   * `NODE_ENV=production` when the cache is built
   */
  readonly freezeShared?: boolean | undefined;
  /**
   * Compares a small share of fresh hits with their source, in the background, and reports what differs: an invalidation
   * that was forgotten, two callers with one key, a process with another source. `true` takes the defaults. Off in
   * workers, unless it says `inWorkers`. @default false
   */
  readonly verify?: boolean | VerifyOptions | undefined;
  /** Where time comes from; a `TestClock` in tests. @default the system's */
  readonly clock?: Clock | undefined;
}

const isText = (given: unknown): boolean => typeof given === "string" && given.isWellFormed();
const isFunction = (given: unknown): boolean => typeof given === "function";
/** A test compares the reference page with it. */
export const CACHE_OPTIONS: {
  readonly [Name in keyof CacheOptions]-?: Option<Name extends `max${string}` ? number : unknown>;
} = {
  name: option('a well-formed string, as in createCache({ name: "shop" })', isText, undefined),
  version: option(
    "a number or a non-empty string",
    (given) => (isText(given) && given !== "") || Number.isFinite(given),
    undefined,
  ),
  maxLoads: wholeNumber(1_000, 1, Infinity),
  maxBackgroundLoads: wholeNumber(100, 1, Infinity),
  maxWaiting: wholeNumber(100_000, 1, Infinity),
  freezeShared: flag(true),
  waitUntil: callback(),
  logger: having<CacheLogger>(`an object with the functions ${LEVELS.join(", ")}, as console has`, ...LEVELS),
  redactKeys: option(
    "true, false, or a function of a key that returns text",
    (given) => typeof given === "boolean" || isFunction(given),
    false,
  ),
  explain: wholeNumber(undefined),
  keyGroups: anything,
  newKeys: anything,
  verify: anything,
  clock: CLOCK,
};

/** @throws {ConfigurationError} for an option that does not exist, or that is out of its range. */
export function checkCacheOptions(options: CacheOptions): CacheOptions {
  checkNames(options, CACHE_OPTIONS, { place: "createCache", hint: didYouMeanInCache });
  readOption(options?.name, "name", CACHE_OPTIONS.name, ConfigurationError);
  readOptions(options, CACHE_OPTIONS, "", ConfigurationError);
  const { keyGroups, newKeys, verify } = options;
  if (newKeys !== undefined) checkNewKeys(newKeys);
  if (verify !== undefined && typeof verify !== "boolean") verifySettings(verify);
  return Object.freeze({ ...options, ...(keyGroups !== undefined && { keyGroups: checkKeyGroups(keyGroups) }) });
}

function checkNewKeys(given: NewKeysOptions): void {
  try {
    newKeysBudget(given);
  } catch (cause) {
    throw new ConfigurationError(`createCache: ${(cause as Error).message}`, { cause });
  }
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
