import { hit, type Answer, type Waiters } from "./waiters.ts";
import type { EngineContext } from "./context.ts";
import { judge, lifeOf, newer, type Entry, type Windows } from "../entry/entry.ts";
import type { NamespaceContext } from "./call.ts";
import { unasked } from "../tiers/recovery.ts";
import { Guard } from "./flights.ts";
import type { ReadRequest } from "../tiers/entry-tier.ts";

/** What is known about an entry, for people and for tests. */
export interface EntryInfo {
  readonly state: "fresh" | "stale";
  /** Label of the tier that holds it nearest. */
  readonly tier: string;
  readonly ageMs: number;
  /** Remaining freshness; negative when stale. */
  readonly freshForMs: number;
  /** Remaining life, stale windows included; may be `Infinity`. */
  readonly expiresInMs: number;
  readonly tags: readonly string[];
  readonly etag?: string;
  readonly lastModified?: string;
  /** Ids and size as stored; absent for an entry that only the local tier holds. */
  readonly encoding?: { readonly format: string; readonly compressor: string; readonly bytes: number };
}

/** A key that is read, with its local key. */
export interface ReadKey {
  readonly key: string;
  readonly at: string;
}

/** Reading without a loader. Never loads, never fails for a backend's sake. */
export class Reads {
  readonly #context: EngineContext;
  readonly #waiters: Waiters;

  constructor(context: EngineContext, waiters: Waiters) {
    this.#context = context;
    this.#waiters = waiters;
  }

  get(namespace: NamespaceContext, { key, at }: ReadKey, allowStale: boolean): Promise<unknown> {
    const { local, clock, flights } = this.#context;
    const startedAt = clock.now();
    const held = local?.get(at, startedAt);
    const { remote } = namespace;
    if (remote === undefined || isFresh(held, startedAt))
      return Promise.resolve(this.#answer(namespace, key, startedAt, held, undefined, allowStale));
    const guard = new Guard();
    flights.add(at, guard);
    const read = this.#isCovered(namespace, key, namespace.keySpace.tagPrefixes)
      ? this.#readAfterReplay(namespace, key)
      : remote.read(this.#request(namespace, key), remote.deadlineMs);
    return read.then(
      (found) => this.#answer(namespace, key, startedAt, held, this.#promote(namespace, key, guard, found), allowStale),
      () => {
        flights.remove(guard);
        return this.#answer(
          namespace,
          key,
          startedAt,
          held ?? local?.unconfirmed(at, clock.now()),
          undefined,
          allowStale,
        );
      },
    );
  }

  /** In the order of `keys`; what is missing locally is read in one trip. */
  async getMany(
    namespace: NamespaceContext,
    keys: readonly ReadKey[],
    allowStale: boolean,
  ): Promise<readonly unknown[]> {
    const { local, clock, flights } = this.#context;
    const startedAt = clock.now();
    const held = keys.map(({ at }) => local?.get(at, startedAt));
    const { remote } = namespace;
    const found = new Array<Entry | undefined>(keys.length);
    if (remote !== undefined) {
      const asked = [...keys.keys()].filter((i) => !isFresh(held[i], startedAt));
      const guards = asked.map((i) => {
        const guard = new Guard();
        flights.add(keys[i]!.at, guard);
        return guard;
      });
      const isCovered = asked.map((i) => this.#isCovered(namespace, keys[i]!.key, namespace.keySpace.tagPrefixes));
      const sent = remote
        .readMany(
          asked.filter((_, n) => !isCovered[n]).map((i) => this.#request(namespace, keys[i]!.key)),
          remote.deadlineMs,
        )
        .values();
      const outcomes = await Promise.allSettled(
        asked.map((i, n) =>
          isCovered[n] === true ? this.#readAfterReplay(namespace, keys[i]!.key) : sent.next().value!,
        ),
      );
      for (const [n, outcome] of outcomes.entries()) {
        const i = asked[n]!;
        const guard = guards[n]!;
        if (outcome.status === "fulfilled") {
          found[i] = this.#promote(namespace, keys[i]!.key, guard, outcome.value);
        } else {
          flights.remove(guard);
          held[i] ??= local?.unconfirmed(guard.at, clock.now());
        }
      }
    }
    return keys.map(({ key }, i) => this.#answer(namespace, key, startedAt, held[i], found[i], allowStale));
  }

  /** A peek that found no fresh copy counts as a miss, like every call. */
  nothingToPeek(namespace: NamespaceContext, key: string): undefined {
    this.#waiters.count({ namespace, key, startedAt: this.#context.clock.now() }, MISS, false);
  }

  async inspect(namespace: NamespaceContext, { key, at }: ReadKey): Promise<EntryInfo | undefined> {
    const { local, clock } = this.#context;
    const { remote } = namespace;
    let held = local?.get(at, clock.now());
    let found: Entry | undefined;
    if (held === undefined && remote !== undefined) {
      try {
        found = await this.#inspected(namespace, key);
      } catch {
        held = local?.unconfirmed(at, clock.now());
      }
    }
    const entry = held ?? found;
    if (entry === undefined) return undefined;
    const now = clock.now();
    return {
      state: isFresh(entry, now) ? "fresh" : "stale",
      tier: held !== undefined ? local!.label : remote!.label,
      ...lifeOf(entry, now),
      tags: entry.tags,
      ...(entry.etag !== undefined && { etag: entry.etag }),
      ...(entry.lastModified !== undefined && { lastModified: entry.lastModified }),
      ...(entry.encoding !== undefined && { encoding: { ...entry.encoding, bytes: entry.encodedBytes! } }),
    };
  }

  async #inspected(namespace: NamespaceContext, key: string): Promise<Entry | undefined> {
    const found = await this.#readAfterReplay(namespace, key);
    const entry = found && this.#context.tags.hold(found, this.#context.clock.now());
    return entry === undefined || this.#isCovered(namespace, key, entry.dependsOn) ? undefined : entry;
  }

  /** What a read found, promoted unless something newer happened meanwhile. */
  #promote(namespace: NamespaceContext, key: string, guard: Guard, found: Entry | undefined): Entry | undefined {
    const { flights, local, clock, tags, trust } = this.#context;
    const { at } = guard;
    flights.remove(guard);
    const entry = found && tags.hold(found, clock.now());
    if (entry === undefined || this.#isCovered(namespace, key, entry.dependsOn)) return undefined;
    if (isFresh(entry, clock.now()) && !guard.isTainted)
      local?.put(
        at,
        entry,
        namespace.policy.localTtlMs ?? Infinity,
        flights.isUntainted(guard) ? trust.epoch : trust.unconfirmed,
      );
    return entry;
  }

  /** Whether an invalidation that waits for the backend covers what would be found there. */
  #isCovered({ keySpace }: NamespaceContext, key: string, dependsOn: readonly string[]): boolean {
    const { recovery } = this.#context;
    return recovery !== undefined && recovery.size !== 0 && recovery.covers(keySpace, key, dependsOn);
  }

  async #readAfterReplay(namespace: NamespaceContext, key: string): Promise<Entry | undefined> {
    const { clock, recovery } = this.#context;
    const { deadlineMs } = namespace.remote!;
    const startedAt = clock.now();
    if (this.#isCovered(namespace, key, namespace.keySpace.tagPrefixes)) await recovery!.replayWithin(deadlineMs);
    if (this.#isCovered(namespace, key, namespace.keySpace.tagPrefixes)) throw unasked(namespace.remote!.label);
    return namespace.remote!.read(this.#request(namespace, key), deadlineMs - (clock.now() - startedAt));
  }

  #request(namespace: NamespaceContext, key: string): ReadRequest {
    return {
      keySpace: namespace.keySpace,
      key,
      schema: namespace.schema,
      expectedTags: NO_TAGS,
      tagSequence: this.#context.tags.sequence,
    };
  }

  #answer(
    namespace: NamespaceContext,
    key: string,
    startedAt: number,
    held: Entry | undefined,
    found: Entry | undefined,
    allowStale: boolean,
  ): unknown {
    const { local, clock } = this.#context;
    const best = newer(found, held);
    const label = best === found && found !== undefined ? namespace.remote!.label : (local?.label ?? "");
    const verdict = judge(best, clock.now(), ANY_WINDOW);
    const answer: Answer =
      verdict === "fresh"
        ? hit(best!, label)
        : verdict === "absent" || !allowStale
          ? MISS
          : { ...hit(best!, label), status: "stale", cause: "revalidating" };
    this.#waiters.count({ namespace, key, startedAt }, answer);
    return local === undefined ? answer.value : local.handOut(answer.value);
  }
}

const NO_TAGS: readonly string[] = [];
const MISS: Answer = { status: "miss", value: undefined };
const ANY_WINDOW: Windows = { staleWhileRevalidateMs: undefined, staleIfErrorMs: undefined, refreshAhead: 1 };

const isFresh = (entry: Entry | undefined, now: number): boolean =>
  entry !== undefined && now < entry.staleAt && now < entry.deadAt;
