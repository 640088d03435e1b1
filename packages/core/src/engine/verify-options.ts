import { ConfigurationError } from "../contracts/errors.ts";
import { toMs, type Duration } from "../primitives/duration.ts";
import { callback, duration, flag, option, optionsOf, wholeNumber, type Option } from "../primitives/options.ts";

/** Where a verified value is. */
export interface VerifiedKey {
  /** Names of the namespaces, from the outermost to the innermost; empty for the root. */
  readonly namespace: readonly string[];
  /** The key as the caller gave it. */
  readonly key: string;
}

/**
 * How fresh hits are compared with the source. The caller has its answer by then: the loader of its call runs once
 * more, in the background, and nothing that it gives is stored. Left out are forced and `current` calls, values that go
 * through `ctx.noStore` and `ctx.notShared`, and calls and namespaces with `verify: false`.
 */
export interface VerifyOptions {
  /** The share of fresh hits, in [0, 1]. With 0 only what asks for it verifies, as `hotset verify` does. @default 0.001 */
  readonly share?: number | undefined;
  /** Loads a minute at most, evenly spaced. A difference is confirmed by further loads, which count. @default 60 */
  readonly maxPerMinute?: number | undefined;
  /** Comparisons at one time; further hits are left out. @default 2 */
  readonly maxConcurrent?: number | undefined;
  /**
   * How long a value that differs must still be served, and differ, before it counts: an invalidation may be on its
   * way. Half of the remaining freshness if that is shorter. @default '2s'
   */
  readonly settle?: Duration | undefined;
  /**
   * How old a value may be that is no longer what the source has: a mismatch up to this age is `drift`. The `ttl` of
   * what nothing invalidates; a second or two, where each change is invalidated. A function may say it for each key;
   * `undefined` says nothing. @default none
   */
  readonly accepts?: Duration | ((of: VerifiedKey) => Duration | undefined) | undefined;
  /** Names of properties that differ with each load, or their paths, such as `"etag"` or `"meta.servedBy"`. @default [] */
  readonly ignore?: readonly string[] | undefined;
  /** Whether two values are equal. @default by the format of the backend, without `ignore` */
  readonly equals?: ((cached: unknown, loaded: unknown, of: VerifiedKey) => boolean) | undefined;
  /**
   * The version of a value, which is then compared in place of the value. A `Date` is the instant of its last change:
   * it says whether the entry was right when it was loaded. `undefined`: the value has none, and is compared itself.
   */
  readonly version?: ((value: unknown, of: VerifiedKey) => string | number | bigint | Date | undefined) | undefined;
  /** Whether it verifies in workers too, where a load belongs to the request that began it. @default false */
  readonly inWorkers?: boolean | undefined;
}

const names = option<readonly string[]>(
  'a list of names such as ["etag"]',
  (given) => Array.isArray(given) && (given as unknown[]).every((name) => typeof name === "string" && name !== ""),
  [],
);

/** {@link VerifyOptions} with their defaults, durations in milliseconds. */
export interface VerifySettings {
  readonly share: number;
  readonly maxPerMinute: number;
  readonly maxConcurrent: number;
  readonly settle: number;
  readonly accepts: VerifyOptions["accepts"];
  readonly ignore: readonly string[];
  readonly equals: VerifyOptions["equals"];
  readonly version: VerifyOptions["version"];
  readonly inWorkers: boolean;
}

/** A test compares the reference page with it. */
export const VERIFY_OPTIONS: { readonly [Name in keyof VerifySettings]: Option<VerifySettings[Name]> } = {
  share: option("a fraction in [0, 1]", (given: number) => given >= 0 && given <= 1, 0.001),
  maxPerMinute: wholeNumber(60, 1, Infinity),
  maxConcurrent: wholeNumber(2, 1, Infinity),
  settle: duration(2_000, 0, 600_000),
  accepts: option<VerifyOptions["accepts"]>(
    'a duration such as "30s", or a function of { namespace, key }',
    (given) => typeof given === "function" || toMs("accepts", given) >= 0,
    undefined,
  ),
  ignore: names,
  equals: callback<NonNullable<VerifyOptions["equals"]>>(),
  version: callback<NonNullable<VerifyOptions["version"]>>(),
  inWorkers: flag(),
};

/** @throws {ConfigurationError} for an option that does not exist, or that is out of its range. */
export const verifySettings = (given: VerifyOptions): VerifySettings =>
  optionsOf("verify", given, VERIFY_OPTIONS, ConfigurationError);
