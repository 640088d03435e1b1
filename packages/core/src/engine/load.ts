import type { Clock } from "../contracts/clock.ts";
import type { Entry } from "../entry/entry.ts";
import { LoadTimeoutError } from "../contracts/errors.ts";
import type { LoadReason } from "../contracts/events.ts";
import { isThenable } from "../primitives/once.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import { checkEntryOptions, type EntryOptions } from "../entry/policy.ts";

/**
 * Computes a value. A rejection reaches every waiting caller as it is. `undefined` is handed out
 * and never stored, so the next call loads again: give `null` to remember that there is none.
 */
export type Loader<T> = (ctx: LoadContext) => Awaitable<T | NotModified>;

/** Its members may be destructured. */
export interface LoadContext {
  readonly key: string;
  /** Aborts on `loadTimeout`, on `close`, and when the last waiting caller's signal aborted. */
  readonly signal: AbortSignal;
  readonly reason: LoadReason;
  /** Whether nobody waits: a stale or fresh value was served already. */
  readonly background: boolean;
  /** The value being replaced, if one is still usable. */
  readonly stale?: StaleValue;
  /** For this write only: lifetimes replace the call's, tags add to them. The last call wins. */
  setOptions(this: void, options: EntryOptions): void;
  /** Hands `value` to the callers and stores nothing; both tiers stay as they are. */
  noStore<V>(this: void, value: V): V;
}

export interface StaleValue {
  /** What the cache holds. Unchecked, as with `get`: narrow it, or give the namespace a `schema`. */
  readonly value: unknown;
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
 * Loads what is missing. Items it leaves out are absent from the result and are not stored:
 * give `null` to remember that there is none.
 */
export type BatchLoader<K, T> = (
  missing: readonly K[],
  ctx: BatchLoadContext<K>,
) => Awaitable<Iterable<readonly [K, T]>>;

export interface BatchLoadContext<K> {
  /** As {@link LoadContext.signal}. */
  readonly signal: AbortSignal;
  /** As {@link LoadContext.setOptions}, for one item. */
  setOptions(this: void, item: K, options: EntryOptions): void;
}

/** What a loader gave. */
export interface Loaded {
  readonly value: unknown;
  readonly kind: "value" | "not-modified" | "no-store";
  readonly options: EntryOptions | undefined;
}

export interface LoadRequest {
  readonly key: string;
  readonly load: Loader<unknown>;
  readonly reason: LoadReason;
  readonly background: boolean;
  /** Still usable, or `undefined`. */
  readonly stale: Entry | undefined;
  /** A value as the loader may have it. */
  readonly handOut: (value: unknown) => unknown;
  readonly timeoutMs: number;
}

/**
 * Runs a user's loader once, for at most `timeoutMs`. `outcome` rejects with what the loader threw, as it is, with
 * {@link LoadTimeoutError}, or with the reason given to `abort`; what the loader does after that is ignored.
 */
export class Load {
  readonly outcome: Promise<Loaded>;
  #controller: AbortController | undefined;
  #abortedFor: { readonly reason: unknown } | undefined;
  #reject!: (reason: unknown) => void;
  #cancelTimeout!: () => void;

  constructor(request: LoadRequest, clock: Clock) {
    this.outcome = new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#cancelTimeout = clock.schedule(
        () =>
          this.abort(
            new LoadTimeoutError(
              `the load took longer than loadTimeout, ${request.timeoutMs} ms; its result is dropped`,
              { operation: "load" },
            ),
          ),
        request.timeoutMs,
      );
      this.#run(request).then(
        (loaded) => {
          this.#cancelTimeout();
          resolve(loaded);
        },
        (error: unknown) => {
          this.#cancelTimeout();
          reject(error);
        },
      );
    });
  }

  abort(reason: unknown): void {
    if (this.#abortedFor !== undefined) return;
    this.#abortedFor = { reason };
    this.#cancelTimeout();
    this.#controller?.abort(reason);
    this.#reject(reason);
  }

  async #run(request: LoadRequest): Promise<Loaded> {
    const { stale } = request;
    let options: EntryOptions | undefined;
    let unstored: Set<unknown> | undefined;
    const notModified = Object.freeze({}) as NotModified;
    const self = this;
    const context: LoadContext = {
      key: request.key,
      // Most loaders never look at it, and a signal costs more than all the rest of this.
      get signal() {
        return self.#signal();
      },
      reason: request.reason,
      background: request.background,
      ...(stale !== undefined && {
        stale: {
          value: request.handOut(stale.value),
          ...(stale.etag !== undefined && { etag: stale.etag }),
          ...(stale.lastModified !== undefined && { lastModified: stale.lastModified }),
          notModified: () => notModified,
        },
      }),
      setOptions(given) {
        checkEntryOptions(given);
        options = { ...given };
      },
      noStore(value) {
        const leave = <V>(each: V): V => {
          unstored ??= new Set();
          unstored.add(each);
          return each;
        };
        return isThenable(value) ? (value.then(leave) as typeof value) : leave(value);
      },
    };
    const value: unknown = await request.load(context);
    if (value === notModified && stale !== undefined) return { value: stale.value, kind: "not-modified", options };
    // A loader may call noStore and then give something else: only what went through it is left unstored.
    return { value, kind: value === undefined || unstored?.has(value) === true ? "no-store" : "value", options };
  }

  #signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#abortedFor !== undefined) this.#controller.abort(this.#abortedFor.reason);
    return this.#controller.signal;
  }
}
