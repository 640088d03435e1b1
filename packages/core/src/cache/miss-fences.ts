import type { Clock } from "../contracts/clock.ts";
import { keepFence } from "../engine/fences.ts";
import type { WriteResult } from "../engine/results.ts";
import type { Fence, SetOptions } from "../entry/policy.ts";
import { ignore } from "../primitives/ignore.ts";
import { within } from "../primitives/within.ts";
import { NamespaceView } from "./namespace-view.ts";
import type { Namespace } from "./namespace.ts";

/** A miss waits no longer for its fence, which then holds from when it came. */
const PATIENCE_MS = 200;
/** So long a caller is covered, and may join a fence. A value that takes longer is stored as of its `set`. */
const LONGEST_MS = 30_000;
/** How long those may take that began with it: so many times as long as the first `set`, and a pause of the process. */
const SLOWEST = 5;
const PAUSE_MS = 500;
const MOST = 10_000;

/** Callers that began under one fence. */
interface Miss {
  readonly at: number;
  endsAt: number;
  /** Until the fence is there, and until a `set` under it is done. */
  busy?: Promise<void> | undefined;
  fence?: Fence | undefined;
  last?: { readonly value: {} | null; readonly options: SetOptions | undefined } | undefined;
  /** The result of `set`s that wait: the last one is sent, since it would replace the others immediately. */
  sending?: Promise<WriteResult> | undefined;
  /** Some never have a `set`. */
  callers: number;
  /** Including those of the next callers. */
  sets: number;
  /** Callers that began after the first `set`. */
  next?: Miss | undefined;
}

/**
 * Fences for frameworks that call `get`, compute, and then `set`, by the key alone. Which `get` a `set` follows is not
 * known: it counts as computed since the oldest miss, up to a minute ago, of the last 10,000 keys, until there are as
 * many `set`s as misses. Each is stored until something else changes the key, and those after that are refused, until
 * five times as long as the first took and half a second are over: a caller that has not come by then counts as failed.
 * So it does after five times as long as later ones take, once there are so many `set`s that some must be of these.
 */
export class MissFences {
  readonly #namespace: Pick<Namespace, "fence" | "get" | "getMany" | "set">;
  readonly #clock: Clock;
  readonly #open = new Map<string, Miss>();
  /** Under way. */
  readonly #sets = new Map<string, Promise<WriteResult>>();

  constructor(namespace: Pick<Namespace, "fence" | "get" | "getMany" | "set">) {
    this.#namespace = namespace;
    this.#clock = NamespaceView.clockOf(namespace);
  }

  /** As `get` of the namespace. Frameworks do not wait for `set`: the value of one that is under way is found, too. */
  async get<V>(key: string): Promise<V | undefined> {
    await this.#settled(key);
    const found = await this.#namespace.get<V>(key);
    if (found === undefined) await this.begin(key);
    return found;
  }

  /** As {@link get}. */
  async getMany<V>(keys: readonly string[]): Promise<Map<string, V>> {
    await Promise.all(keys.flatMap((key) => this.#settled(key) ?? []));
    const found = await this.#namespace.getMany<V>(keys);
    const missing = [...new Set(keys)].filter((key) => !found.has(key));
    await Promise.all(missing.map((key) => this.begin(key)));
    return found;
  }

  /** Where a read has found nothing, before its caller computes. */
  async begin(key: string): Promise<void> {
    const oldest = this.#find(key);
    const at = this.#clock.now();
    let miss = oldest?.sets === 0 && at - oldest.at <= LONGEST_MS ? oldest : oldest?.next;
    if (miss === undefined) {
      miss = { at, endsAt: 0, callers: 0, sets: 0 };
      if (oldest !== undefined) oldest.next = miss;
      // The last to end is the last here: no other one is kept by it.
      this.#open.delete(key);
      for (const [each, { endsAt, next }] of this.#open)
        if (this.#open.size >= MOST || at > (next?.endsAt ?? endsAt)) this.#open.delete(each);
        else break;
      this.#open.set(key, oldest ?? miss);
      miss.busy = this.#take(key, miss);
    }
    miss.callers += 1;
    if (miss.sets === 0) miss.endsAt = at + LONGEST_MS;
    if (miss.busy !== undefined) await within(this.#clock, PATIENCE_MS, miss.busy, ignore);
  }

  /** As `set` of the namespace; `refused` for what was computed before a change. */
  set(key: string, value: {} | null, options?: SetOptions): Promise<WriteResult> {
    const setting = this.#set(key, value, options);
    this.#sets.set(key, setting);
    const done = (): void => {
      if (this.#sets.get(key) === setting) this.#sets.delete(key);
    };
    setting.then(done, done);
    return setting;
  }

  #set(key: string, value: {} | null, options: SetOptions | undefined): Promise<WriteResult> {
    const miss = this.#use(key);
    if (miss === undefined) return this.#namespace.set(key, value, options);
    miss.last = { value, options };
    // At once if it can be: frameworks call `get` without waiting for `set`.
    if (miss.busy === undefined && miss.sending === undefined) return this.#send(key, miss);
    return (miss.sending ??= miss.busy!.then(() => this.#send(key, miss)));
  }

  #send(key: string, miss: Miss): Promise<WriteResult> {
    const { value, options } = miss.last!;
    miss.sending = undefined;
    if (miss.fence === undefined) return this.#namespace.set(key, value, options);
    keepFence(miss.fence, this.#open.has(key));
    const setting = this.#namespace.set(key, value, { ...options, since: miss.fence });
    const done = (): void => void (miss.busy = undefined);
    miss.busy = setting.then(done, done);
    return setting;
  }

  /** In place of {@link set}, where the value is not to be stored. */
  end(key: string): void {
    this.#use(key);
  }

  #settled(key: string): Promise<unknown> | undefined {
    const set = this.#sets.get(key);
    return set && within<unknown>(this.#clock, PATIENCE_MS, set, ignore).catch(ignore);
  }

  #use(key: string): Miss | undefined {
    const miss = this.#find(key);
    if (miss === undefined) return undefined;
    miss.sets += 1;
    const { callers, sets, next } = miss;
    const slowest = sets === 1 ? miss : sets > callers ? next : undefined;
    if (slowest !== undefined)
      miss.endsAt = Math.min(miss.endsAt, slowest.at + (this.#clock.now() - slowest.at) * SLOWEST + PAUSE_MS);
    if (callers + (next?.callers ?? 0) <= sets) this.#open.delete(key);
    return miss;
  }

  /** The oldest one that stands. */
  #find(key: string): Miss | undefined {
    const now = this.#clock.now();
    let miss = this.#open.get(key);
    while (miss !== undefined && now > miss.endsAt) {
      if (miss.next !== undefined) miss.next.callers -= Math.max(0, miss.sets - miss.callers);
      miss = miss.next;
    }
    if (miss !== undefined) this.#open.set(key, miss);
    return miss;
  }

  async #take(key: string, miss: Miss): Promise<void> {
    // A layout without room for tags has none: then the value is stored as of its `set`.
    miss.fence = await this.#namespace.fence(key).catch(() => undefined);
    miss.busy = undefined;
  }
}
