import type { Awaitable } from "../contracts/awaitable.ts";
import type { Clock } from "../contracts/clock.ts";
import { InvalidValueError, LoadTimeoutError } from "../contracts/errors.ts";
import type { LoadReason } from "../contracts/events.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import type { Entry } from "../entry/entry.ts";
import { lifeOf } from "../entry/freshness.ts";
import { NO_TAGS } from "../entry/key.ts";
import { checkEntryOptions, type LoadOptions, ownOptions } from "../entry/policy.ts";
import { checkBySchema } from "../entry/schema.ts";
import { singleUse } from "../entry/single-use.ts";
import { isThenable } from "../primitives/thenable.ts";
import type { UsedValues } from "./used-values.ts";

/**
 * Computes a value. A rejection reaches every waiting caller unchanged. `undefined` is returned to the callers
 * and never stored, so the next call loads again: return `null` to remember that the value is absent. A value that
 * can be read once, a generator, a stream or a `Response`, is a failed load ({@link InvalidValueError}) for each of
 * them, with `noStore` too: callers share it. Return what it holds.
 */
export type Loader<T> = (ctx: LoadContext) => Awaitable<T | NotModified>;

/** The argument of a loader. Its members may be destructured. */
export interface LoadContext {
  readonly key: string;
  /**
   * Aborts on `loadTimeout`, on `close`, and when the signal of the last waiting caller aborted; not after the load has
   * ended (including the check by a schema): a stream that went through {@link notShared} is read to its end.
   */
  readonly signal: AbortSignal;
  readonly reason: LoadReason;
  /** Whether no caller waits: a stale or fresh value was served already. */
  readonly background: boolean;
  /** The value being replaced, if one is still usable. */
  readonly stale?: StaleValue;
  /**
   * For this load only: lifetimes replace the call's, tags add to them. The last call wins. If the load fails,
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
  /** As in {@link Served}: time since it was loaded. */
  readonly ageMs: number;
  /** As in {@link Served}: remaining freshness, negative when stale. A forced load may replace a fresh value. */
  readonly freshForMs: number;
  readonly etag?: string;
  readonly lastModified?: string;
  /** Return it from the loader to keep the value and renew its freshness (HTTP 304). */
  notModified(this: void): NotModified;
}

declare const NOT_MODIFIED: unique symbol;
/** Only `ctx.stale.notModified()` makes one. */
export interface NotModified {
  readonly [NOT_MODIFIED]: true;
}

/**
 * Loads the missing items. Items it leaves out are absent from the result and are not stored:
 * return `null` to remember that the value is absent, or call with `absentAsNull`. A result that is not a list of pairs
 * is a failed load.
 */
export type BatchLoader<K, T> = (
  missing: readonly K[],
  ctx: BatchLoadContext<K>,
) => Awaitable<Iterable<readonly [K, T]>>;

/** The second argument of a batch loader. */
export interface BatchLoadContext<K> {
  /** As {@link LoadContext.signal}. */
  readonly signal: AbortSignal;
  /** As {@link LoadContext.setOptions}, for one item. */
  setOptions(this: void, item: K, options: LoadOptions): void;
}

/** The result of a loader. */
export interface Loaded {
  readonly value: unknown;
  readonly kind: "value" | "not-modified" | "no-store" | "not-shared";
  readonly options: LoadOptions | undefined;
  /** Every tag that the loader named, even if a later call of `setOptions` left it out. */
  readonly named: readonly string[];
  /** With `inherit`: the cached values that it got. Their tags are among the options. */
  readonly used: UsedValues | undefined;
}

/** One load to run. */
export interface LoadRequest {
  readonly key: string;
  readonly load: Loader<unknown>;
  readonly reason: LoadReason;
  readonly background: boolean;
  /** The entry that is replaced, if it is still usable. */
  readonly stale: Entry | undefined;
  /** The value as the loader gets it: in `cloned` mode, its own copy. */
  readonly handOut: (value: unknown) => unknown;
  readonly timeoutMs: number;
  /** A check that the value must pass, if any. */
  readonly schema: StandardSchema<unknown> | undefined;
  /** With `inherit`: collects the cached values that the loader gets. */
  readonly used: UsedValues | undefined;
}

/**
 * Runs a user's loader once, for at most `timeoutMs`. `outcome` rejects with the error of the loader, unchanged, with
 * {@link LoadTimeoutError}, or with the reason given to `abort`; a later result of the loader is ignored.
 */
export class Load {
  readonly outcome: Promise<Loaded>;
  readonly #request: LoadRequest;
  #controller: AbortController | undefined;
  #abortedFor: { readonly reason: unknown } | undefined;
  #isSettled = false;
  #options: LoadOptions | undefined;
  #named: readonly string[] = NO_TAGS;
  #marked: Map<unknown, "no-store" | "not-shared"> | undefined;
  #notModified: NotModified | undefined;
  #reject!: (reason: unknown) => void;
  #cancelTimeout!: () => void;

  constructor(request: LoadRequest, clock: Clock) {
    const { timeoutMs } = request;
    this.#request = request;
    this.outcome = new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#cancelTimeout = clock.schedule(() => this.abort(overdue(timeoutMs)), timeoutMs);
      const ended = (loaded: Loaded): void => {
        this.#settled();
        resolve(loaded);
      };
      const failed = (error: unknown): void => {
        this.#settled();
        reject(error);
      };
      const given = (value: unknown): void => {
        try {
          const loaded = this.#loadedOf(value);
          if (isThenable(loaded)) loaded.then(ended, failed);
          else ended(loaded);
        } catch (error) {
          failed(error);
        }
      };
      this.#call(clock.now()).then(given, failed);
    });
  }

  /** Set by its loader, with `setOptions`. */
  get options(): LoadOptions | undefined {
    return this.#options;
  }

  abort(reason: unknown): void {
    // The value may be a stream that its caller reads from now on.
    if (this.#abortedFor !== undefined || this.#isSettled) return;
    this.#abortedFor = { reason };
    this.#cancelTimeout();
    this.#controller?.abort(reason);
    this.#reject(reason);
  }

  #settled(): void {
    this.#isSettled = true;
    this.#cancelTimeout();
  }

  #call(now: number): Promise<unknown> {
    try {
      return Promise.resolve(this.#request.load(this.#context(now)));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #context(now: number): LoadContext {
    const { key, reason, background, stale } = this.#request;
    const self = this;
    return {
      key,
      // Made on first use: most loaders never use it, and it costs more than the rest of this object.
      get signal() {
        return self.#signal();
      },
      reason,
      background,
      ...(stale !== undefined && { stale: this.#staleValue(stale, now) }),
      setOptions: (given) => this.#setOptions(given),
      noStore: (value) => this.#mark(value, "no-store"),
      notShared: (value) => this.#mark(value, "not-shared"),
    };
  }

  #staleValue(stale: Entry, now: number): StaleValue {
    const { ageMs, freshForMs } = lifeOf(stale, now);
    const { etag, lastModified } = stale.terms;
    return {
      value: this.#request.handOut(stale.value),
      ageMs,
      freshForMs,
      ...(etag !== undefined && { etag }),
      ...(lastModified !== undefined && { lastModified }),
      notModified: () => (this.#notModified ??= Object.freeze({}) as NotModified),
    };
  }

  #setOptions(given: LoadOptions): void {
    checkEntryOptions(given, "load");
    const { tags } = (this.#options = ownOptions(given));
    if (tags !== undefined) this.#named = this.#named.length === 0 ? tags : [...this.#named, ...tags];
  }

  #mark<V>(value: V, as: "no-store" | "not-shared"): V {
    const each = <W>(given: W): W => {
      // A value for one caller stays so.
      if (this.#marked?.get(given) !== "not-shared") (this.#marked ??= new Map()).set(given, as);
      return given;
    };
    return isThenable(value) ? (value.then(each) as typeof value) : each(value);
  }

  #loadedOf(value: unknown): Awaitable<Loaded> {
    const { stale, schema, used: collected } = this.#request;
    const used = collected?.isEmpty === false ? collected : undefined;
    if (used !== undefined && used.tags.length !== 0)
      this.#setOptions({ ...this.#options, tags: [...(this.#options?.tags ?? []), ...used.tags] });
    const options = this.#options;
    const named = this.#named;
    if (stale !== undefined && value !== undefined && value === this.#notModified)
      return { value: stale.value, kind: "not-modified", options, named, used };
    // A loader may call noStore and then return another value: only a value that went through noStore is not stored.
    const kind = this.#marked?.get(value) ?? (value === undefined ? "no-store" : "value");
    const once = kind === "not-shared" ? undefined : singleUse(value);
    if (once !== undefined)
      throw new InvalidValueError(
        `the loader gave ${once}, which can be read once, and its value is shared; ` +
          "return what it holds, or use ctx.notShared",
        { operation: "load" },
      );
    if (schema === undefined || value === undefined) return { value, kind, options, named, used };
    return checkedBy(schema, value).then((checked) => ({ value: checked, kind, options, named, used }));
  }

  #signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#abortedFor !== undefined) this.#controller.abort(this.#abortedFor.reason);
    return this.#controller.signal;
  }
}

const overdue = (timeoutMs: number): LoadTimeoutError =>
  new LoadTimeoutError(`the load took longer than loadTimeout, ${timeoutMs} ms; its result is dropped`, {
    operation: "load",
  });

async function checkedBy(schema: StandardSchema<unknown>, loaded: unknown): Promise<unknown> {
  const { refusal, value } = await checkBySchema(schema, loaded, "the loaded value");
  if (refusal !== undefined) throw new InvalidValueError(`the namespace's schema ${refusal}`, { operation: "load" });
  return value;
}
