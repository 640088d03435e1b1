import { Guard } from "../coherence/guards.ts";
import type { Epoch } from "../coherence/parts.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";
import type { TagVersion } from "../contracts/capabilities.ts";
import { ConfigurationError } from "../contracts/errors.ts";
import type { FencedBy } from "../contracts/events.ts";
import type {
  DeleteManyResult,
  DeleteResult,
  MarkStaleResult,
  WriteManyResult,
  WriteResult,
} from "../contracts/results.ts";
import type { Encoded } from "../entry/codec.ts";
import { newEntry, storedEntry, type Entry, type Labels } from "../entry/entry.ts";
import { lifeOf, staleFrom } from "../entry/freshness.ts";
import { dependencies, keyEvent, NO_TAGS, tagNames, type EntryKey } from "../entry/key.ts";
import { checked } from "../entry/options.ts";
import { lifetimeOf, type SetOptions } from "../entry/policy.ts";
import { termsIn } from "../entry/terms.ts";
import { newId } from "../primitives/ids.ts";
import { isThenable } from "../primitives/thenable.ts";
import { compareVersions } from "../tags/tag-versions.ts";
import { BackendRefusedError } from "../tiers/backend-calls.ts";
import { orPending } from "../tiers/recovery.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import type { Backoffs } from "./backoffs.ts";
import { checkRoomForMeta, type NamespaceContext } from "./call.ts";
import type { Copies, Life, Reporting, Writing } from "./context.ts";
import type { BehindFence, FarFences } from "./far-fences.ts";
import type { Fences, Standing } from "./fences.ts";
import { HELD, storeUnlessHeld } from "./held.ts";
import { keepFirst, SetBatch, type SetCall, type SetStatus } from "./set-batch.ts";
import { confirmStored } from "./store.ts";
import { type Line, WriteLines } from "./write-lines.ts";

/**
 * The calls that change entries by their keys: `set`, `delete` and `markStale`. As those of tags, each follows the same
 * four steps: fence everything in flight and drop the local copy; send, in the order of calls; fence again when the
 * backend has acknowledged, since a read in between may have found the old entry; and if the outcome is unknown,
 * remember the invalidation. The first step is synchronous, so no later call sees the old entry.
 */
export class Mutations {
  readonly #context: MutationContext;
  readonly #backoffs: Backoffs;
  readonly #fences: Fences;
  readonly #far: FarFences | undefined;
  readonly #lines: WriteLines;

  constructor(context: MutationContext, backoffs: Backoffs, fences: Fences, far: FarFences | undefined) {
    this.#context = context;
    this.#backoffs = backoffs;
    this.#far = far;
    this.#fences = fences;
    this.#lines = new WriteLines(context.writes);
  }

  /**
   * @throws {InvalidArgumentError} for a bad option of `set`.
   * @throws {ConfigurationError} if it is to wait for a memory tier, and there is none.
   */
  check(options: SetOptions | undefined, entries: readonly { readonly key: EntryKey }[]): void {
    checked("entry", options);
    if (options?.wait === "memory" && this.#context.local === undefined)
      throw new ConfigurationError('wait: "memory" needs a local tier; add memory() before the backend');
    if (options?.since !== undefined) this.#fences.check(options.since, entries);
  }

  async set(namespace: NamespaceContext, key: EntryKey, value: unknown, options?: SetOptions): Promise<WriteResult> {
    return { status: await this.#set(namespace, { key, value }, options, this.#lines.single) };
  }

  /** Sets many entries like {@link set}. With a fence only the last value of a key that is there twice is sent. */
  async setMany(
    namespace: NamespaceContext,
    entries: readonly KeyAndValue[],
    options: SetOptions | undefined,
  ): Promise<WriteManyResult> {
    const byKey = options?.since && new Map(entries.map((entry) => [entry.key.local, entry]));
    const sent = byKey === undefined ? entries : [...byKey.values()];
    const counts = await this.#lines.many(sent, (entry, line) => this.#set(namespace, entry, options, line));
    return { stored: 0, pending: 0, refused: 0, ...counts };
  }

  async #set(
    namespace: NamespaceContext,
    { key, value }: KeyAndValue,
    options: SetOptions | undefined,
    line: Line,
  ): Promise<SetStatus> {
    const { local, clock, tags, notice } = this.#context;
    const { remote } = namespace;
    if ((options?.tags?.length ?? 0) !== 0 || options?.etag !== undefined || options?.lastModified !== undefined)
      checkRoomForMeta(namespace);
    const labels = labelsOf(options);
    const standing = options?.since && this.#fences.use(options.since, key);
    if (standing !== undefined && !this.#mayStore(standing, key, dependencies(key.space, labels.tags)))
      return "refused";
    const life = lifetimeOf(value, namespace.policy, options);
    if (life === undefined) return (await this.#delete(namespace, key, line)) === "pending" ? "pending" : "refused";
    notice?.(namespace, key.name, value, namespace.policy.givenTtl);
    const entry = newEntry({
      // It may be written late, and until then the caller may change its value.
      value: remote === undefined || local === undefined ? value : local.values.handOut(value),
      ttlMs: life.ttlMs,
      terms: termsIn(key.space, life, labels),
      now: clock.now(),
      tagSequence: standing?.tagSequence ?? tags.sequence,
      version: remote?.leases && newId(),
    });
    const call = { namespace, key, entry, standing };
    if (remote === undefined) return this.#setHere(call);
    const encoding = options?.wait === "memory" ? { encoding: remote.encode(entry.value) } : undefined;
    return await this.#queue(remote, { ...call, ...encoding }, line);
  }

  /** Whether nothing has changed since the fence of a value was taken, and no open transaction is to change it. */
  #mayStore(standing: Standing, key: EntryKey, dependsOn: readonly string[]): boolean {
    return this.#fences.stands(standing, dependsOn) && this.#context.barrier?.holds(key, dependsOn) !== true;
  }

  /** Sends the entry after the earlier writes of its key, unless a later `set` overtakes it until then. */
  #queue(remote: RemoteTier, sent: Omit<SetCall, "ends">, line: Line): Promise<SetStatus> {
    const { flights, writes } = this.#context;
    const { key, standing } = sent;
    const { promise, resolve, reject } = Promise.withResolvers<SetStatus>();
    const call: SetCall = { ...sent, ends: { resolve, reject } };
    // One behind a fence may be refused, and ends nothing then.
    if (standing === undefined) this.#fence(key, "set");
    const guard = new Guard("write");
    flights.add(key.local, guard);
    if (call.encoding !== undefined) keepFirst(this.#context, call, guard, call.encoding);
    const waiting = writes.waiting(key.local);
    if (waiting instanceof SetBatch && standing === undefined) {
      flights.remove(waiting.guard);
      waiting.guard = guard;
      waiting.calls.push(call);
      if (line === this.#lines.single) writes.hurry(key.local);
    } else void this.#sendInTurn(remote, new SetBatch(call, guard), line);
    return promise;
  }

  async #sendInTurn(remote: RemoteTier, batch: SetBatch, line: Line): Promise<void> {
    const { key, standing } = batch.calls[0]!;
    const waiting = standing === undefined ? batch : undefined;
    await this.#lines.inTurn(key.local, line, () => this.#sendLast(remote, batch), waiting);
    // No later write waits for this one any more.
    for (const { ends, refusal } of batch.calls) {
      if (refusal === undefined) this.#reportKey(key, "remove");
      if (refusal === undefined) ends.resolve(batch.status!);
      else ends.reject(refusal.error);
    }
  }

  /**
   * Sends the last call that can be encoded. The value of each call is encoded: one that cannot be rejects its call,
   * sent or not.
   */
  async #sendLast(remote: RemoteTier, batch: SetBatch): Promise<void> {
    const { flights } = this.#context;
    const { guard, calls } = batch;
    for (const call of calls.toReversed())
      try {
        const encoding = call.encoding ?? remote.encode(call.entry.value);
        const encoded = isThenable(encoding) ? await encoding : encoding;
        if (batch.status === undefined) batch.status = await this.#send(remote, call, encoded, guard);
      } catch (error) {
        call.refusal = { error };
      }
    flights.remove(guard);
    // Also if no value could be encoded: a fenced flight stores nothing.
    flights.releaseFenced(guard.tableKey);
    for (const { answered } of calls) answered?.();
  }

  /** Sends one call, and fences again when it is acknowledged. */
  async #send(remote: RemoteTier, call: SetCall, encoded: Encoded, guard: Guard): Promise<SetStatus> {
    const { trust, recovery, flights, local } = this.#context;
    const { key, entry, standing } = call;
    const wasTainted = guard.isTainted;
    let isWatched = true;
    guard.resend(trust.epochOf(key.local));
    const write = async (): Promise<Written> => {
      try {
        if (standing === undefined || remote.isBypassed) return await this.#write(remote, call, encoded);
        return await this.#writeBehind(remote, call, standing, encoded);
      } catch (error) {
        isWatched = await this.#watch(remote, call, guard, error);
        throw error;
      }
    };
    // What has overtaken it, and a removal that is pending, stay.
    const written = await orPending(recovery, key, write, ({ status }) => status !== "overtaken");
    const { status, versions } = written === "pending" ? PENDING : written;
    if (status === "overtaken") return this.#overtaken(call, written === HELD ? "transaction" : "lease");
    this.#acknowledged(key, "set");
    const isOvertaken = (): boolean =>
      wasTainted || guard.isTainted || this.#fences.isOvertaken(standing!, entry.terms.dependsOn);
    if (standing && status === "pending" && isOvertaken()) {
      local?.tier.delete(key.local);
      return "refused";
    }
    const stands = standing?.isKept && status === "stored" && guard.fencedBy === undefined;
    if (stands) this.#fences.renew(standing, key, entry.version);
    // What was reported meanwhile was at the same time as this call.
    const isSound = isWatched && status !== "refused" && flights.isUntainted(guard);
    const epoch = isSound ? guard.epoch! : trust.unconfirmed;
    this.#keep(call, storedEntry(entry, versions, encoded), guard, { status, epoch });
    return status;
  }

  /** Writes a value that was made outside a load: unless something has changed since its fence was taken. */
  #writeBehind(
    remote: RemoteTier,
    { key, entry }: SetCall,
    standing: Standing,
    encoded: Encoded,
  ): Promise<BehindFence> {
    const stands = (): boolean => this.#fences.stands(standing, entry.terms.dependsOn);
    const write = { key, entry, fence: standing.far!, encoded, stands };
    return storeUnlessHeld(this.#context, remote, entry, key, () => this.#far!.store(remote, write));
  }

  #overtaken({ key, answered }: SetCall, by: FencedBy): "refused" {
    const { local, events, name } = this.#context;
    local?.tier.delete(key.local);
    if (answered !== undefined) events.fenced.emit({ ...keyEvent(name, key), by });
    return "refused";
  }

  /**
   * After a refused `set`, reads the key once, so the backend tracks it for this process: each later change by others
   * ends the copy. One from before that counts as older than this call.
   */
  async #watch(remote: RemoteTier, { key, entry }: SetCall, guard: Guard, error: unknown): Promise<boolean> {
    if (!(error instanceof BackendRefusedError)) return false;
    guard.resend(this.#context.trust.epochOf(key.local));
    const { tagSequence, terms } = entry;
    const request = { key, schema: undefined, expectedTags: terms.tags, tagSequence };
    try {
      await remote.reads.read(request, remote.deadlineMs);
      return true;
    } catch {
      // The tier has reported it.
      return false;
    }
  }

  /** Sets a value in memory alone. It is one step, so the old copy is dropped only for a new one. */
  #setHere({ namespace: { policy }, key, entry, standing }: Omit<SetCall, "ends">): SetStatus {
    const { local, clock, flights } = this.#context;
    const now = clock.now();
    const error = local?.put(key.local, entry, policy.localTtlMs ?? Infinity, EPOCH_ALWAYS);
    if (error !== undefined) throw error;
    flights.fence(key.local, "set");
    this.#backoffs.end(key.local);
    if (standing?.isKept) this.#fences.renew(standing, key, undefined);
    this.#reportKey(key, "remove");
    // The tier may have found it too large.
    return local?.get(key.local, now) === undefined ? "refused" : "stored";
  }

  /** Keeps the local copy of an entry that was sent, unless something newer was called meanwhile. */
  #keep(
    { namespace: { policy, remote }, key, encoding }: SetCall,
    entry: Entry,
    guard: Guard,
    { status, epoch }: { readonly status: SetStatus; readonly epoch: Epoch },
  ): void {
    const { local, tags } = this.#context;
    if (guard.fencedBy !== undefined) return;
    // What was kept first has no versions: no call of others would end it.
    if (encoding !== undefined) local?.drop(key.local);
    // The acknowledgement of an earlier call counts here, too: the entry may have been sent under the versions before.
    if (this.#isHidden(entry) || tags.wasCalled(entry.terms.dependsOn, entry.tagSequence)) return;
    local?.keep(key.local, entry, policy.localTtlMs ?? Infinity, epoch);
    if (status === "stored") confirmStored(this.#context, remote?.leases, guard, key, entry.version);
  }

  async delete(namespace: NamespaceContext, key: EntryKey): Promise<DeleteResult> {
    return { status: await this.#delete(namespace, key, this.#lines.single) };
  }

  /** Deletes many keys like {@link delete}. */
  async deleteMany(namespace: NamespaceContext, keys: readonly EntryKey[]): Promise<DeleteManyResult> {
    const counts = await this.#lines.many(keys, (key, line) => this.#delete(namespace, key, line));
    return { deleted: 0, missing: 0, pending: 0, ...counts };
  }

  async #delete({ remote }: NamespaceContext, key: EntryKey, line: Line): Promise<DeleteResult["status"]> {
    const { local, clock } = this.#context;
    const wasHere = local?.get(key.local, clock.now()) !== undefined;
    this.#fence(key, "delete");
    this.#reportKey(key, "remove");
    const status = remote === undefined ? "missing" : await this.#change(key, "delete", line, () => remote.remove(key));
    return wasHere && status === "missing" ? "deleted" : status;
  }

  /** Sends a change in the turn of the key, and fences again when it is acknowledged. */
  #change<S>(key: EntryKey, by: FencedBy, line: Line, send: () => Promise<S>): Promise<S | "pending"> {
    return this.#lines.inTurn(key.local, line, async () => {
      const status = await orPending(this.#context.recovery, key, send);
      this.#acknowledged(key, by);
      return status;
    });
  }

  async markStale({ remote }: NamespaceContext, key: EntryKey): Promise<MarkStaleResult> {
    const { local, clock, recovery } = this.#context;
    const now = clock.now();
    const held = local?.get(key.local, now);
    this.#fence(key, "stale");
    this.#reportKey(key, "stale");
    if (remote === undefined) {
      if (held === undefined) return { status: "missing" };
      const staleNow = staleFrom(held, now);
      if (lifeOf(staleNow, now).expiresInMs > 0) local!.replace(key.local, staleNow);
      return { status: "stale" };
    }
    const mark = async (): Promise<"stale" | "missing"> => {
      const status = await remote.markStale(key);
      if (recovery?.removes(key) !== true) return status;
      // Its removal is pending, perhaps since the call was sent: the entry there must not come back as stale.
      await remote.remove(key);
      return "missing";
    };
    return { status: await this.#change(key, "stale", this.#lines.single, mark) };
  }

  /**
   * One trip if the versions seen last are still current: they are read in the same tick. Otherwise versions are
   * pinned, and the entry is written under them.
   */
  async #write(remote: RemoteTier, { key, entry }: SetCall, encoded: Encoded): Promise<Written> {
    if (remote.isBypassed || this.#isHidden(entry)) return this.#removeInstead(remote, key);
    const { versions, knownVersions } = remote;
    const { dependsOn } = entry.terms;
    const send = async (under: Written["versions"]): Promise<Written> => {
      const status = await remote.write(key, { entry, encoded, versions: under });
      return { status, versions: under };
    };
    if (versions === undefined) return await send(undefined);
    const seen = knownVersions.allLastSeen(dependsOn);
    if (seen !== undefined) {
      const [written, current] = await Promise.all([send(seen), versions.read(dependsOn)]);
      if (compareVersions(seen, current) === "unchanged") return written;
    }
    const pinning = knownVersions.pin(versions, dependsOn, true);
    const { versions: pinned } = isThenable(pinning) ? await pinning : pinning;
    if (this.#isHidden(entry)) return this.#removeInstead(remote, key);
    return await send(dependsOn.map((each) => pinned.get(each)!));
  }

  /**
   * Whether a tag call was made after the `set` of this entry. Under today's versions the entry would outlive that
   * call.
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

  /** A read before the acknowledgement may have found an older entry. The copy of a later `set` stays. */
  #acknowledged(key: EntryKey, by: FencedBy): void {
    this.#context.flights.fenceReads(key.local, by);
    this.#context.flights.releaseFenced(key.local);
    if (!this.#context.recovery?.isEarly(key)) this.#context.local?.tier.delete(key.local);
    this.#backoffs.end(key.local);
  }

  #reportKey(key: EntryKey, mode: "remove" | "stale"): void {
    const { events, name, decisions } = this.#context;
    decisions?.note(key.local, "write", mode === "remove" ? "replaced or removed here" : "marked stale here");
    if (!events.invalidate.isObserved) return;
    events.invalidate.emit({ ...keyEvent(name, key), scope: "key", mode, origin: "here" });
  }
}

type MutationContext = Reporting & Copies & Writing & Pick<Life, "waitUntil">;

interface KeyAndValue {
  readonly key: EntryKey;
  readonly value: unknown;
}

interface Written {
  readonly status: SetStatus | "overtaken";
  readonly versions: readonly TagVersion[] | undefined;
}

const PENDING: Written = { status: "pending", versions: undefined };

const labelsOf = (options: SetOptions | undefined): Labels => ({
  tags: options?.tags === undefined ? NO_TAGS : tagNames(options.tags),
  etag: options?.etag,
  lastModified: options?.lastModified,
});
