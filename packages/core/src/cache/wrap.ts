import type { Awaitable } from "../contracts/awaitable.ts";
import { InvalidArgumentError } from "../contracts/errors.ts";
import type { DeleteResult } from "../contracts/results.ts";
import { judgeBy, judging } from "../engine/load.ts";
import { keyOf, type KeyPart } from "../entry/key-of.ts";
import { checkTags } from "../entry/key.ts";
import type { LoadContext } from "../entry/loader.ts";
import { checkOptionNames } from "../entry/options.ts";
import type { GetOrSetOptions, Policy } from "../entry/policy.ts";
import { kindOf, noFunction, type Duration } from "../primitives/duration.ts";
import { types } from "../primitives/platform.ts";

/** Any function that returns a value or a promise of it. */
export type AnyFunction<R = unknown> = (...args: never[]) => Awaitable<R>;

/** `R` is what `fn` resolves to. */
export interface WrapOptions<F extends AnyFunction, R = Awaited<ReturnType<F>>> extends Omit<Policy, "ttl"> {
  /** First part of every key. Never taken from the function: two functions of one name would share values. */
  readonly name: string;
  /**
   * How long a value is fresh; a function sees the value and the arguments, and `undefined` is the `ttl` of the
   * namespace. As elsewhere, `0` or less stores nothing and removes the existing entry.
   *
   * @default that of the namespace
   */
  readonly ttl?: Duration | ((value: R, ...args: Parameters<F>) => Duration | undefined) | undefined;
  /**
   * Whether a value is stored. One that is not goes to all callers that wait, and both tiers stay as they are: the next
   * call calls `fn` again. A result other than `true` and `false`, and an error,
   * fail the load; `ttl` and `tags` are asked only for what is stored. @default every value
   */
  readonly shouldStore?: ((value: R, ...args: Parameters<F>) => boolean) | undefined;
  /** Tags of each value; a function sees the value and the arguments. */
  readonly tags?: readonly string[] | ((value: R, ...args: Parameters<F>) => readonly string[]) | undefined;
}

/**
 * `key` may be left out only where every argument is plain data; then the key is `keyOf(name, ...args)`, and the
 * function gets copies of the arguments as they were at the call. With `key` it gets the arguments themselves, perhaps
 * after the call was answered: do not change them.
 */
export type WrapKey<F extends AnyFunction> =
  Parameters<F> extends KeyPart<Parameters<F>>
    ? {
        /** Makes the part of the key that differs between calls. @default all arguments */ readonly key?:
          | ((...args: Parameters<F>) => string)
          | undefined;
      }
    : { /** Makes the part of the key that differs between calls. */ readonly key: (...args: Parameters<F>) => string };

/** A function, and the cache of its results. Calls reject as those of `getOrSet` and `delete`. */
export interface Wrapped<A extends unknown[], R> {
  /** The remembered value of these arguments, or what the function gives: as `getOrSet`. */
  (...args: A): Promise<R>;
  /**
   * The cache key of a call, for `peek`, `set`, `inspect` and the like.
   *
   * @throws {InvalidArgumentError} for arguments that `keyOf` cannot take, or where the option `key` returns no text.
   */
  key(...args: A): string;
  /** Deletes the remembered value of a call. */
  invalidate(...args: A): Promise<DeleteResult>;
  /** Calls `fn` even if its value is fresh, and remembers the result. */
  refresh(...args: A): Promise<R>;
}

/** The methods of a namespace that `wrap` calls. */
interface Wrappable {
  getOrSet(key: string, load: (context: LoadContext) => unknown, options?: GetOrSetOptions): Promise<unknown>;
  delete(key: string): Promise<DeleteResult>;
}

/** A function given as an option, called with the result and the arguments of a call. */
type OfResult<T> = (value: unknown, ...args: unknown[]) => T;

interface UntypedWrapOptions extends Omit<Policy, "ttl"> {
  readonly name: string;
  readonly key?: (...args: unknown[]) => string;
  readonly ttl?: Duration | OfResult<Duration | undefined>;
  readonly shouldStore?: OfResult<unknown>;
  readonly tags?: readonly string[] | OfResult<readonly string[]>;
}

/** @throws {InvalidArgumentError} for a missing function or name, and for an unknown option or one of a wrong type. */
export function wrapFunction(
  namespace: Wrappable,
  fn: (this: unknown, ...args: unknown[]) => unknown,
  options: UntypedWrapOptions,
): Wrapped<unknown[], unknown> {
  if (typeof fn !== "function") throw noFunction("wrap: fn", fn);
  checkOptionNames("wrap", options);
  if (typeof options?.name !== "string" || options.name === "" || !options.name.isWellFormed())
    throw new InvalidArgumentError(
      `wrap: name must be a non-empty, well-formed string, unique per wrapped function, got ${kindOf(options?.name)}`,
    );
  const { name, key, tags, ttl, shouldStore, ...policy } = options;
  if (key !== undefined && typeof key !== "function")
    throw noFunction("key", key, " that makes a key of the arguments");
  judgeBy({ shouldStore });
  if (tags !== undefined && typeof tags !== "function") checkTags(tags);
  const fixed: GetOrSetOptions = Object.freeze({
    ...policy,
    ...(typeof ttl !== "function" && { ttl }),
    ...(typeof tags === "object" && { tags: [...tags] }),
  });
  const forced: GetOrSetOptions = Object.freeze({ ...fixed, forceRefresh: true });
  const keyFor = (args: unknown[]): string =>
    key === undefined ? keyOf(name, ...(args as never[])) : keyOf(name, checkPart(key(...args)));
  const loaderFor = (receiver: unknown, args: unknown[]): ((context: LoadContext) => unknown) => {
    // A load may begin late, in the background after the answer too: the caller may have changed its arguments by then.
    const given = key === undefined ? args.map((part) => copied(part)) : args;
    const load = (): unknown => fn.apply(receiver === call ? undefined : receiver, given);
    return judging(load, { ttl, tags, shouldStore }, (value) => [value, ...given]);
  };
  // Async, so that a key that cannot be made rejects, as a call that fails does.
  async function call(this: unknown, ...args: unknown[]): Promise<unknown> {
    return namespace.getOrSet(keyFor(args), loaderFor(this, args), fixed);
  }
  return Object.assign(call, {
    key: (...args: unknown[]) => keyFor(args),
    invalidate: async (...args: unknown[]) => namespace.delete(keyFor(args)),
    async refresh(this: unknown, ...args: unknown[]) {
      return namespace.getOrSet(keyFor(args), loaderFor(this, args), forced);
    },
  });
}

/** A copy of plain data that `keyOf` has accepted: it has no cycle. */
function copied(part: unknown): unknown {
  if (typeof part !== "object" || part === null) return part;
  if (types.isDate(part)) return new Date(part);
  if (Array.isArray(part)) return part.map((element) => copied(element));
  const copy: Record<string, unknown> = { ...part };
  // By now also `__proto__` is an own property, if there was one: no prototype is set by it.
  for (const name of Object.keys(copy)) copy[name] = copied(copy[name]);
  return Object.getPrototypeOf(part) === null ? Object.setPrototypeOf(copy, null) : copy;
}

/** `keyOf` leaves out `undefined`: calls without an id would share one value. */
function checkPart(part: unknown): string {
  if (typeof part === "string") return part;
  throw new InvalidArgumentError(`key must return a string for the arguments of a call, got ${kindOf(part)}`);
}
