import type { Awaitable } from "../contracts/awaitable.ts";
import type { LoadReason } from "../contracts/events.ts";
import type { LoadOptions } from "./policy.ts";

/**
 * Computes a value. A rejection reaches every waiting caller unchanged. `undefined` is returned to the callers
 * and never stored, and a value that was there is removed, so the next call loads again: return `null` to remember that
 * the value is absent, and {@link LoadContext.noStore} of `undefined` to leave what is there. A value that
 * can be read once, a generator, a stream or a `Response`, is a failed load ({@link InvalidValueError}) for each of
 * them, with `noStore` too: callers share it. Return what it holds.
 */
export type Loader<T> = (ctx: LoadContext) => Awaitable<T | NotModified>;

/**
 * The argument of a loader. Its members may be destructured, and copied by `{ ...ctx }`. Calls throw
 * `InvalidArgumentError` for bad options.
 */
export interface LoadContext {
  /** The key as the caller gave it. */
  readonly key: string;
  /**
   * Aborts on `loadTimeout`, on `close`, and when the signal of the last waiting caller aborted; not after the load has
   * ended (including the check by a schema): a stream that went through {@link notShared} is read to its end.
   */
  readonly signal: AbortSignal;
  /** Why it loads. */
  readonly reason: LoadReason;
  /** Whether no caller waits: a stale or fresh value was served already. */
  readonly background: boolean;
  /** The value being replaced, if one is still usable. */
  readonly stale?: StaleValue;
  /**
   * Sets options for this load only: lifetimes replace the call's, tags add to them. The last call wins. If the load fails,
   * `staleIfError` and `coversError` say what may be served in place of its error.
   */
  setOptions(this: void, options: LoadOptions): void;
  /**
   * Returns `value` to all callers that wait, and stores nothing; both tiers stay as they are. Not for what belongs to
   * one caller: see {@link notShared}.
   */
  noStore<V>(this: void, value: V): V;
  /**
   * Returns `value` to the caller whose load this is, and to no other; both tiers stay as they are. Each other caller
   * that waits loads for itself, and so does each that comes within the next 10 s, side by side, in every process. For
   * answers that belong to one user, such as one with a `Set-Cookie`.
   */
  notShared<V>(this: void, value: V): V;
}

/** The value that a load replaces. */
export interface StaleValue {
  /** The cached value. Its type is not checked, as with `get`: narrow it, or give the namespace a `schema`. */
  readonly value: unknown;
  /** Time since the value was loaded, as in {@link Served}. */
  readonly ageMs: number;
  /** Remaining freshness, negative when stale, as in {@link Served}. A forced load may replace a fresh value. */
  readonly freshForMs: number;
  /** The `etag` that was stored with the value, by `setOptions` or `set`. */
  readonly etag?: string;
  /** The `lastModified` that was stored with the value, by `setOptions` or `set`. */
  readonly lastModified?: string;
  /** Return it from the loader to keep the value and renew its freshness (HTTP 304). Throws nothing. */
  notModified(this: void): NotModified;
}

declare const NOT_MODIFIED: unique symbol;
/** Only `ctx.stale.notModified()` makes one. */
export interface NotModified {
  readonly [NOT_MODIFIED]: true;
}

/**
 * Loads the missing items. Items it leaves out are absent from the result, and from the cache:
 * give `null` for an item to remember that its value is absent. A result that is not a list of pairs, or has one of another item ({@link InvalidValueError}), is a failed load.
 */
export type BatchLoader<K, T> = (
  missing: readonly K[],
  ctx: BatchLoadContext<K>,
) => Awaitable<Iterable<readonly [K, T]>>;

/** The second argument of a batch loader. */
export interface BatchLoadContext<K> {
  /** Aborts like {@link LoadContext.signal}. */
  readonly signal: AbortSignal;
  /**
   * Sets the options of one item, like {@link LoadContext.setOptions}. An item that this call does not load is ignored.
   *
   * @throws {InvalidArgumentError} for bad options.
   */
  setOptions(this: void, item: K, options: LoadOptions): void;
}
