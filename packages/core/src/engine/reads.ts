import { hit, type Answer, type Waiters } from "./waiters.ts";
import type { EngineContext } from "./context.ts";
import { judge, lifeOf, newer, type Entry, type Windows } from "../entry/entry.ts";
import type { NamespaceContext } from "./call.ts";
import { unasked } from "../tiers/recovery.ts";
import { Guard } from "./flights.ts";
import type { EntryKey } from "../entry/key.ts";
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

/** Reading without a loader. Never loads, never fails for a backend's sake. */
export class Reads {
  readonly #context: EngineContext;
  readonly #waiters: Waiters;

  constructor(context: EngineContext, waiters: Waiters) {
    this.#context = context;
    this.#waiters = waiters;
  }

  get(namespace: NamespaceContext, key: EntryKey, allowStale: boolean): Promise<unknown> {
    const { local, clock, flights, recovery } = this.#context;
    const startedAt = clock.now();
    const held = local?.get(key.local, startedAt);
    const { remote } = namespace;
    if (remote === undefined || isFresh(held, startedAt))
      return Promise.resolve(this.#answer(namespace, key, startedAt, held, undefined, allowStale));
    const guard = new Guard();
    flights.add(key.local, guard);
    const read =
      recovery?.coversTagged(key, NO_TAGS) === true
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
          held ?? local?.unconfirmed(key.local, clock.now()),
          undefined,
          allowStale,
        );
      },
    );
  }

  /** In the order of `keys`; what is missing locally is read in one trip. */
  async getMany(
    namespace: NamespaceContext,
    keys: readonly EntryKey[],
    allowStale: boolean,
  ): Promise<readonly unknown[]> {
    const { local, clock, flights, recovery } = this.#context;
    const startedAt = clock.now();
    const held = keys.map((key) => local?.get(key.local, startedAt));
    const { remote } = namespace;
    const found = new Array<Entry | undefined>(keys.length);
    if (remote !== undefined) {
      const asked = [...keys.keys()].filter((i) => !isFresh(held[i], startedAt));
      const guards = asked.map((i) => {
        const guard = new Guard();
        flights.add(keys[i]!.local, guard);
        return guard;
      });
      const isCovered = asked.map((i) => recovery?.coversTagged(keys[i]!, NO_TAGS) === true);
      const sent = remote
        .readMany(
          asked.filter((_, n) => !isCovered[n]).map((i) => this.#request(namespace, keys[i]!)),
          remote.deadlineMs,
        )
        .values();
      const outcomes = await Promise.allSettled(
        asked.map((i, n) => (isCovered[n] === true ? this.#readAfterReplay(namespace, keys[i]!) : sent.next().value!)),
      );
      for (const [n, outcome] of outcomes.entries()) {
        const i = asked[n]!;
        const guard = guards[n]!;
        if (outcome.status === "fulfilled") {
          found[i] = this.#promote(namespace, keys[i]!, guard, outcome.value);
        } else {
          flights.remove(guard);
          held[i] ??= local?.unconfirmed(guard.tableKey, clock.now());
        }
      }
    }
    return keys.map((key, i) => this.#answer(namespace, key, startedAt, held[i], found[i], allowStale));
  }

  /** A peek that found no fresh copy counts as a miss, like every call. */
  nothingToPeek(namespace: NamespaceContext, key: EntryKey): undefined {
    this.#waiters.count({ namespace, key, startedAt: this.#context.clock.now() }, MISS, false);
  }

  async inspect(namespace: NamespaceContext, key: EntryKey): Promise<EntryInfo | undefined> {
    const { local, clock } = this.#context;
    const { remote } = namespace;
    let held = local?.get(key.local, clock.now());
    let found: Entry | undefined;
    if (held === undefined && remote !== undefined) {
      try {
        found = await this.#inspected(namespace, key);
      } catch {
        held = local?.unconfirmed(key.local, clock.now());
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

  async #inspected(namespace: NamespaceContext, key: EntryKey): Promise<Entry | undefined> {
    const found = await this.#readAfterReplay(namespace, key);
    const entry = found && this.#context.tags.applyTo(found, this.#context.clock.now());
    return entry === undefined || this.#context.recovery?.covers(key, entry.dependsOn) === true ? undefined : entry;
  }

  /** What a read found, promoted unless something newer happened meanwhile. */
  #promote(namespace: NamespaceContext, key: EntryKey, guard: Guard, found: Entry | undefined): Entry | undefined {
    const { flights, local, clock, tags } = this.#context;
    flights.remove(guard);
    const entry = found && tags.applyTo(found, clock.now());
    if (entry === undefined || this.#context.recovery?.covers(key, entry.dependsOn) === true) return undefined;
    if (isFresh(entry, clock.now()) && !guard.isTainted)
      local?.put(key.local, entry, namespace.policy.localTtlMs ?? Infinity, flights.copyEpoch(guard));
    return entry;
  }

  async #readAfterReplay(namespace: NamespaceContext, key: EntryKey): Promise<Entry | undefined> {
    const { clock, recovery } = this.#context;
    const { deadlineMs } = namespace.remote!;
    const startedAt = clock.now();
    if (recovery?.coversTagged(key, NO_TAGS) === true) await recovery.replayWithin(deadlineMs);
    if (recovery?.coversTagged(key, NO_TAGS) === true) throw unasked(namespace.remote!.label);
    return namespace.remote!.read(this.#request(namespace, key), deadlineMs - (clock.now() - startedAt));
  }

  #request({ schema }: NamespaceContext, key: EntryKey): ReadRequest {
    return { key, schema, expectedTags: NO_TAGS, tagSequence: this.#context.tags.sequence };
  }

  #answer(
    namespace: NamespaceContext,
    key: EntryKey,
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
