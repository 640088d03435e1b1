import type { AsyncLocalStorage } from "node:async_hooks";
import { builtin, NamespaceView, systemClock, within } from "../../src/internal.ts";
import type { Clock, Fence, Namespace, SetOptions, WriteResult } from "../../src/internal.ts";

/** A miss waits no longer for its fence, which then holds from when it came. */
const PATIENCE_MS = 200;
const MOST_KEYS = 10_000;
/** Fences of one key, with changes between them; and computations that one async context remembers. */
const MOST_OF_KEY = 4;
const MOST_HERE = 32;

/** The methods of a fence, which may be of another copy of the package. */
interface Standing {
  /** Whether the fence stands, and this process knows of no change since it was taken. */
  readonly isUnchanged: boolean;
  /** Whether the fence is older than stores keep one. */
  readonly hasExpired: boolean;
  /** More `set`s may follow the next one. */
  keep(): void;
  /** None follows. */
  drop(): void;
}

/** Callers that missed a key with no change between them that this process knows of. */
interface Missed<Facts> {
  /** Given by the first of them. */
  readonly facts: Facts | undefined;
  /** The number of them whose `set` may still come. */
  callers: number;
  fence?: (Fence & Standing) | undefined;
  /** Until the fence is there, and while a `set` under it is sent. */
  busy?: Promise<void> | undefined;
  last?: { readonly value: {} | null; readonly options: SetOptions | undefined } | undefined;
  /** The result of `set`s that wait: the last one is sent, since it would replace the others immediately. */
  sending?: Promise<WriteResult> | undefined;
  /** A `set` was refused: the next miss ends it. */
  isRefused: boolean;
}

/** One computation of a value, from the miss of its caller on. */
export interface Computation<Facts = undefined> {
  /** The key that was read. */
  readonly key: string;
  /** Given to {@link OutsideValues.enter}. */
  readonly owner: object | undefined;
  /** Given to {@link OutsideValues.begin} by this caller, or by the oldest that this one may be. */
  readonly facts: Facts | undefined;
}

interface Making<Facts> extends Computation<Facts> {
  /** Whether its miss is known for certain. */
  isKnown: boolean;
  /** From its miss until its value has come, or has failed. */
  missed: Missed<Facts> | undefined;
  facts: Facts | undefined;
  isDone: boolean;
}

type Here = readonly { readonly of: object; readonly making: Making<unknown> }[];
const Storage = builtin("node:async_hooks")?.AsyncLocalStorage;
const context: AsyncLocalStorage<Here> | undefined = Storage && new Storage();

/**
 * Values that are made outside a loader: a framework calls `get`, computes, and then `set`. A value that was computed
 * before a change is not stored after it. Which miss a `set` belongs to is known by what {@link enter} gave, or by the
 * async context of the miss. Otherwise it counts as of the oldest miss of its key whose `set` may still come; once one
 * is refused, the next miss ends those before it. Calls reject as those of the namespace do.
 *
 * One for each namespace and process: two do not know each other's misses.
 */
export class OutsideValues<Facts = undefined> {
  readonly #namespace: Pick<Namespace, "delete" | "fence" | "get" | "getMany" | "set">;
  readonly #clock: Clock;
  /** By key, the oldest first. */
  readonly #missed = new Map<string, readonly Missed<Facts>[]>();
  /** Under way. */
  readonly #sets = new Map<string, Promise<WriteResult>>();

  constructor(namespace: Pick<Namespace, "delete" | "fence" | "get" | "getMany" | "set">) {
    this.#namespace = namespace;
    this.#clock = NamespaceView.clockOf(namespace) ?? systemClock;
  }

  /**
   * Gets a key like `get` of the namespace; a miss is a computation from then on. Frameworks do not wait for `set`, so
   * the value of one that is under way is found, too.
   */
  get<V>(key: string): Promise<V | undefined> {
    // A copy costs only itself.
    const copy = this.#sets.has(key) ? undefined : NamespaceView.freshCopy(this.#namespace, key);
    if (copy === undefined) return this.#find(this.#enter(key));
    const here = this.#missed.size > 0 ? this.#here(key) : undefined;
    // The next `set` may be of what was missed, or write through what was found.
    if (here !== undefined) here.isKnown = false;
    return Promise.resolve(copy as V);
  }

  /** Gets many keys like {@link get}, in one read of the namespace. */
  async getMany<V>(keys: readonly string[]): Promise<Map<string, V>> {
    const makings = [...new Set(keys)].map((key) => this.#enter(key));
    await Promise.all(keys.map((key) => this.#settled(key)));
    const found = await this.#namespace.getMany<V>(keys);
    for (const making of makings) if (found.has(making.key)) this.end(making);
    await Promise.all(makings.filter(({ isDone }) => !isDone).map((making) => this.begin(making)));
    return found;
  }

  /**
   * Begins a read of a key, in place of {@link get}, for an adapter that reads in another way. Call it in the turn in
   * which the framework calls, before anything is awaited: what the framework does from then on belongs to this read.
   * Then call {@link begin} or {@link end}. Never throws.
   *
   * @param owner the object that the framework has for a request, if it has one.
   */
  enter(key: string, owner?: object): Computation<Facts> {
    return this.#enter(key, owner);
  }

  /**
   * After a read that found nothing, before its caller computes. Resolves once changes count against the computation,
   * after 200 ms at the latest. Never rejects.
   *
   * @param facts whatever the adapter wants to know again when the value comes.
   */
  async begin(computation: Computation<Facts>, facts?: Facts): Promise<void> {
    const making = computation as Making<Facts>;
    const { key } = making;
    const all = this.#missed.get(key) ?? [];
    const open = all.filter(({ isRefused, fence }) => !isRefused && fence?.hasExpired !== true);
    let missed = open.at(-1);
    // By one from before a change the value would be refused.
    if (missed === undefined || missed.fence?.isUnchanged === false) {
      missed = { facts, callers: 0, isRefused: false };
      missed.busy = this.#take(key, missed);
      open.splice(MOST_OF_KEY - 1);
      open.push(missed);
      this.#missed.delete(key);
      const [oldest = key] = this.#missed.size < MOST_KEYS ? [] : this.#missed.keys();
      for (const { fence } of this.#missed.get(oldest) ?? []) fence?.drop();
      this.#missed.delete(oldest);
    }
    for (const each of all) if (!open.includes(each)) each.fence?.drop();
    this.#missed.set(key, open);
    missed.callers += 1;
    making.missed = missed;
    making.facts = facts;
    if (missed.busy !== undefined) await within(this.#clock, PATIENCE_MS, missed.busy, ignore);
  }

  /**
   * The computation whose value comes now: that of the async context, else `known`, else the oldest that may still come.
   * Never throws.
   */
  of(key: string, known?: Computation<Facts>): Computation<Facts> {
    const making = this.#made(key, known as Making<Facts> | undefined);
    if (making?.missed !== undefined && making.missed.fence?.hasExpired !== true) return making;
    const missed = this.#missed.get(key)?.find(({ fence }) => fence?.hasExpired !== true);
    const oldest: Making<Facts> = {
      key,
      owner: undefined,
      isKnown: false,
      missed,
      facts: missed?.facts,
      isDone: false,
    };
    return oldest;
  }

  /**
   * Stores a value like `set` of the namespace. Resolves with `refused`, and stores nothing, if the value was computed
   * before a change.
   *
   * @param computation the one that made the value. @default `of(key)`
   */
  set(
    key: string,
    value: {} | null,
    options?: SetOptions,
    computation: Computation<Facts> = this.of(key),
  ): Promise<WriteResult> {
    const setting = this.#set(computation as Making<Facts>, value, options);
    this.#sets.set(key, setting);
    const done = (): void => {
      if (this.#sets.get(key) === setting) this.#sets.delete(key);
    };
    setting.then(done, done);
    return setting;
  }

  /** In place of {@link set}, if a value was found, is not to be stored, or could not be computed. Never throws. */
  end(computation: Computation<Facts>): void {
    const making = computation as Making<Facts>;
    const { missed } = making;
    if (making.isKnown && this.#use(making)) missed!.fence?.drop();
  }

  #enter(key: string, owner?: object): Making<Facts> {
    const making = { key, owner, isKnown: true, missed: undefined, facts: undefined, isDone: false };
    const others = context?.getStore()?.filter((each) => !each.making.isDone && !this.#isOf(each, key)) ?? [];
    context?.enterWith([{ of: this, making }, ...others.slice(0, MOST_HERE - 1)]);
    return making;
  }

  #made(key: string, known: Making<Facts> | undefined): Making<Facts> | undefined {
    const here = this.#here(key);
    return here?.missed && here.owner === (known ?? here).owner ? here : known;
  }

  async #find<V>(making: Making<Facts>): Promise<V | undefined> {
    await this.#settled(making.key);
    const found = await this.#namespace.get<V>(making.key);
    if (found === undefined) await this.begin(making);
    else this.end(making);
    return found;
  }

  async #set(making: Making<Facts>, value: {} | null, options: SetOptions | undefined): Promise<WriteResult> {
    const { key, isKnown, missed } = making;
    this.#use(making);
    if (missed === undefined) return this.#namespace.set(key, value, options);
    missed.last = { value, options };
    // Immediately if it can be: frameworks call `get` without waiting for `set`.
    const isFree = missed.busy === undefined && missed.sending === undefined;
    const send = (): Promise<WriteResult> => this.#send(key, missed);
    const result = await (isFree ? send() : (missed.sending ??= missed.busy!.then(send)));
    if (result.status !== "refused") return result;
    missed.isRefused = true;
    // It may be newer than what is there: neither stays, and one more computation decides.
    if (!isKnown && (await this.#namespace.get(key)) !== undefined) await this.#namespace.delete(key);
    return result;
  }

  #send(key: string, missed: Missed<Facts>): Promise<WriteResult> {
    const { value, options } = missed.last!;
    missed.sending = undefined;
    if (missed.fence === undefined) return this.#namespace.set(key, value, options);
    if (missed.callers > 0) missed.fence.keep();
    const setting = this.#namespace.set(key, value, { ...options, since: missed.fence });
    const done = (): void => void (missed.busy = undefined);
    missed.busy = setting.then(done, done);
    return setting;
  }

  /** Notes that a caller of this computation has come. @returns whether it was the last one that may. */
  #use(making: Making<Facts>): boolean {
    const { key, missed } = making;
    making.isDone = true;
    making.missed = undefined;
    if (missed === undefined || (missed.callers -= 1) > 0) return false;
    const open = this.#missed.get(key)?.filter((each) => each !== missed) ?? [];
    if (open.length > 0) this.#missed.set(key, open);
    else this.#missed.delete(key);
    return true;
  }

  #isOf(here: Here[number], key: string): boolean {
    return here.of === this && here.making.key === key;
  }

  #here(key: string): Making<Facts> | undefined {
    return context?.getStore()?.find((each) => this.#isOf(each, key))?.making as Making<Facts> | undefined;
  }

  async #settled(key: string): Promise<void> {
    const setting = this.#sets.get(key);
    if (setting !== undefined) await within<unknown>(this.#clock, PATIENCE_MS, setting, ignore).catch(ignore);
  }

  async #take(key: string, missed: Missed<Facts>): Promise<void> {
    // A layout without room for tags has none: then the value is stored as of its `set`.
    missed.fence = (await this.#namespace.fence(key).catch(ignore)) as (Fence & Standing) | undefined;
    missed.busy = undefined;
  }
}

const ignore = (): undefined => undefined;
