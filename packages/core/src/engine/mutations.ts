import { Guard } from "../coherence/guards.ts";
import type { Epoch } from "../coherence/parts.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
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
import { type Settlers, guarded, promised } from "../primitives/settlers.ts";
import { isThenable } from "../primitives/thenable.ts";
import { compareVersions, type Pinned, type Versions } from "../tags/tag-versions.ts";
import { BackendRefusedError } from "../tiers/backend-calls.ts";
import { orPending } from "../tiers/recovery.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import type { Backoffs } from "./backoffs.ts";
import { BARRED, storeUnlessBarred } from "./barred.ts";
import { checkRoomForMeta, type NamespaceContext } from "./call.ts";
import type { Copies, Life, Reporting, Writing } from "./context.ts";
import type { BehindFence, FarFences } from "./far-fences.ts";
import type { Fences, Standing } from "./fences.ts";
import { keepFirst, SetBatch, type SetCall, type SetOutcome, type SetStatus } from "./set-batch.ts";
import { confirmStored } from "./store.ts";
import { type Line, ofOne, WriteLines } from "./write-lines.ts";

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

  set(namespace: NamespaceContext, key: EntryKey, value: unknown, options?: SetOptions): Promise<WriteResult> {
    return ofOne((ends) => this.#set(namespace, { key, value }, options, this.#lines.single, ends));
  }

  /** Sets many entries like {@link set}. With a fence only the last value of a key that is there twice is sent. */
  async setMany(
    namespace: NamespaceContext,
    entries: readonly KeyAndValue[],
    options: SetOptions | undefined,
  ): Promise<WriteManyResult> {
    const byKey = options?.since && new Map(entries.map((entry) => [entry.key.local, entry]));
    const sent = byKey === undefined ? entries : [...byKey.values()];
    const counts = await this.#lines.many<KeyAndValue, SetStatus>(sent, (entry, line, ends) =>
      this.#set(namespace, entry, options, line, ends),
    );
    return { stored: 0, pending: 0, refused: 0, ...counts };
  }

  #set(
    namespace: NamespaceContext,
    { key, value }: KeyAndValue,
    options: SetOptions | undefined,
    line: Line,
    ends: Settlers<SetStatus>,
  ): void {
    const { local, clock, tags, notice } = this.#context;
    const { remote } = namespace;
    if ((options?.tags?.length ?? 0) !== 0 || options?.etag !== undefined || options?.lastModified !== undefined)
      checkRoomForMeta(namespace);
    const labels = labelsOf(options);
    const standing = options?.since && this.#fences.use(options.since, key);
    if (standing !== undefined && !this.#mayStore(standing, key, dependencies(key.space, labels.tags)))
      return ends.resolve("refused");
    const life = lifetimeOf(value, namespace.policy, options);
    if (life === undefined) {
      const removed = (status: string): void => ends.resolve(status === "pending" ? "pending" : "refused");
      return this.#delete(namespace, key, line, { resolve: removed, reject: ends.reject });
    }
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
    if (remote === undefined) return ends.resolve(this.#setHere(call));
    if (options?.wait !== "memory") return this.#queue(remote, { ...call, ends }, line);
    const encoding = remote.encode(entry.value);
    // Ends twice: once memory has it, and when the backend has answered.
    const first = promised<SetStatus>((each) => this.#queue(remote, { ...call, ends: each, encoding }, line));
    first.then(ends.resolve, ends.reject);
  }

  /** Whether nothing has changed since the fence of a value was taken, and no open transaction is to change it. */
  #mayStore(standing: Standing, key: EntryKey, dependsOn: readonly string[]): boolean {
    return this.#fences.stands(standing, dependsOn) && this.#context.barrier?.bars(key, dependsOn) !== true;
  }

  /** Sends the entry after the earlier writes of its key, unless a later `set` overtakes it until then. */
  #queue(remote: RemoteTier, call: SetCall, line: Line): void {
    const { flights, writes } = this.#context;
    const { key } = call;
    // One behind a fence may be refused, and ends nothing then.
    if (call.standing === undefined) this.#fence(key, "set");
    const guard = new Guard("write");
    flights.add(key.local, guard);
    if (call.encoding !== undefined) keepFirst(this.#context, call, guard, call.encoding);
    const waiting = writes.waiting(key.local);
    if (waiting instanceof SetBatch && call.standing === undefined) {
      flights.remove(waiting.guard);
      waiting.guard = guard;
      waiting.calls.push(call);
      if (line === this.#lines.single) writes.hurry(key.local);
      return;
    }
    const batch = new SetBatch(call, guard);
    const begin = (over: () => void): void => this.#sendNext(remote, batch, batch.calls.length - 1, over);
    this.#lines.inTurn(key.local, line, begin, call.standing === undefined ? batch : undefined);
  }

  /**
   * Sends the last call that can be encoded. The value of each call is encoded: one that cannot be rejects its call,
   * sent or not. Then they are answered.
   */
  #sendNext(remote: RemoteTier, batch: SetBatch, at: number, over: () => void): void {
    const call = batch.calls[at];
    if (call === undefined) return this.#sent(batch, over);
    const goOn = (): void => this.#sendNext(remote, batch, at - 1, over);
    const refused = (error: unknown): void => {
      call.refusal = { error };
      goOn();
    };
    const sent = (outcome: SetOutcome): void => {
      batch.outcome = outcome;
      goOn();
    };
    const encoded = (value: Encoded): void =>
      batch.outcome === undefined
        ? this.#send(remote, call, value, batch.guard, { resolve: sent, reject: refused })
        : goOn();
    let encoding: Awaitable<Encoded>;
    try {
      encoding = call.encoding ?? remote.encode(call.entry.value);
    } catch (error) {
      // Later: many that end in one turn would call one another.
      return queueMicrotask(() => refused(error));
    }
    if (isThenable(encoding)) void encoding.then(encoded, refused);
    else encoded(encoding);
  }

  #sent({ guard, calls, outcome }: SetBatch, over: () => void): void {
    const { flights } = this.#context;
    flights.remove(guard);
    // Also if no value could be encoded: a fenced flight stores nothing.
    flights.releaseFenced(guard.tableKey);
    for (const { answered } of calls) answered?.();
    // No later write waits for this one any more.
    over();
    for (const { key, ends, refusal } of calls) {
      if (refusal === undefined) this.#reportKey(key, "remove");
      const ended = refusal ?? outcome!;
      if ("error" in ended) ends.reject(ended.error);
      else ends.resolve(ended.status);
    }
  }

  /** @param ends rejects if nothing was sent, since the entry cannot be encoded. */
  #send(remote: RemoteTier, call: SetCall, encoded: Encoded, guard: Guard, ends: Settlers<SetOutcome>): void {
    const { trust, recovery, flights } = this.#context;
    const { key, entry, standing } = call;
    let isWatched = true;
    const end = (status: SetStatus): void => ends.resolve({ status });
    // An exception of a local tier, after the backend has answered.
    const broken = { reject: (error: unknown): void => ends.resolve({ error }) };
    const write = ({ resolve, reject }: Settlers<Written>): void => {
      const failed = (error: unknown): void =>
        this.#watch(remote, call, guard, error, (isNow) => {
          isWatched = isNow;
          reject(error);
        });
      if (standing === undefined || remote.isBypassed)
        return this.#write(remote, call, encoded, { resolve, reject: failed });
      // What has overtaken it, and a removal that is pending, stay.
      const answered = ({ status, versions }: BehindFence, by: FencedBy = "lease"): void => {
        if (status !== "overtaken") return resolve({ status, versions });
        const { local, events, name: cache } = this.#context;
        if (guard.fencedBy === undefined) local?.tier.delete(key.local);
        const of = keyEvent(cache, key);
        if (call.answered !== undefined) events.fenced.emit({ ...of, by });
        end("refused");
      };
      const stands = (): boolean => this.#fences.stands(standing, entry.terms.dependsOn);
      const { far: fence } = standing;
      const far = this.#far!.store.bind(this.#far!, remote, { key, entry, fence: fence!, encoded, stands });
      storeUnlessBarred(this.#context, remote, entry, key, far).then(
        guarded((written) => (written === undefined ? answered(BARRED, "transaction") : answered(written)), broken),
        failed,
      );
    };
    const settled = (written: Written | "pending"): void => {
      const { status, versions } = written === "pending" ? PENDING : written;
      this.#acknowledged(key, "set");
      const isOvertaken = (): boolean =>
        wasTainted || guard.isTainted || this.#fences.isOvertaken(standing!, entry.terms.dependsOn);
      if (standing && status === "pending" && isOvertaken()) {
        if (guard.fencedBy === undefined) this.#context.local?.tier.delete(key.local);
        return end("refused");
      }
      const stands = standing?.isKept && status === "stored" && guard.fencedBy === undefined;
      if (stands) this.#fences.renew(standing, key, entry.version);
      // What was reported meanwhile was at the same time as this call.
      const isSound = isWatched && status !== "refused" && flights.isUntainted(guard);
      const epoch = isSound ? guard.epoch! : trust.unconfirmed;
      this.#keep(call, storedEntry(entry, versions, encoded), guard, { status, epoch });
      end(status);
    };
    const wasTainted = guard.isTainted;
    guard.resend(trust.epochOf(key.local));
    orPending(recovery, key, write, { resolve: guarded(settled, broken), reject: ends.reject });
  }

  /**
   * After a refused `set`, reads the key once, so the backend tracks it for this process: each later change by others
   * ends the copy. One from before that counts as older than this call.
   */
  #watch(
    remote: RemoteTier,
    { key, entry }: SetCall,
    guard: Guard,
    error: unknown,
    ended: (isWatched: boolean) => void,
  ): void {
    if (!(error instanceof BackendRefusedError)) return ended(false);
    guard.resend(this.#context.trust.epochOf(key.local));
    const { tagSequence, terms } = entry;
    const request = { key, schema: undefined, expectedTags: terms.tags, tagSequence };
    remote.reads.readTo(request, remote.deadlineMs, (_, outcome) => ended(!(outcome instanceof Error)));
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

  delete(namespace: NamespaceContext, key: EntryKey): Promise<DeleteResult> {
    return ofOne((ends) => this.#delete(namespace, key, this.#lines.single, ends));
  }

  /** Deletes many keys like {@link delete}. */
  async deleteMany(namespace: NamespaceContext, keys: readonly EntryKey[]): Promise<DeleteManyResult> {
    const counts = await this.#lines.many<EntryKey, DeleteResult["status"]>(keys, (key, line, ends) =>
      this.#delete(namespace, key, line, ends),
    );
    return { deleted: 0, missing: 0, pending: 0, ...counts };
  }

  #delete({ remote }: NamespaceContext, key: EntryKey, line: Line, ends: Settlers<DeleteResult["status"]>): void {
    const { local, clock } = this.#context;
    const wasHere = local?.get(key.local, clock.now()) !== undefined;
    const done = (status: DeleteResult["status"]): void =>
      ends.resolve(wasHere && status === "missing" ? "deleted" : status);
    this.#fence(key, "delete");
    this.#reportKey(key, "remove");
    if (remote === undefined) return done("missing");
    this.#change(key, "delete", line, (sent) => remote.removeTo(key, sent), { resolve: done, reject: ends.reject });
  }

  /** Sends a change in the turn of the key, and fences again when it is acknowledged. */
  #change<S>(
    key: EntryKey,
    by: FencedBy,
    line: Line,
    send: (ends: Settlers<S>) => void,
    ends: Settlers<S | "pending">,
  ): void {
    this.#lines.inTurn(key.local, line, (over) => {
      const reject = (error: unknown): void => {
        over();
        ends.reject(error);
      };
      const settled = (status: S | "pending"): void => {
        this.#acknowledged(key, by);
        over();
        ends.resolve(status);
      };
      orPending(this.#context.recovery, key, send, { resolve: guarded(settled, { reject }), reject });
    });
  }

  markStale(namespace: NamespaceContext, key: EntryKey): Promise<MarkStaleResult> {
    return ofOne((ends) => this.#markStale(namespace, key, ends));
  }

  #markStale({ remote }: NamespaceContext, key: EntryKey, ends: Settlers<MarkStaleResult["status"]>): void {
    const { local, clock, recovery } = this.#context;
    const now = clock.now();
    const copy = local?.get(key.local, now);
    this.#fence(key, "stale");
    this.#reportKey(key, "stale");
    if (remote === undefined) {
      if (copy === undefined) return ends.resolve("missing");
      const staleNow = staleFrom(copy, now);
      if (lifeOf(staleNow, now).expiresInMs > 0) local!.replace(key.local, staleNow);
      return ends.resolve("stale");
    }
    const mark = async (): Promise<"stale" | "missing"> => {
      const status = await remote.markStale(key);
      if (recovery?.removes(key) !== true) return status;
      // Its removal is pending, perhaps since the call was sent: the entry there must not come back as stale.
      await remote.remove(key);
      return "missing";
    };
    this.#change(key, "stale", this.#lines.single, ({ resolve, reject }) => void mark().then(resolve, reject), ends);
  }

  /**
   * One trip if the versions seen last are still current: they are read in the same tick. Otherwise versions are
   * pinned, and the entry is written under them.
   */
  #write(remote: RemoteTier, { key, entry }: SetCall, encoded: Encoded, ends: Settlers<Written>): void {
    if (remote.isBypassed || this.#isHidden(entry)) return this.#removeInstead(remote, key, ends);
    const { versions } = remote;
    const { dependsOn } = entry.terms;
    let hasFailed = false;
    const reject = (error: unknown): void => {
      if (!hasFailed) ends.reject(error);
      hasFailed = true;
    };
    const send = (under: Written["versions"], sent = ends.resolve): void =>
      remote.writeTo(
        key,
        { entry, encoded, versions: under },
        { resolve: (status) => sent({ status, versions: under }), reject },
      );
    if (versions === undefined) return send(undefined);
    const pinned = ({ versions: now }: Pinned): void => {
      if (this.#isHidden(entry)) return this.#removeInstead(remote, key, ends);
      send(dependsOn.map((each) => now.get(each)!));
    };
    const pin = (): void => {
      const now = remote.knownVersions.pin(versions, dependsOn, true);
      if (isThenable(now)) void now.then(guarded(pinned, ends), reject);
      else pinned(now);
    };
    const seen = remote.knownVersions.allLastSeen(dependsOn);
    if (seen === undefined) return pin();
    let written: Written | undefined;
    let isUnchanged: boolean | undefined;
    const goOn = (): void => {
      if (written !== undefined && isUnchanged !== undefined) return isUnchanged ? ends.resolve(written) : pin();
    };
    send(seen, (now) => {
      written = now;
      goOn();
    });
    const compare = (current: Versions): void => {
      isUnchanged = compareVersions(seen, current) === "unchanged";
      goOn();
    };
    versions.read(dependsOn).then(guarded(compare, ends), reject);
  }

  /**
   * Whether a tag call was made after the `set` of this entry. Under today's versions the entry would outlive that
   * call.
   */
  #isHidden({ terms, tagSequence }: Entry): boolean {
    return this.#context.tags.wasMade(terms.dependsOn, tagSequence);
  }

  /** A bypassed backend keeps nothing new, and nothing older for when it is used again. */
  #removeInstead(remote: RemoteTier, key: EntryKey, { resolve, reject }: Settlers<Written>): void {
    const status = remote.isBypassed ? "refused" : "stored";
    remote.removeTo(key, { resolve: () => resolve({ status, versions: undefined }), reject });
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
  readonly status: SetStatus;
  readonly versions: readonly TagVersion[] | undefined;
}

const PENDING: Written = { status: "pending", versions: undefined };

const labelsOf = (options: SetOptions | undefined): Labels => ({
  tags: options?.tags === undefined ? NO_TAGS : tagNames(options.tags),
  etag: options?.etag,
  lastModified: options?.lastModified,
});
