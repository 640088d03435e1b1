import type { Clock } from "../contracts/clock.ts";
import type { WriteResult } from "../engine/results.ts";
import type { Fence, SetOptions } from "../entry/policy.ts";
import { within } from "../primitives/within.ts";
import { NamespaceView } from "./namespace-view.ts";
import type { Namespace } from "./namespace.ts";

/** A miss waits no longer for its fence, which then holds from when it came. */
const PATIENCE_MS = 200;
/** Callers join a fence for so long; it stands twice as long. A value that takes longer is stored as of its `set`. */
const LONGEST_MS = 30_000;
/** How long those may take that began with it: so many times as long as the first `set`, and a pause of the process. */
const SLOWEST = 5;
const PAUSE_MS = 500;
const MOST = 10_000;

/** Callers that began under one fence. */
interface Miss {
  readonly at: number;
  endsAt: number;
  /** Until the fence is there. */
  taking?: Promise<void> | undefined;
  /** For one `set`: those after it are refused. */
  fence?: Fence | undefined;
  isUsed: boolean;
  /** Less the `set`s of all. Some callers never have one. */
  callers: number;
  /** Those that began after its `set`. */
  next?: Miss | undefined;
}

/**
 * Fences for frameworks that call `get`, compute, and then `set`, by the key alone. Which `get` a `set` follows is not
 * known: it counts as computed since the oldest miss, for 30 to 60 seconds, of 10,000 keys, until there are as many
 * `set`s as misses. Of several that compute at once the first is stored. The others are refused, until five times as
 * long as it took and half a second are over: one that has not come by then counts as failed.
 */
export class MissFences {
  readonly #namespace: Pick<Namespace, "fence" | "set" | "setMany">;
  readonly #clock: Clock;
  readonly #open = new Map<string, Miss>();

  constructor(namespace: Pick<Namespace, "fence" | "set" | "setMany">) {
    this.#namespace = namespace;
    this.#clock = NamespaceView.clockOf(namespace);
  }

  /** Where `get` has found nothing, before its caller computes. */
  async begin(key: string): Promise<void> {
    const oldest = this.#find(key);
    if (oldest === undefined && this.#open.size >= MOST) return;
    const at = this.#clock.now();
    const mayJoin = oldest?.isUsed === false && at - oldest.at <= LONGEST_MS;
    let miss = mayJoin ? oldest : oldest?.next;
    if (miss === undefined) {
      miss = { at, endsAt: at + 2 * LONGEST_MS, isUsed: false, callers: 0 };
      if (oldest === undefined) this.#open.set(key, miss);
      else oldest.next = miss;
      miss.taking = this.#take(key, miss);
    }
    miss.callers += 1;
    if (miss.taking !== undefined) await within(this.#clock, PATIENCE_MS, miss.taking, () => undefined);
  }

  /** As `set` of the namespace; `refused` for what was computed before a change. */
  async set(key: string, value: {} | null, options?: SetOptions): Promise<WriteResult> {
    const miss = this.#use(key);
    // At once if it can be: frameworks call `get` without waiting for `set`.
    if (miss?.taking !== undefined) await miss.taking;
    return this.#namespace.set(key, value, miss ? { ...options, since: miss.fence } : options);
  }

  /** In place of {@link set}, where the value is not to be stored. */
  end(key: string): void {
    this.#use(key);
  }

  /** As {@link set}, with the same options for all. */
  async setMany(entries: readonly (readonly [key: string, value: {} | null])[], options?: SetOptions): Promise<void> {
    const others = entries.filter(([key]) => !this.#open.has(key));
    const begun = entries.filter(([key]) => this.#open.has(key)).map(([key, value]) => this.set(key, value, options));
    await Promise.all([...begun, others.length > 0 && this.#namespace.setMany(others, options)]);
  }

  #use(key: string): Miss | undefined {
    const miss = this.#find(key);
    if (miss === undefined) return undefined;
    miss.callers -= 1;
    if (miss.callers + (miss.next?.callers ?? 0) === 0) this.#open.delete(key);
    const tookMs = this.#clock.now() - miss.at;
    if (!miss.isUsed) miss.endsAt = Math.min(miss.endsAt, miss.at + tookMs * SLOWEST + PAUSE_MS);
    miss.isUsed = true;
    return miss;
  }

  /** The oldest one that stands. */
  #find(key: string): Miss | undefined {
    const now = this.#clock.now();
    let miss = this.#open.get(key);
    while (miss !== undefined && now > miss.endsAt) miss = miss.next;
    if (miss !== undefined) this.#open.set(key, miss);
    for (const [each, { endsAt, next }] of this.#open) {
      if (now <= (next?.endsAt ?? endsAt)) break;
      this.#open.delete(each);
    }
    return miss;
  }

  async #take(key: string, miss: Miss): Promise<void> {
    // A layout without room for tags has none: then the value is stored as of its `set`.
    miss.fence = await this.#namespace.fence(key).catch(() => undefined);
    miss.taking = undefined;
  }
}
