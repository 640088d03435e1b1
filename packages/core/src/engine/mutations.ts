import type { TagVersion } from "../contracts/backend.ts";
import type { ReadThrough } from "./read-through.ts";
import type { EngineContext } from "./context.ts";
import type { Encoded } from "../entry/codec.ts";
import { lifeOf, staleFrom, type Entry } from "../entry/entry.ts";
import { ConfigurationError } from "../contracts/errors.ts";
import type { FencedBy } from "../contracts/events.ts";
import type { NamespaceContext } from "./call.ts";
import { WriteGuard } from "./flights.ts";
import { dependencies, type EntryKey } from "../entry/key.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";
import { lifetimeOf, type EntryOptions } from "../entry/policy.ts";
import { newId } from "../primitives/ids.ts";
import { orPending } from "../tiers/recovery.ts";
import type { LoadedStore } from "./loaded-store.ts";
import { compareVersions, tagKeys } from "../tags/tag-versions.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";

/**
 * `pending`: this process has it until the backend answers; there nothing older is left then, nor this: it is replayed as a
 * removal. `refused`: too large, or no lifetime. `token`, once the backend has acknowledged it: for `after`.
 */
export interface WriteResult {
  readonly status: "stored" | "pending" | "refused";
  readonly token?: string;
}
/** `pending`: hidden from this process at once; remembered, and replayed when the backend is back. */
export interface DeleteResult {
  readonly status: "deleted" | "missing" | "pending";
  readonly token?: string;
}
/** As {@link DeleteResult}. */
export interface MarkStaleResult {
  readonly status: "stale" | "missing" | "pending";
}
/** As {@link DeleteResult}. */
export interface InvalidateResult {
  readonly status: "done" | "pending";
  readonly token?: string;
}
/** How many keys ended in each status. */
export interface WriteManyResult {
  readonly stored: number;
  readonly pending: number;
  readonly refused: number;
}
/** How many keys ended in each status. */
export interface DeleteManyResult {
  readonly deleted: number;
  readonly missing: number;
  readonly pending: number;
}

/**
 * What changes entries: `set`, `delete`, `markStale`, tag invalidation and `clear`.
 *
 * Each follows the same four steps: fence what is in flight and drop the local copy; send, in the order of calls; fence
 * again when the backend has acknowledged, since what was read in between may be older; and where the outcome is
 * unknown, remember the invalidation. The first step is synchronous, so nobody who calls later can see what was before.
 */
export class Mutations {
  readonly #context: EngineContext;
  readonly #readThrough: ReadThrough;
  readonly #loadedStore: LoadedStore;
  /** Tag versions seen last: an unchanged one saves a write the trip that asks for it. Only ever a guess. */
  readonly #guessed = new Map<string, TagVersion>();

  constructor(context: EngineContext, readThrough: ReadThrough, loadedStore: LoadedStore) {
    this.#context = context;
    this.#readThrough = readThrough;
    this.#loadedStore = loadedStore;
  }

  async set(
    namespace: NamespaceContext,
    key: EntryKey,
    value: unknown,
    options: EntryOptions | undefined,
  ): Promise<WriteResult> {
    const { local, clock, random, tags, trust, flights, writes, recovery } = this.#context;
    const { remote } = namespace;
    if ((options?.tags?.length ?? 0) !== 0 || options?.etag !== undefined || options?.lastModified !== undefined)
      checkRoomForMeta(namespace);
    const life = lifetimeOf(value, namespace.policy, options, random);
    if (life.ttlMs <= 0)
      return { status: (await this.delete(namespace, key)).status === "pending" ? "pending" : "refused" };
    const now = clock.now();
    const names = [...new Set(options?.tags ?? [])];
    const expiresAt = now + life.ttlMs + Math.max(life.staleWhileRevalidateMs, life.staleIfErrorMs);
    const entry: Entry = {
      // Its turn to be written may come late, and the caller has it too.
      value: remote === undefined || local === undefined ? value : local.handOut(value),
      ...life,
      staleAt: now + life.ttlMs,
      expiresAt,
      deadAt: expiresAt,
      tags: names,
      dependsOn: dependencies(key.space, names),
      version: remote?.leases && newId(),
      epoch: undefined,
      tagSequence: tags.sequence,
      etag: options?.etag,
      lastModified: options?.lastModified,
    };
    const localTtlMs = namespace.policy.localTtlMs ?? Infinity;
    if (remote === undefined) {
      // One step here, so the old copy is given up for a new one only.
      const error = local?.put(key.local, entry, localTtlMs, EPOCH_ALWAYS);
      if (error !== undefined) throw error;
      flights.fence(key.local, "set");
      this.#readThrough.endBackoff(key.local);
      this.#reportKey(key, "remove");
      // The tier may have found it too large.
      return local?.get(key.local, now) === undefined
        ? { status: "refused" }
        : { status: "stored", token: this.#token() };
    }
    this.#fence(key, "set");
    const guard = new WriteGuard();
    flights.add(key.local, guard);
    try {
      let encoded: Encoded | undefined;
      let versions: readonly TagVersion[] | undefined;
      const status = await writes.run(key.local, () =>
        orPending(recovery, key, async () => {
          encoded = await remote.encode(entry.value);
          guard.isTainted = false;
          guard.epoch = trust.epoch;
          const written = await this.#write(remote, key, entry, encoded);
          versions = written.versions;
          return written.status;
        }),
      );
      this.#acknowledged(key, "set");
      if (guard.fencedBy === undefined && !tags.wasCalled(entry.dependsOn, entry.tagSequence)) {
        const kept =
          encoded === undefined
            ? entry
            : { ...entry, versions, encoding: encoded.encoding, encodedBytes: encoded.data.length };
        local?.put(key.local, kept, localTtlMs, status === "stored" ? flights.copyEpoch(guard) : trust.unconfirmed);
        if (status === "stored" && !flights.isUntainted(guard) && entry.version !== undefined)
          this.#loadedStore.confirm(remote.leases!, key, entry.version);
      }
      this.#reportKey(key, "remove");
      return status === "stored" ? { status, token: this.#token() } : { status };
    } finally {
      flights.remove(guard);
      // Also where the value could not be encoded: what was fenced stores nothing.
      flights.releaseFenced(key.local);
    }
  }

  async delete(namespace: NamespaceContext, key: EntryKey): Promise<DeleteResult> {
    const { local, clock, writes, recovery } = this.#context;
    const { remote } = namespace;
    const wasHere = local?.get(key.local, clock.now()) !== undefined;
    this.#fence(key, "delete");
    this.#reportKey(key, "remove");
    if (remote === undefined) return { status: wasHere ? "deleted" : "missing", token: this.#token() };
    const status = await writes.run(key.local, () => orPending(recovery, key, () => remote.remove(key)));
    this.#acknowledged(key, "delete");
    if (status === "pending") return { status };
    return { status: wasHere ? "deleted" : status, token: this.#token() };
  }

  async markStale(namespace: NamespaceContext, key: EntryKey): Promise<MarkStaleResult> {
    const { local, clock, writes, recovery } = this.#context;
    const { remote } = namespace;
    const now = clock.now();
    const held = local?.get(key.local, now);
    this.#fence(key, "stale");
    this.#reportKey(key, "stale");
    if (remote === undefined) {
      if (held === undefined) return { status: "missing" };
      const staleNow = staleFrom(held, now);
      if (lifeOf(staleNow, now).expiresInMs > 0) local!.tier.set(key.local, staleNow);
      return { status: "stale" };
    }
    const status = await writes.run(key.local, () =>
      orPending(recovery, key, async () => {
        if (recovery?.covers(key, NO_TAGS) !== true) return remote.markStale(key);
        // A removal waits for the backend: what is still there must not come back as stale.
        await remote.remove(key);
        return "missing";
      }),
    );
    this.#acknowledged(key, "stale");
    return { status };
  }

  /** `tags` empty: the whole namespace. */
  async invalidate(
    namespace: NamespaceContext,
    names: readonly string[],
    mode: "hard" | "soft",
  ): Promise<InvalidateResult> {
    const { tags, local, recovery, events, leases } = this.#context;
    const { keySpace, remote } = namespace;
    checkRoomForMeta(namespace);
    const keys = tagKeys(keySpace, names);
    tags.called(keySpace, keys, mode);
    this.#context.decisions?.note(
      keySpace.tagPrefixes.at(-1)!,
      "write",
      `${names.length === 0 ? "cleared" : `tags ${names.join(", ")} ${mode === "hard" ? "invalidated" : "marked stale"}`} here`,
    );
    const callSequence = tags.sequence;
    // Nothing below the root outlives its clear, so its memory can go at once.
    if (names.length === 0 && keySpace.path.length === 0) local?.tier.clear();
    if (events.invalidate.isObserved) {
      const scope = names.length === 0 ? "namespace" : "tags";
      events.invalidate.emit({
        cache: this.#context.name,
        namespace: keySpace.path,
        scope,
        mode: mode === "hard" ? "remove" : "stale",
        origin: "here",
        ...(names.length !== 0 && { tags: names }),
      });
    }
    if (remote?.versions === undefined) return { status: "done", token: this.#token() };
    for (const key of keys) this.#guessed.delete(key);
    try {
      const renewing = remote.versions.renew(keys, mode);
      // Behind the renewal: before it, a load under the old versions might be granted, for nothing.
      for (const lease of leases) lease.releaseUnder(keys);
      await renewing;
      recovery?.acknowledgedTags(keySpace, keys, mode, callSequence);
      return { status: "done", token: this.#token() };
    } catch {
      recovery?.addTags(keySpace, keys, mode, callSequence);
      return { status: "pending" };
    } finally {
      tags.called(keySpace, keys, mode);
      // Those that were granted meanwhile: what they load is fenced by now.
      for (const lease of leases) lease.releaseUnder(keys);
    }
  }

  /** An invalidation that waited was acknowledged: what was read or written meanwhile may be older than it. */
  replayed(key: EntryKey): void {
    this.#fence(key, "delete");
  }

  /**
   * One trip where the versions are those seen last: they are read in the same tick. Otherwise they are pinned, and
   * the entry is written under them.
   */
  async #write(
    remote: EntryTier,
    key: EntryKey,
    entry: Entry,
    encoded: Encoded,
  ): Promise<{ readonly status: "stored" | "refused"; readonly versions: readonly TagVersion[] | undefined }> {
    const versions = remote.versions;
    if (versions === undefined) return { status: await remote.write(key, { entry, encoded, versions }), versions };
    const guesses = entry.dependsOn.map((each) => this.#guessed.get(each));
    if (guesses.every((guess) => guess !== undefined)) {
      const [status, current] = await Promise.all([
        remote.write(key, { entry, encoded, versions: guesses }),
        versions.read(entry.dependsOn),
      ]);
      if (compareVersions(guesses, current) === "current") return { status, versions: guesses };
    }
    const pinned = await versions.pin(entry.dependsOn);
    if (this.#guessed.size > MAX_GUESSED) this.#guessed.clear();
    entry.dependsOn.forEach((each, i) => this.#guessed.set(each, pinned.versions[i]!));
    return {
      status: await remote.write(key, { entry, encoded, versions: pinned.versions }),
      versions: pinned.versions,
    };
  }

  #fence(key: EntryKey, by: FencedBy): void {
    this.#context.flights.fence(key.local, by);
    this.#context.local?.tier.delete(key.local);
    this.#readThrough.endBackoff(key.local);
  }

  /** What was read before the acknowledgement may be older. */
  #acknowledged(key: EntryKey, by: FencedBy): void {
    this.#context.flights.fenceReads(key.local, by);
    this.#context.flights.releaseFenced(key.local);
    this.#context.local?.tier.delete(key.local);
    this.#readThrough.endBackoff(key.local);
  }

  #reportKey(key: EntryKey, mode: "remove" | "stale"): void {
    const { events, name, decisions } = this.#context;
    decisions?.note(key.local, "write", mode === "remove" ? "replaced or removed here" : "marked stale here");
    if (events.invalidate.isObserved)
      events.invalidate.emit({
        cache: name,
        namespace: key.space.path,
        scope: "key",
        mode,
        origin: "here",
        key: key.name,
      });
  }

  /** Names a write that the backend has, or that a cache without a backend has: a later read with it asks there. */
  #token(): string {
    tokens += 1;
    return `${PROCESS}.${tokens.toString(36)}`;
  }
}

/** @throws {ConfigurationError} where entries cannot carry what the call needs. */
export function checkRoomForMeta({ remote }: NamespaceContext): void {
  if (remote?.keepsMeta === false)
    throw new ConfigurationError(
      `${remote.label}: its layout has no room for tags, validators and clear; use the full layout, or delete keys one by one`,
      { tier: remote.label },
    );
}

const NO_TAGS: readonly string[] = [];
const MAX_GUESSED = 10_000;
const PROCESS = Math.random().toString(36).slice(2, 10);
let tokens = 0;
