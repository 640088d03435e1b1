import type { Awaitable } from "../contracts/awaitable.ts";
import { InvalidArgumentError, InvalidValueError, LoadTimeoutError } from "../contracts/errors.ts";
import type { LoadReason } from "../contracts/events.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import type { Entry } from "../entry/entry.ts";
import { lifeOf } from "../entry/freshness.ts";
import { checkRoomForTags, checkTags, NO_TAGS, tagNames } from "../entry/key.ts";
import type { LoadContext, Loader, NotModified, StaleValue } from "../entry/loader.ts";
import { checked } from "../entry/options.ts";
import type { LoadOptions } from "../entry/policy.ts";
import { checkBySchema } from "../entry/schema.ts";
import { singleUse } from "../entry/single-use.ts";
import { Deadline, Deadlines } from "../primitives/deadlines.ts";
import { kindOf, type Duration } from "../primitives/duration.ts";
import type { Settlers } from "../primitives/settlers.ts";
import { isThenable } from "../primitives/thenable.ts";
import type { GetOrSetCall, OfValue } from "./call.ts";
import type { Copies, Reporting } from "./context.ts";
import type { Flight } from "./flight.ts";
import { Loading } from "./loading.ts";
import { UsedValues } from "./used-values.ts";

type LoadingContext = Pick<Reporting, "clock"> & Pick<Copies, "local">;

/** The result of a loader. */
export interface Loaded {
  readonly value: unknown;
  readonly kind: "value" | "nothing" | "not-modified" | "no-store" | "not-shared";
  readonly options: LoadOptions | undefined;
  /** Every tag that the loader named, even if a later call of `setOptions` left it out. */
  readonly named: readonly string[];
  /** With `inherit`, the cached values that the loader was served. Their tags are among the options. */
  readonly used: UsedValues | undefined;
}

/**
 * One run of the loader of a flight, for at most `loadTimeout`. It ends with the error of the loader, unchanged, with
 * {@link LoadTimeoutError}, or with the reason given to `abort`; a later result of the loader is ignored.
 */
export class Load extends Deadline {
  declare readonly startedAt: number;
  /** Set by its loader. */
  options: LoadOptions | undefined;
  isSettled = false;
  /** Whether a function names the tags of its value: it is not asked where nothing is stored. */
  isUntold = false;
  onAbort: ((reason: unknown) => void) | undefined;
  readonly #flight: Flight;
  readonly #context: LoadingContext;
  readonly #stale: Entry | undefined;
  readonly #used: UsedValues | undefined;
  #loading: Loading | undefined;
  #ends!: Settlers<Loaded>;
  #controller: AbortController | undefined;
  #abortedFor: { readonly reason: unknown } | undefined;
  #named: readonly string[] = NO_TAGS;
  #withheld: Map<unknown, "no-store" | "not-shared"> | undefined;
  #notModified: NotModified | undefined;

  /** @param stale the entry that is replaced, if it is still usable. */
  constructor(flight: Flight, stale: Entry | undefined, context: LoadingContext, now: number) {
    super();
    const { policy, batch } = flight.call;
    this.startedAt = now;
    this.#flight = flight;
    this.#context = context;
    this.#stale = stale;
    // The cached values that its loader gets, with `inherit`.
    this.#used = policy.inherit ? (batch?.used ?? new UsedValues(context)) : undefined;
  }

  /** Calls the loader. @param ends called after it has returned, unless it aborts itself. */
  begin(ends: Settlers<Loaded>): void {
    this.#ends = ends;
    const { load, policy, batch } = this.#flight.call;
    // The loads of a batch have one time, from when its loader is called: until it ends none gives its lease back.
    if (batch !== undefined) return batch.arrives(this);
    if (policy.loadTimeoutMs !== Infinity) Deadlines.of(this.#context.clock, policy.loadTimeoutMs, "whole").start(this);
    // The steps that follow are not within the load: a timer of the local tier, say, would keep its context.
    this.#within(() => this.#call(load!)).then(
      (value) => this.give(value, judgeOf(load!)),
      (error: unknown) => this.fail(error),
    );
  }

  /** The result of its loader. @param judge what says how it is stored. */
  give(value: unknown, judge?: Judge): void {
    try {
      const loaded = this.#finish(value, judge);
      if (!isThenable(loaded)) return this.#end(loaded);
      loaded.then(
        (each) => this.#end(each),
        (error: unknown) => this.fail(error),
      );
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    if (this.#settle()) this.#ends.reject(error);
  }

  #end(loaded: Loaded): void {
    if (this.#settle()) this.#ends.resolve(loaded);
  }

  /** Runs `body`, and all that it calls, as this load. */
  #within<T>(body: () => T): T {
    this.#loading ??= new Loading(this.#context, this.#flight.key.local, this.#used);
    return this.#loading.run(body);
  }

  #call(load: Loader<unknown>): Promise<unknown> {
    try {
      return Promise.resolve(load(new Context(this, this.#flight, this.#stale && this.#staleValue(this.#stale))));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Aborts the load: `loadTimeout` has passed. */
  override pass(): void {
    this.#flight.runInContext(() => this.abort(overdue(this.#flight.call.policy.loadTimeoutMs)));
  }

  /** Aborts the load if its time has ended by `now`: it replaces a timer that ended with its request. */
  endOverdue(now: number): boolean {
    const isOverdue = now - this.startedAt >= this.call.policy.loadTimeoutMs;
    if (isOverdue) this.pass();
    return isOverdue;
  }

  abort(reason: unknown): void {
    // The value may be a stream that its caller reads from now on.
    if (this.isSettled) return;
    this.#abortedFor = { reason };
    const { onAbort } = this;
    this.#settle();
    this.#controller?.abort(reason);
    onAbort?.(reason);
    this.#ends.reject(reason);
  }

  /** `false` if it was before. */
  #settle(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    this.onAbort = undefined;
    this.among?.end(this);
    this.#loading?.end();
    return true;
  }

  #staleValue(stale: Entry): StaleValue {
    const { ageMs, freshForMs } = lifeOf(stale, this.startedAt);
    const { etag, lastModified } = stale.terms;
    const { local } = this.#context;
    return {
      value: local === undefined ? stale.value : local.values.handOut(stale.value),
      ageMs,
      freshForMs,
      ...(etag !== undefined && { etag }),
      ...(lastModified !== undefined && { lastModified }),
      notModified: () => (this.#notModified ??= Object.freeze({}) as NotModified),
    };
  }

  get call(): GetOrSetCall {
    return this.#flight.call;
  }

  /** Runs `body` in the async context of the flight. */
  runInContext(body: () => void): void {
    this.#flight.runInContext(body);
  }

  setOptions(given: LoadOptions): void {
    checked("load", given);
    const tags = given.tags && tagNames(given.tags);
    this.options = { ...given, ...(tags !== undefined && { tags }) };
    if (tags !== undefined) this.#named = this.#named.length === 0 ? tags : [...this.#named, ...tags];
  }

  withhold<V>(value: V, as: "no-store" | "not-shared"): V {
    const each = <W>(given: W): W => {
      // A value for one caller stays so.
      if (this.#withheld?.get(given) !== "not-shared") (this.#withheld ??= new Map()).set(given, as);
      return given;
    };
    return isThenable(value) ? (value.then(each) as typeof value) : each(value);
  }

  /** The schema first: whatever depends on the value sees what it gave. */
  #finish(value: unknown, judge: Judge | undefined): Awaitable<Loaded> {
    if (this.#stale !== undefined && value !== undefined && value === this.#notModified)
      return this.#loadedOf(this.#stale.value, "not-modified");
    // A loader may call noStore and then return another value: only a value that went through noStore is not stored.
    const withheld = this.#withheld?.get(value);
    const once = withheld === "not-shared" ? undefined : singleUse(value);
    if (once !== undefined)
      throw new InvalidValueError(
        `the loader gave ${once}, which can be read once, and its value is shared; ` +
          "return what it holds, or use ctx.notShared",
        { operation: "load" },
      );
    const { checksLoads, schema } = this.#flight.call.namespace;
    if (checksLoads && schema !== undefined && value !== undefined)
      return this.#within(() => checkedBy(schema, value).then((checked) => this.#loadedOf(checked, withheld, judge)));
    if (judge === undefined) return this.#loadedOf(value, withheld);
    return this.#within(() => this.#loadedOf(value, withheld, judge));
  }

  #loadedOf(value: unknown, as: Loaded["kind"] | undefined, judge?: Judge): Loaded {
    judge?.(value, this);
    const kind = as ?? this.#withheld?.get(value) ?? (value === undefined ? "nothing" : "value");
    const used = this.#used?.isEmpty === false ? this.#used : undefined;
    if (used !== undefined && used.tags.length !== 0)
      this.setOptions({ ...this.options, tags: [...(this.options?.tags ?? []), ...used.tags] });
    const kept = kind === "not-modified" ? this.#stale!.terms.tags : NO_TAGS;
    checkRoomForTags([...this.#flight.tags, ...kept, ...(this.options?.tags ?? NO_TAGS)]);
    return { value, kind, options: this.options, named: this.#named, used };
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#abortedFor !== undefined) this.#controller.abort(this.#abortedFor.reason);
    return this.#controller.signal;
  }
}

/** Says how a value is stored, once the schema has accepted it. */
export type Judge = (checked: unknown, load: JudgedLoad) => void;

/** The part of a load that its judge needs. */
export type JudgedLoad = Pick<Load, "options" | "isUntold" | "setOptions" | "withhold">;

/** The judge of the values of this loader, if it has one. */
export const judgeOf = (load: Loader<unknown>): Judge | undefined => (load as Judged)[JUDGE];

/** A loader of ours may have the judge of its values. */
type Judged = Loader<unknown> & { readonly [JUDGE]?: Judge };
const JUDGE = Symbol("judge");

/** The judge that asks them; `undefined` where none of the three is a function. */
export function judgeBy(
  { ttl, tags, shouldStore }: OfValue,
  argumentsOf: (value: unknown) => readonly unknown[] = (value) => [value],
): Judge | undefined {
  if (typeof ttl !== "function" && typeof tags !== "function" && shouldStore === undefined) return undefined;
  if (shouldStore !== undefined && typeof shouldStore !== "function")
    throw new InvalidArgumentError(`shouldStore must be a function of the value, got ${kindOf(shouldStore)}`);
  return (value, load) => {
    const given = argumentsOf(value);
    load.isUntold = typeof tags === "function";
    // First: `ttl` and `tags` may expect a value that is stored.
    if (shouldStore !== undefined && !isTrue(shouldStore(...given))) return void load.withhold(value, "no-store");
    if (value === undefined) return;
    const { options } = load;
    // The loader is nearer.
    const ownTtl = options?.ttl ?? (typeof ttl === "function" ? (ttl(...given) as Duration | undefined) : undefined);
    const named: unknown = typeof tags === "function" ? tags(...given) : [];
    checkTags(named);
    load.setOptions({ ...options, ttl: ownTtl, tags: [...(options?.tags ?? []), ...named] });
  };
}

/** A loader that does the same, and whose values are judged. */
export function judging(load: Loader<unknown>, ...by: Parameters<typeof judgeBy>): Loader<unknown> {
  const judge = judgeBy(...by);
  return judge === undefined ? load : Object.assign(load.bind(undefined), { [JUDGE]: judge });
}

function isTrue(given: unknown): boolean {
  if (typeof given === "boolean") return given;
  throw new InvalidArgumentError(`shouldStore must return true or false, got ${kindOf(given)}`);
}

/** The argument of a loader. */
class Context implements LoadContext {
  /** Made on first use: most loaders do without, and it costs more than the rest. Own: `{ ...ctx }` has it. */
  static readonly #signal: PropertyDescriptor & ThisType<Context> = {
    enumerable: true,
    get() {
      return this.#load.signal;
    },
  };
  declare readonly key: string;
  declare readonly reason: LoadReason;
  declare readonly background: boolean;
  declare readonly signal: AbortSignal;
  declare readonly stale?: StaleValue;
  readonly #load: Load;
  readonly setOptions = (given: LoadOptions): void => this.#load.setOptions(given);
  readonly noStore = <V>(value: V): V => this.#load.withhold(value, "no-store");
  readonly notShared = <V>(value: V): V => this.#load.withhold(value, "not-shared");

  constructor(load: Load, { key, reason, isAwaited }: Flight, stale: StaleValue | undefined) {
    this.#load = load;
    this.key = key.name;
    this.reason = reason;
    this.background = !isAwaited;
    if (stale !== undefined) this.stale = stale;
    Object.defineProperty(this, "signal", Context.#signal);
  }
}

export const overdue = (timeoutMs: number): LoadTimeoutError =>
  new LoadTimeoutError(`the load took longer than loadTimeout, ${timeoutMs} ms; its result is dropped`, {
    operation: "load",
  });

async function checkedBy(schema: StandardSchema<unknown>, loaded: unknown): Promise<unknown> {
  const { refusal, value } = await checkBySchema(schema, loaded, "the loaded value");
  if (refusal !== undefined) throw new InvalidValueError(`the namespace's schema ${refusal}`, { operation: "load" });
  return value;
}
