import type { TagVersion } from "../contracts/backend.ts";
import type { Backoffs } from "./backoffs.ts";
import type { Copies, Reporting, Writing } from "./context.ts";
import type { Lease } from "./lease.ts";
import type { Encoded } from "../entry/codec.ts";
import { newEntry, storedEntry, type Entry, type Labels } from "../entry/entry.ts";
import { lifeOf, staleFrom } from "../entry/freshness.ts";
import type { FencedBy } from "../contracts/events.ts";
import { checkRoomForMeta, type NamespaceContext } from "./call.ts";
import { NO_TAGS, type EntryKey } from "../entry/key.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import { lifetimeOf, type EntryOptions } from "../entry/policy.ts";
import { termsIn } from "../entry/terms.ts";
import { inWindow, partsOf, WINDOW } from "../primitives/in-windows.ts";
import { newId } from "../primitives/ids.ts";
import { Semaphore } from "../primitives/semaphore.ts";
import { BackendRefusedError } from "../tiers/backend-calls.ts";
import { orPending } from "../tiers/recovery.ts";
import { confirmStored } from "./store.ts";
import { compareVersions, TAGS_OF_ONE_STEP, tagKeys } from "../tags/tag-versions.ts";
import { Guard } from "../coherence/guards.ts";
import type { Epoch } from "../coherence/parts.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";
import { describeInvalidation } from "./explanations.ts";
import type {
  DeleteManyResult,
  DeleteResult,
  InvalidateResult,
  MarkStaleResult,
  WriteManyResult,
  WriteResult,
} from "./results.ts";
import { SharedPins } from "./shared-pins.ts";
import { SetBatch, type SetCall, type SetStatus } from "./set-batch.ts";

/**
 * The calls that change entries: `set`, `delete`, `markStale`, tag invalidation and `clear`.
 *
 * Each follows the same four steps: fence everything in flight and drop the local copy; send, in the order of calls;
 * fence again when the backend has acknowledged, since a read in between may have found the old entry; and if the
 * outcome is unknown, remember the invalidation. The first step is synchronous, so no later call sees the old entry.
 */
export class Mutations {
  readonly #context: Reporting & Copies & Writing;
  readonly #leases: Iterable<Lease>;
  readonly #backoffs: Backoffs;
  /** Tag versions seen last. An unchanged one saves a write one trip; a guess, checked each time. */
  readonly #guessed = new Map<string, TagVersion>();
  readonly #pins: SharedPins;
  /** For calls of one key, however many are made in one turn: the deadline of each begins when it is sent. */
  readonly #line = new Semaphore(WINDOW);
  /** For all calls of many keys together; each has a window too. */
  readonly #bulkLine = new Semaphore(2 * WINDOW);

  /** @param leases requested or held. */
  constructor(context: Reporting & Copies & Writing, leases: Iterable<Lease>, backoffs: Backoffs) {
    this.#context = context;
    this.#leases = leases;
    this.#backoffs = backoffs;
    this.#pins = new SharedPins(context.tags);
  }

  set(
    namespace: NamespaceContext,
    key: EntryKey,
    value: unknown,
    options: EntryOptions | undefined,
  ): Promise<WriteResult> {
    const done = this.#set(namespace, key, value, options, {
      calledAt: this.#context.tags.sequence,
      line: this.#line,
    });
    this.#context.bulkWrites.overtake(key.local, done);
    return done;
  }

  /** As {@link set}, with the same options for all. */
  async setMany(
    namespace: NamespaceContext,
    entries: readonly { readonly key: EntryKey; readonly value: unknown }[],
    options: EntryOptions | undefined,
  ): Promise<WriteManyResult> {
    const { local } = this.#context;
    const turn = { calledAt: this.#context.tags.sequence, line: this.#bulkLine };
    // The others are set in this very tick. Until their turn comes the caller may change these values.
    const given = entries.map((entry, i) =>
      i < WINDOW || local === undefined ? entry : { ...entry, value: local.handOut(entry.value) },
    );
    const statuses = await this.#bulk(namespace, "set", given, "stored", ({ key, value }) =>
      this.#set(namespace, key, value, options, turn).then(({ status }) => status),
    );
    return {
      stored: tally(statuses, "stored"),
      pending: tally(statuses, "pending"),
      refused: tally(statuses, "refused"),
    };
  }

  /** Loads and copies from before the call are fenced. An earlier call of many keys may store a key until its turn. */
  #bulk<T extends { readonly key: EntryKey }, S extends string>(
    { remote }: NamespaceContext,
    by: "set" | "delete",
    items: readonly T[],
    overtaken: S,
    write: (item: T) => Promise<S>,
  ): Promise<readonly S[]> {
    const { flights, writes, bulkWrites } = this.#context;
    // In memory alone a copy stays until the one step that replaces it.
    for (const { key } of items)
      if (remote === undefined) flights.fence(key.local, by);
      else this.#fence(key, by);
    return writes.include(bulkWrites.run(items, write, overtaken));
  }

  async #set(
    namespace: NamespaceContext,
    key: EntryKey,
    value: unknown,
    options: EntryOptions | undefined,
    { calledAt, line }: Turn,
  ): Promise<WriteResult> {
    const { local, clock } = this.#context;
    const { remote } = namespace;
    if ((options?.tags?.length ?? 0) !== 0 || options?.etag !== undefined || options?.lastModified !== undefined)
      checkRoomForMeta(namespace);
    const life = lifetimeOf(value, namespace.policy, options);
    if (life === undefined)
      return { status: (await this.#delete(namespace, key, line)).status === "pending" ? "pending" : "refused" };
    const entry = newEntry({
      // It may be written late, and until then the caller may change its value.
      value: remote === undefined || local === undefined ? value : local.handOut(value),
      ttlMs: life.ttlMs,
      terms: termsIn(key.space, life, labelsOf(options)),
      now: clock.now(),
      tagSequence: calledAt,
      version: remote?.leases && newId(),
    });
    if (remote === undefined) return this.#setHere(namespace, key, entry);
    const status = await this.#queue(remote, key, { namespace, entry }, line);
    this.#reportKey(key, "remove");
    return { status };
  }

  /** Sends the entry after the earlier writes of its key, unless a later `set` overtakes it until then. */
  #queue(remote: RemoteTier, key: EntryKey, call: SetCall, line: Semaphore): Promise<SetStatus> {
    const { flights, writes } = this.#context;
    this.#fence(key, "set");
    const guard = new Guard("write");
    flights.add(key.local, guard);
    const waiting = writes.waiting(key.local);
    if (waiting instanceof SetBatch) {
      flights.remove(waiting.guard);
      waiting.guard = guard;
      return waiting.add(call);
    }
    const batch = new SetBatch(guard);
    const status = batch.add(call);
    const sendInTurn = (): Promise<void> => line.run(() => this.#sendLast(remote, key, batch));
    void writes.run(key.local, sendInTurn, batch).then(() => batch.settle());
    return status;
  }

  async #sendLast(remote: RemoteTier, key: EntryKey, batch: SetBatch): Promise<void> {
    const { flights } = this.#context;
    await batch.send(
      (value) => remote.encode(value),
      (call, encoded) => this.#send(remote, key, call, encoded, batch.guard),
    );
    flights.remove(batch.guard);
    // Also if no value could be encoded: a fenced flight stores nothing.
    flights.releaseFenced(key.local);
  }

  async #send(
    remote: RemoteTier,
    key: EntryKey,
    { namespace, entry }: SetCall,
    encoded: Encoded,
    guard: Guard,
  ): Promise<SetStatus> {
    const { trust, recovery } = this.#context;
    let versions: readonly TagVersion[] | undefined;
    let isWatched = true;
    const status = await orPending(recovery, key, async () => {
      guard.resend(trust.epochOf(key.local));
      try {
        const written = await this.#write(remote, key, entry, encoded);
        versions = written.versions;
        return written.status;
      } catch (error) {
        isWatched = error instanceof BackendRefusedError && (await this.#watch(remote, key, entry, guard));
        throw error;
      }
    });
    this.#acknowledged(key, "set");
    const epoch = isWatched && status !== "refused" ? this.#context.flights.copyEpoch(guard) : trust.unconfirmed;
    this.#keep(namespace, key, storedEntry(entry, versions, encoded), guard, { status, epoch });
    return status;
  }

  /**
   * Reads what a refused entry was to replace: from then on the backend reports each change by others, which ends the
   * copy of this process. One from before that counts as older than this call.
   */
  #watch(remote: RemoteTier, key: EntryKey, entry: Entry, guard: Guard): Promise<boolean> {
    guard.resend(this.#context.trust.epochOf(key.local));
    const { tagSequence } = entry;
    const request = { key, schema: undefined, expectedTags: entry.terms.tags, tagSequence };
    return remote.read(request, remote.deadlineMs).then(
      () => true,
      () => false,
    );
  }

  /** Without a backend. One step, so the old copy is dropped only for a new one. */
  #setHere({ policy }: NamespaceContext, key: EntryKey, entry: Entry): WriteResult {
    const { local, clock, flights } = this.#context;
    const now = clock.now();
    const error = local?.put(key.local, entry, policy.localTtlMs ?? Infinity, EPOCH_ALWAYS);
    if (error !== undefined) throw error;
    flights.fence(key.local, "set");
    this.#backoffs.end(key.local);
    this.#reportKey(key, "remove");
    // The tier may have found it too large.
    return { status: local?.get(key.local, now) === undefined ? "refused" : "stored" };
  }

  /** Keeps the local copy of an entry that was sent, unless something newer was called meanwhile. */
  #keep(
    { policy, remote }: NamespaceContext,
    key: EntryKey,
    entry: Entry,
    guard: Guard,
    { status, epoch }: { readonly status: SetStatus; readonly epoch: Epoch },
  ): void {
    const { local, tags } = this.#context;
    // If it is hidden, it may have been removed instead.
    if (guard.fencedBy !== undefined || this.#isHidden(entry)) return;
    // The acknowledgement of an earlier call counts here, too: the entry may have been sent under the versions before.
    if (tags.wasCalled(entry.terms.dependsOn, entry.tagSequence)) return;
    local?.keep(key.local, entry, policy.localTtlMs ?? Infinity, epoch);
    if (status === "stored") confirmStored(this.#context, remote?.leases, guard, key, entry.version);
  }

  delete(namespace: NamespaceContext, key: EntryKey): Promise<DeleteResult> {
    const done = this.#delete(namespace, key, this.#line);
    this.#context.bulkWrites.overtake(key.local, done);
    return done;
  }

  /** As {@link delete}. */
  async deleteMany(namespace: NamespaceContext, keys: readonly EntryKey[]): Promise<DeleteManyResult> {
    const { local, clock } = this.#context;
    const now = clock.now();
    // Before they are fenced: a copy here counts as deleted.
    const items = keys.map((key) => ({ key, wasHere: local?.get(key.local, now) !== undefined }));
    const statuses = await this.#bulk(namespace, "delete", items, "deleted", async ({ key, wasHere }) => {
      const { status } = await this.#delete(namespace, key, this.#bulkLine);
      return status === "missing" && wasHere ? "deleted" : status;
    });
    return {
      deleted: tally(statuses, "deleted"),
      missing: tally(statuses, "missing"),
      pending: tally(statuses, "pending"),
    };
  }

  async #delete(namespace: NamespaceContext, key: EntryKey, line: Semaphore): Promise<DeleteResult> {
    const { local, clock, writes, recovery } = this.#context;
    const { remote } = namespace;
    const wasHere = local?.get(key.local, clock.now()) !== undefined;
    this.#fence(key, "delete");
    this.#reportKey(key, "remove");
    if (remote === undefined) return { status: wasHere ? "deleted" : "missing" };
    const status = await writes.run(key.local, () =>
      line.run(() => orPending(recovery, key, () => remote.remove(key))),
    );
    this.#acknowledged(key, "delete");
    return { status: wasHere && status === "missing" ? "deleted" : status };
  }

  markStale(namespace: NamespaceContext, key: EntryKey): Promise<MarkStaleResult> {
    const { bulkWrites } = this.#context;
    const done = this.#markStale(namespace, key, bulkWrites.has(key.local));
    bulkWrites.overtake(key.local, done);
    return done;
  }

  /** @param isReplaced what is there may be older than a call of many keys, whose turn for this key has not come. */
  async #markStale({ remote }: NamespaceContext, key: EntryKey, isReplaced: boolean): Promise<MarkStaleResult> {
    const { local, clock, writes, recovery } = this.#context;
    const now = clock.now();
    const held = local?.get(key.local, now);
    this.#fence(key, "stale");
    this.#reportKey(key, "stale");
    if (remote === undefined) {
      if (held === undefined || isReplaced) return { status: "missing" };
      const staleNow = staleFrom(held, now);
      if (lifeOf(staleNow, now).expiresInMs > 0) local!.replace(key.local, staleNow);
      return { status: "stale" };
    }
    const send = async (): Promise<"stale" | "missing"> => {
      const status = isReplaced ? undefined : await remote.markStale(key);
      if (status !== undefined && recovery?.covers(key, NO_TAGS) !== true) return status;
      // Its removal is pending, perhaps since the call was sent: the entry there must not come back as stale.
      await remote.remove(key);
      return "missing";
    };
    const status = await writes.run(key.local, () => this.#line.run(() => orPending(recovery, key, send)));
    this.#acknowledged(key, "stale");
    return { status };
  }

  /** `tags` empty: the whole namespace. */
  invalidate(namespace: NamespaceContext, names: readonly string[], mode: "hard" | "soft"): Promise<InvalidateResult> {
    return this.#context.writes.include(this.#invalidate(namespace, names, mode));
  }

  async #invalidate(
    namespace: NamespaceContext,
    names: readonly string[],
    mode: "hard" | "soft",
  ): Promise<InvalidateResult> {
    const { tags, local, recovery, events } = this.#context;
    const { keySpace, remote } = namespace;
    checkRoomForMeta(namespace);
    const keys = tagKeys(keySpace, names);
    tags.called(keySpace, keys, mode);
    this.#context.decisions?.note(keySpace.tagPrefixes.at(-1)!, "write", describeInvalidation(names, mode));
    const callSequence = tags.sequence;
    // No entry outlives the clear of the root, so all copies can go together.
    if (mode === "hard" && names.length === 0 && keySpace.path.length === 0) local?.tier.clear();
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
    if (remote?.versions === undefined) return { status: "done" };
    for (const key of keys) this.#guessed.delete(key);
    const { versions } = remote;
    const renew = async (part: readonly string[]): Promise<InvalidateResult["status"]> => {
      let status: InvalidateResult["status"] = "done";
      try {
        await versions.renew(part, mode);
        recovery?.acknowledgedTags(keySpace, part, mode, callSequence);
      } catch {
        recovery?.addTags(keySpace, part, mode, callSequence);
        status = "pending";
      }
      // In the tick in which an earlier call is no longer pending: what was read before may be older than both.
      tags.acknowledged(keySpace, part, mode);
      return status;
    };
    const renewing = inWindow([...partsOf(keys, TAGS_OF_ONE_STEP)], renew, STEPS_AT_ONCE);
    // After the renewal was sent: before it, another load might be granted under the old versions, and could not be
    // stored.
    for (const lease of this.#leases) lease.releaseUnder(keys);
    const isPending = (await renewing).includes("pending");
    // Leases granted meanwhile: the results of their loads are fenced by now.
    for (const lease of this.#leases) lease.releaseUnder(keys);
    return { status: isPending ? "pending" : "done" };
  }

  /**
   * One trip if the versions seen last are still current: they are read in the same tick. Otherwise versions are
   * pinned, and the entry is written under them.
   */
  async #write(remote: RemoteTier, key: EntryKey, entry: Entry, encoded: Encoded): Promise<Written> {
    if (remote.isBypassed || this.#isHidden(entry)) return this.#removeInstead(remote, key);
    const versions = remote.versions;
    if (versions === undefined) return { status: await remote.write(key, { entry, encoded, versions }), versions };
    const { dependsOn } = entry.terms;
    const guesses = dependsOn.map((each) => this.#guessed.get(each));
    if (guesses.every((guess) => guess !== undefined)) {
      const [status, current] = await Promise.all([
        remote.write(key, { entry, encoded, versions: guesses }),
        versions.read(dependsOn),
      ]);
      if (compareVersions(guesses, current) === "current") return { status, versions: guesses };
    }
    const pinned = await this.#pins.pin(versions, dependsOn);
    if (this.#isHidden(entry)) return this.#removeInstead(remote, key);
    if (this.#guessed.size > MAX_GUESSED) this.#guessed.clear();
    dependsOn.forEach((each, i) => this.#guessed.set(each, pinned.versions[i]!));
    return {
      status: await remote.write(key, { entry, encoded, versions: pinned.versions }),
      versions: pinned.versions,
    };
  }

  /**
   * Whether a tag call was made after the `set` of this entry. Under the versions of today the entry
   * would outlive that call.
   */
  #isHidden({ terms, tagSequence }: Entry): boolean {
    return this.#context.tags.wasMade(terms.dependsOn, tagSequence);
  }

  /** A bypassed backend keeps nothing new, and nothing older for when it is used again. */
  async #removeInstead(remote: RemoteTier, key: EntryKey): Promise<Written> {
    const status = remote.isBypassed ? "refused" : "stored";
    await remote.remove(key);
    return { status, versions: undefined };
  }

  #fence(key: EntryKey, by: FencedBy): void {
    this.#context.flights.fence(key.local, by);
    this.#context.local?.tier.delete(key.local);
    this.#backoffs.end(key.local);
  }

  /** A read before the acknowledgement may have found an older entry. */
  #acknowledged(key: EntryKey, by: FencedBy): void {
    this.#context.flights.fenceReads(key.local, by);
    this.#context.flights.releaseFenced(key.local);
    this.#context.local?.tier.delete(key.local);
    this.#backoffs.end(key.local);
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
}

/** When a `set` was called, and where it waits to be sent. */
interface Turn {
  /** The number of the last tag event before the call. */
  readonly calledAt: number;
  readonly line: Semaphore;
}

interface Written {
  readonly status: "stored" | "refused";
  readonly versions: readonly TagVersion[] | undefined;
}

const tally = (statuses: readonly string[], status: string): number =>
  statuses.filter((each) => each === status).length;

const labelsOf = (options: EntryOptions | undefined): Labels => ({
  tags: options?.tags === undefined ? NO_TAGS : [...new Set(options.tags)],
  etag: options?.etag,
  lastModified: options?.lastModified,
});

const MAX_GUESSED = 10_000;
const STEPS_AT_ONCE = 16;
