import { hit, type Answer, type Callers } from "./waiters.ts";
import type { Core } from "./context.ts";
import { judge, lifeOf, newer, type Entry, type Windows } from "../entry/entry.ts";
import type { Space } from "./call.ts";
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
  readonly #core: Core;
  readonly #callers: Callers;

  constructor(core: Core, callers: Callers) {
    this.#core = core;
    this.#callers = callers;
  }

  get(space: Space, { key, at }: ReadKey, allowStale: boolean): Promise<unknown> {
    const { local, clock, flights } = this.#core;
    const startedAt = clock.now();
    const held = local?.get(at, startedAt);
    const { remote } = space;
    if (remote === undefined || isFresh(held, startedAt))
      return Promise.resolve(this.#answer(space, key, startedAt, held, undefined, allowStale));
    const guard = new Guard();
    flights.add(at, guard);
    const read = this.#isCovered(space, key, space.place.tagPrefixes)
      ? this.#readAfterReplay(space, key)
      : remote.read(this.#request(space, key), remote.deadlineMs);
    return read.then(
      (found) => this.#answer(space, key, startedAt, held, this.#promote(space, key, guard, found), allowStale),
      () => {
        flights.remove(guard);
        return this.#answer(space, key, startedAt, held ?? local?.unconfirmed(at, clock.now()), undefined, allowStale);
      },
    );
  }

  /** In the order of `keys`; what is missing locally is read in one trip. */
  async getMany(space: Space, keys: readonly ReadKey[], allowStale: boolean): Promise<readonly unknown[]> {
    const { local, clock, flights } = this.#core;
    const startedAt = clock.now();
    const held = keys.map(({ at }) => local?.get(at, startedAt));
    const { remote } = space;
    const found = new Array<Entry | undefined>(keys.length);
    if (remote !== undefined) {
      const asked = [...keys.keys()].filter((i) => !isFresh(held[i], startedAt));
      const guards = asked.map((i) => {
        const guard = new Guard();
        flights.add(keys[i]!.at, guard);
        return guard;
      });
      const isCovered = asked.map((i) => this.#isCovered(space, keys[i]!.key, space.place.tagPrefixes));
      const sent = remote
        .readMany(
          asked.filter((_, n) => !isCovered[n]).map((i) => this.#request(space, keys[i]!.key)),
          remote.deadlineMs,
        )
        .values();
      const outcomes = await Promise.allSettled(
        asked.map((i, n) => (isCovered[n] === true ? this.#readAfterReplay(space, keys[i]!.key) : sent.next().value!)),
      );
      for (const [n, outcome] of outcomes.entries()) {
        const i = asked[n]!;
        const guard = guards[n]!;
        if (outcome.status === "fulfilled") {
          found[i] = this.#promote(space, keys[i]!.key, guard, outcome.value);
        } else {
          flights.remove(guard);
          held[i] ??= local?.unconfirmed(guard.at, clock.now());
        }
      }
    }
    return keys.map(({ key }, i) => this.#answer(space, key, startedAt, held[i], found[i], allowStale));
  }

  /** A peek that found no fresh copy counts as a miss, like every call. */
  nothingToPeek(space: Space, key: string): undefined {
    this.#callers.count({ space, key, startedAt: this.#core.clock.now() }, MISS, false);
  }

  async inspect(space: Space, { key, at }: ReadKey): Promise<EntryInfo | undefined> {
    const { local, clock } = this.#core;
    const { remote } = space;
    let held = local?.get(at, clock.now());
    let found: Entry | undefined;
    if (held === undefined && remote !== undefined) {
      try {
        found = await this.#inspected(space, key);
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

  async #inspected(space: Space, key: string): Promise<Entry | undefined> {
    const found = await this.#readAfterReplay(space, key);
    const entry = found && this.#core.tags.hold(found, this.#core.clock.now());
    return entry === undefined || this.#isCovered(space, key, entry.dependsOn) ? undefined : entry;
  }

  /** What a read found, promoted unless something newer happened meanwhile. */
  #promote(space: Space, key: string, guard: Guard, found: Entry | undefined): Entry | undefined {
    const { flights, local, clock, tags, trust } = this.#core;
    const { at } = guard;
    flights.remove(guard);
    const entry = found && tags.hold(found, clock.now());
    if (entry === undefined || this.#isCovered(space, key, entry.dependsOn)) return undefined;
    if (isFresh(entry, clock.now()) && !guard.isBroken)
      local?.put(
        at,
        entry,
        space.policy.localTtlMs ?? Infinity,
        flights.isSound(guard) ? trust.epoch : trust.unconfirmed,
      );
    return entry;
  }

  /** Whether an invalidation that waits for the backend covers what would be found there. */
  #isCovered({ place }: Space, key: string, dependsOn: readonly string[]): boolean {
    const { recovery } = this.#core;
    return recovery !== undefined && recovery.size !== 0 && recovery.covers(place, key, dependsOn);
  }

  async #readAfterReplay(space: Space, key: string): Promise<Entry | undefined> {
    const { clock, recovery } = this.#core;
    const { deadlineMs } = space.remote!;
    const startedAt = clock.now();
    if (this.#isCovered(space, key, space.place.tagPrefixes)) await recovery!.replayWithin(deadlineMs);
    if (this.#isCovered(space, key, space.place.tagPrefixes)) throw unasked(space.remote!.label);
    return space.remote!.read(this.#request(space, key), deadlineMs - (clock.now() - startedAt));
  }

  #request(space: Space, key: string): ReadRequest {
    return { place: space.place, key, schema: space.schema, expectedTags: NO_TAGS, tagsAt: this.#core.tags.now };
  }

  #answer(
    space: Space,
    key: string,
    startedAt: number,
    held: Entry | undefined,
    found: Entry | undefined,
    allowStale: boolean,
  ): unknown {
    const { local, clock } = this.#core;
    const best = newer(found, held);
    const label = best === found && found !== undefined ? space.remote!.label : (local?.label ?? "");
    const verdict = judge(best, clock.now(), ANY_WINDOW);
    const answer: Answer =
      verdict === "fresh"
        ? hit(best!, label)
        : verdict === "absent" || !allowStale
          ? MISS
          : { ...hit(best!, label), status: "stale", cause: "revalidating" };
    this.#callers.count({ space, key, startedAt }, answer);
    return local === undefined ? answer.value : local.handOut(answer.value);
  }
}

const NO_TAGS: readonly string[] = [];
const MISS: Answer = { status: "miss", value: undefined };
const ANY_WINDOW: Windows = { staleWhileRevalidateMs: undefined, staleIfErrorMs: undefined, refreshAhead: 1 };

const isFresh = (entry: Entry | undefined, now: number): boolean =>
  entry !== undefined && now < entry.staleAt && now < entry.deadAt;
