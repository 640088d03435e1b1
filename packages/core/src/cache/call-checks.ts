import { InvalidArgumentError } from "../contracts/errors.ts";
import type { FixedOptions, GetOrSetOptions, ResolvedPolicy } from "../entry/policy.ts";
import { singleUse } from "../entry/single-use.ts";
import { describe, kindOf, type Duration } from "../primitives/duration.ts";
import { isThenable } from "../primitives/thenable.ts";

/** Whether a fresh local copy answers a call, so that no other option of it counts. */
export function isPlainHit(policy: ResolvedPolicy, options: GetOrSetOptions | undefined): boolean {
  // Options that are not an object are refused on the way to a load.
  if (options == null) return policy.refreshAhead === 1;
  return (
    (options.refreshAhead === undefined ? policy.refreshAhead === 1 : false) &&
    options.forceRefresh !== true &&
    options.maxAge === undefined &&
    options.current !== true &&
    options.onServed === undefined
  );
}

interface WithFunctions extends Omit<FixedOptions, "ttl" | "tags"> {
  readonly ttl?: Duration | ((...args: never[]) => unknown) | undefined;
  readonly tags?: readonly string[] | ((...args: never[]) => unknown) | undefined;
  shouldStore?: unknown;
}

/** The options that do not depend on the value. */
export function withoutFunctions(options: WithFunctions): FixedOptions {
  const { ttl, tags, shouldStore: _, ...rest } = options;
  return {
    ...rest,
    ttl: typeof ttl === "function" ? undefined : ttl,
    tags: typeof tags === "function" ? undefined : tags,
  };
}

export function checkValue(value: unknown): void {
  if (value === undefined)
    throw new InvalidArgumentError(
      "value must not be undefined; give null to remember that there is none, or delete the key",
    );
  if (isThenable(value)) throw new InvalidArgumentError("value must not be a promise; await it first");
  const once = singleUse(value);
  if (once !== undefined)
    throw new InvalidArgumentError(
      `value must not be ${once}, which can be read once; read it, and give what it holds`,
    );
}

/** The pairs of `setMany`. @throws {InvalidArgumentError} for anything else, and for a value that cannot be kept. */
export function pairsOf(given: Iterable<readonly [string, unknown]>): readonly (readonly [string, unknown])[] {
  const pairs: readonly unknown[] = typeof given?.[Symbol.iterator] === "function" ? [...given] : [given];
  return pairs.map((pair) => {
    if (!Array.isArray(pair))
      throw new InvalidArgumentError(`entries must be pairs of a key and a value like [["k", 1]], got ${kindOf(pair)}`);
    const [key, value] = pair as [string, unknown];
    checkValue(value);
    return [key, value] as const;
  });
}

/**
 * Options that a mark once had are refused. An index is none: `keys.map(cache.markStale, cache)` passes one.
 *
 * @throws {InvalidArgumentError}
 */
export function checkKeyAlone(surplus: unknown): void {
  if (typeof surplus === "object" && surplus !== null)
    throw new InvalidArgumentError(`markStale takes a key alone, got ${describe(surplus)} after it: a mark has no end`);
}

/** Tags as arguments, or in one list. */
export type GivenTags = readonly string[] | readonly [readonly string[]];
/** @throws {InvalidArgumentError} for a list next to other arguments. */
export function listOf(method: string, given: GivenTags): readonly string[] {
  const [first] = given;
  if (!given.some((each) => Array.isArray(each))) return given as readonly string[];
  if (given.length !== 1)
    throw new InvalidArgumentError(
      `${method} takes tags, or one list of tags, got a list among ${given.length} arguments`,
    );
  return first as readonly string[];
}
