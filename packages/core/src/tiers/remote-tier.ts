import type { ChangeListener } from "../coherence/change-listener.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { Backend, Batch, DeleteStatus, StoredEntry, TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import { DecodeError } from "../contracts/errors.ts";
import type { Events } from "../primitives/event-port.ts";
import { Codec, type Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, type EntryKey } from "../entry/key.ts";
import { describe } from "../primitives/duration.ts";
import type { TierMeter } from "../primitives/meters.ts";
import { whenAnswered } from "../primitives/reply.ts";
import { isThenable, whenReady } from "../primitives/thenable.ts";
import { within } from "../primitives/within.ts";
import { KnownVersions } from "../tags/known-versions.ts";
import { MarkEnds, markKey } from "../tags/mark-ends.ts";
import { underVersions, type Pinned, type Versions } from "../tags/tag-versions.ts";
import { versionEntries } from "../tags/version-entries.ts";
import { BackendParts, ONE_PART } from "../coherence/parts.ts";
import { promised, type Ends } from "../primitives/ends.ts";
import { BackendCalls, boundedVersions, type CallEnds, ENDS, FailureOf, ownError } from "./backend-calls.ts";
import {
  settle,
  type EntryLeases,
  type EntryWrite,
  type ReadOutcome,
  type ReadRequest,
  type Settled,
  type StoreStatus,
} from "./entry-tier.ts";
import { remoteLeases, type Sending, type SentRead } from "./remote-leases.ts";
import { ignore } from "../primitives/ignore.ts";
import { UnreadableEntries } from "./unreadable-entries.ts";

/**
 * One backend as a tier: codec, tag versions, and {@link BackendCalls} around every call.
 *
 * Rejects with `BackendUnavailableError` when the backend did not answer, and with the error of the backend when it
 * refused; both are reported once.
 */
export class RemoteTier {
  readonly label: string;
  readonly deadlineMs: number;
  /** Whether the backend bounds each call by its deadline itself. */
  readonly boundsCalls: boolean;
  /** `false` where entries cannot carry tags, validators or namespace versions. */
  readonly keepsMeta: boolean;
  /** Bounded, and behind the breaker, like every other call. */
  readonly versions: TagVersions | undefined;
  /** The tag versions that this process has seen. */
  readonly seen: KnownVersions;
  /** As `versions`; `undefined` where no other process can hold a lease. */
  readonly leases: EntryLeases | undefined;
  /** Counts its hits, misses and errors. */
  readonly meter: TierMeter;
  /** To be called about the link to the backend. */
  readonly listener: Pick<ChangeListener, "attached" | "detached" | "partLost" | "alive">;
  readonly #backend: Backend;
  readonly #codec: Codec;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  readonly #calls: BackendCalls;
  /**
   * The versions that entries are checked against; `undefined` if entries carry none. Not bounded: for calls within
   * that of an entry.
   */
  readonly #tagVersions: TagVersions | undefined;
  /** Only where the backend issues versions itself. */
  readonly #ends: MarkEnds | undefined;
  readonly #unreadable: UnreadableEntries;

  /**
   * @param parts of the backend.
   * @param table the tag versions that were seen.
   */
  constructor(
    backend: Backend,
    clock: Clock,
    events: Events,
    cache: string,
    {
      parts = new BackendParts(backend.parts),
      table = new KnownVersions(undefined, clock, ignore),
    }: { readonly parts?: BackendParts; readonly table?: KnownVersions } = {},
  ) {
    this.label = backend.label;
    this.deadlineMs = backend.deadlineMs ?? 1_000;
    this.keepsMeta = backend.keepsMeta ?? true;
    this.#backend = backend;
    this.#codec = new Codec(backend);
    this.#clock = clock;
    this.#events = events;
    this.#cache = cache;
    this.#calls = new BackendCalls({
      label: this.label,
      deadlineMs: this.deadlineMs,
      // One call of tag versions that are kept as entries takes several calls of the backend.
      boundsCalls: backend.boundsCalls === true && (backend.tagVersions !== undefined || !this.keepsMeta),
      clock,
      events,
      cache,
      breaker: backend.breaker,
      parts,
    });
    this.boundsCalls = this.#calls.boundsCalls;
    this.meter = this.#calls.meter;
    this.#unreadable = new UnreadableEntries(this, events, cache);
    this.listener = this.#calls;
    this.seen = table;
    if (this.keepsMeta) this.#tagVersions = table.recording(backend.tagVersions ?? versionEntries(backend, clock));
    if (backend.tagVersions !== undefined && backend.keepsKeys !== true && this.#tagVersions !== undefined)
      this.#ends = new MarkEnds(backend, this.#tagVersions, this.deadlineMs);
    this.versions = this.#tagVersions && boundedVersions(this.#tagVersions, this.#calls);
    this.leases =
      backend.leases &&
      remoteLeases(backend.leases, {
        calls: this.#calls,
        clock,
        decodeCurrent: (read, stored) => this.#withCurrentVersions(read, stored, undefined),
        lifeOf: (entry) => this.#codec.lifeOf(entry, entry.encoding!, entry.versions, clock.now()),
        store: (key, write, sending, ends) => this.#store(key, write, sending, ends),
        refuse: (key) => this.#refuse(key),
      });
  }

  /** Calls `used` once, before the first call of the backend. */
  onFirstCall(used: () => void): void {
    this.#calls.onFirstCall(used);
  }

  /** Whether it is not used: it refuses every call but those that end something, as if it were unreachable. */
  get isBypassed(): boolean {
    return this.#calls.isBypassed;
  }

  bypass(isBypassed: boolean): void {
    this.#calls.bypass(isBypassed);
  }

  /** How long until an unreachable tier may be tried again, in milliseconds. */
  get retryInMs(): number {
    return this.#calls.retryInMs;
  }

  /** The entry if its tag versions are current; stale from now on if one of them was marked stale. */
  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined> {
    return new Promise((resolve, reject) =>
      this.readTo(request, budgetMs, (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome))),
    );
  }

  /**
   * Sends the read, and with it that of the tag versions, before it returns. The remaining life of an entry counts from
   * then on: a slow answer may shorten a life, and never extends it (RFC 9111, 4.2.3). With a synchronous decoder
   * nothing here waits.
   */
  readTo(request: ReadRequest, budgetMs: number, ended: (outcome: ReadOutcome) => void): void {
    const { key } = request;
    const read = { request, expected: dependencies(key.space, request.expectedTags), sentAt: this.#clock.now() };
    const needsVersions = this.#needsVersions(read);
    let entry: Awaitable<Entry | undefined>;
    // A value that cannot be decoded is reported before the answer counts.
    const receive = (stored: StoredEntry | undefined, versions?: Versions | Unread): void => {
      request.saw?.(stored?.version ?? "");
      // Some backends say `null` where there is nothing.
      if (!stored) return;
      const isUnread = versions instanceof FailureOf;
      entry = isUnread ? this.#unchecked(read, stored) : this.#withCurrentVersions(read, stored, versions);
    };
    const resolve = (): unknown => (isThenable(entry) ? entry.then(ended, ended) : ended(entry));
    const reject = (error: unknown): void =>
      ended(error instanceof DecodeError ? this.#unreadable.found(request, error) : (error as Error));
    const target = this.#calls.targetOf(key);
    if (!this.#calls.opens("read", target, { reject })) return;
    const watch = <T>(answer: PromiseLike<T>, got: CallEnds<T>["receive"]): void =>
      this.#calls.watch("read", target, budgetMs, () => answer, { receive: got!, resolve, reject });
    try {
      // Called here: few frames lie between a caller and its backend.
      const answer = this.#backend.read(key.backend);
      if (!needsVersions) watch(answer, receive);
      else watch(this.#withVersions(answer, read), ({ stored, versions }) => receive(stored, versions));
    } catch (error) {
      watch(Promise.reject(error), () => undefined);
    }
  }

  async #withVersions(
    answer: PromiseLike<StoredEntry | undefined>,
    read: SentRead,
  ): Promise<{ readonly stored: StoredEntry | undefined; readonly versions: Versions | Unread }> {
    const unread = (error: unknown): Unread => new FailureOf(this.#calls.partOfVersionReads, error);
    const asked = new Promise<Versions>((resolve) =>
      resolve(this.#versionsOf(this.#tagVersions!, read.request, read.expected)),
    ).catch(unread);
    const stored = await new Promise<StoredEntry | undefined>((resolve, reject) =>
      whenAnswered(answer, resolve, reject),
    );
    const versions = await asked;
    if (versions instanceof FailureOf && stored?.behind === undefined) throw versions;
    return { stored, versions };
  }

  /**
   * Calls `settled` once for the index of each request, after it has returned: as soon as that read has ended. In one
   * trip to each part of the backend: the failure of one fails the reads of no other.
   */
  readMany(requests: readonly ReadRequest[], budgetMs: number, settled: Settled): void {
    const { batch } = this.#backend;
    if (batch === undefined || requests.length < 2)
      return requests.forEach((request, i) => this.readTo(request, budgetMs, (outcome) => settled(i, outcome)));
    const byPart = Map.groupBy(requests.keys(), (i) => this.#calls.partOf(requests[i]!.key.backend));
    for (const [part, indexes] of byPart)
      void this.#readTogether(batch, { requests: indexes.map((i) => requests[i]!), part }, budgetMs, (i, outcome) =>
        settled(indexes[i]!, outcome),
      );
  }

  /**
   * In one trip: if it fails, all reads fail. Where the backend could not read some of the keys, these fail, and are
   * reported once. A second trip, for unexpected tags of one entry, fails alone.
   */
  async #readTogether(
    batch: Batch,
    { requests, part }: { readonly requests: readonly ReadRequest[]; readonly part: string },
    budgetMs: number,
    settled: Settled,
  ): Promise<void> {
    const request = requests[0]!;
    const { space } = request.key;
    const expected = dependencies(space, request.expectedTags);
    const sentAt = this.#clock.now();
    const needsVersions = this.#needsVersions({ request, expected, sentAt });
    let stored: Awaited<ReturnType<Batch["read"]>> = [];
    let versions: Versions | undefined;
    let unread: Error | undefined;
    try {
      await this.#calls.run("read", { keySpace: space, part }, budgetMs, async () => {
        const answer = batch.read(requests.map(({ key }) => key.backend));
        const current = needsVersions ? this.#versionsOf(this.#tagVersions!, request, expected) : undefined;
        current?.catch(ignore);
        stored = checkedBatch(await answer, requests.length);
        versions = await current;
      });
      if (this.#tagVersions !== undefined) versions ??= await this.#currentVersions(request, expected);
    } catch (error) {
      unread = error as Error;
    }
    const failure = stored.find((found) => found instanceof Error);
    const error = failure && this.#calls.report("read", space, failure);
    requests.forEach((each, i) => {
      const found = stored[i];
      if (found instanceof Error) return settled(i, error);
      if (unread !== undefined && found?.behind === undefined) return settled(i, unread);
      each.saw?.(found?.version ?? "");
      if (!found) return settled(i, undefined);
      const read = { request: each, expected, sentAt };
      const entry = unread ? this.#unchecked(read, found) : this.#decode(read, found, versions);
      if (isThenable(entry)) settle(entry, i, settled);
      else settled(i, entry);
    });
  }

  /** The part of the backend that keeps this key, of an entry or of a tag. */
  partOf(backendKey: string): string {
    return this.#calls.partOf(backendKey);
  }

  /**
   * Pins the versions of these tags; without a trip where they are known. Where the backend keeps versions.
   *
   * @param isCurrent as in `KnownVersions.pin`.
   */
  pin(tags: readonly string[], isCurrent: boolean): Awaitable<Pinned> {
    return this.seen.pin(this.versions!, tags, isCurrent);
  }

  /** Throws, or rejects with, `EncodeError` when the value cannot be written. */
  encode(value: unknown): Awaitable<Encoded> {
    return this.#codec.encode(value);
  }

  /** Sends the entry under `entry.version`. */
  writeTo(key: EntryKey, write: EntryWrite, ends: Ends<"stored" | "refused">): void {
    const send = (stored: StoredEntry): Promise<void> => this.#backend.write(key.backend, stored);
    // Without a lease it is not overtaken.
    this.#store(key, write, { isLeased: false, send, refuse: () => this.#refuse(key) }, ends as Ends<StoreStatus>);
  }

  #store(key: EntryKey, write: EntryWrite, sending: Sending, ends: Ends<StoreStatus>): void {
    const { entry, encoded, versions } = write;
    if (encoded.data.length > (this.#backend.maxEntryBytes ?? Infinity))
      return void sending.refuse().then(ends.resolve, ends.reject);
    const startedAt = this.#clock.now();
    let stored: StoredEntry;
    try {
      stored = this.#codec.toStored(encoded, entry, versions, startedAt);
    } catch (error) {
      return void Promise.reject(error).then(undefined, ends.reject);
    }
    this.#calls.send("write", this.#calls.targetOf(key), this.deadlineMs, () => sending.send(stored), {
      resolve: (answer) => {
        const status = sending.isLeased && answer === false ? "overtaken" : "stored";
        this.#unreadable.written(key.backend);
        if (status === "stored" && entry.terms.marker === undefined && this.#events.store.isObserved)
          this.#events.store.emit({
            cache: this.#cache,
            namespace: key.space.path,
            key: key.name,
            tier: this.label,
            durationMs: this.#clock.now() - startedAt,
            bytes: encoded.data.length,
          });
        ends.resolve(status);
      },
      reject: ends.reject,
    });
  }

  /** The entry in the backend is older than the refused one. */
  async #refuse(key: EntryKey): Promise<"refused"> {
    await this.remove(key);
    return "refused";
  }

  remove(key: EntryKey): Promise<DeleteStatus> {
    return promised((ends) => this.removeTo(key, ends));
  }

  removeTo(key: EntryKey, ends: Ends<DeleteStatus>): void {
    const target = this.#calls.targetOf(key, ENDS);
    this.#calls.send("remove", target, this.deadlineMs, () => this.#backend.remove(key.backend), ends);
  }

  /** Removes the entry where the backend cannot mark it stale, or cannot end it: it must not be served. */
  async markStale(key: EntryKey, expireInMs: number): Promise<"stale" | "missing"> {
    const target = this.#calls.targetOf(key, ENDS);
    const status = await markKey(this.#backend, key.backend, expireInMs, (call) =>
      this.#calls.run("markStale", target, this.deadlineMs, call),
    );
    return status ?? ((await this.remove(key)) === "deleted" ? "stale" : "missing");
  }

  /** Marks these tags stale. What they have is gone after so long; now where the backend issues no versions itself. */
  endTags(tags: readonly string[], expireInMs: number): Promise<void> {
    const ends = this.#ends;
    if (ends === undefined) return this.versions!.renew(tags, "hard");
    const target = { keySpace: undefined, part: this.partOf(tags[0]!), ends: ENDS };
    return this.#calls.run("tags", target, this.deadlineMs, () => ends.mark(tags, expireInMs));
  }

  async connect(): Promise<void> {
    this.#calls.begin();
    try {
      await this.#backend.connect?.();
    } catch (error) {
      throw this.#calls.failed("connect", { keySpace: undefined, part: ONE_PART }, error);
    }
    this.#calls.answered(ONE_PART);
  }

  /** The backend itself is closed by the last cache that uses it. */
  stop(): void {
    this.#calls.stop();
  }

  stats(): ReturnType<TierMeter["snapshot"]> {
    return this.meter.snapshot(this.label, this.#calls.state);
  }

  /** Whether a read asks for tag versions in its own call. */
  #needsVersions({ request, expected }: SentRead): boolean {
    return this.#tagVersions !== undefined && (request.isCurrent === true || !this.seen.knows(expected));
  }

  /** Those that are known, else in a call of their own. */
  #currentVersions(request: ReadRequest, tags: readonly string[]): Awaitable<Versions> {
    const known = request.isCurrent === true ? undefined : this.seen.known(tags);
    return known ?? this.#versionsOf(this.versions!, request, tags);
  }

  /**
   * The versions of these tags. For a current request they are pinned, which the primary alone answers: a replica may
   * lack a change that was acknowledged.
   */
  #versionsOf(source: TagVersions, { isCurrent }: ReadRequest, tags: readonly string[]): Promise<Versions> {
    if (isCurrent !== true) return this.seen.current(source, tags);
    return source.pin(tags).then(({ versions }) => versions);
  }

  /**
   * Decodes an entry and checks it against the tag versions that are current.
   *
   * @param asked the versions of `expected`; `undefined` if they were known when the read was sent. They may have been
   *   forgotten since.
   */
  #withCurrentVersions(read: SentRead, stored: StoredEntry, asked: Versions | undefined): Awaitable<Entry | undefined> {
    if (this.#tagVersions === undefined) return this.#decode(read, stored, asked);
    const versions = asked ?? this.#currentVersions(read.request, read.expected);
    if (!isThenable(versions)) return this.#decode(read, stored, versions);
    return versions.then(
      (now) => this.#decode(read, stored, now),
      (error: unknown) => {
        if (stored.behind !== undefined) return this.#unchecked(read, stored);
        throw error;
      },
    );
  }

  /** A copy, where the tag versions cannot be read: all tag calls that are remembered are applied to it. */
  #unchecked(read: SentRead, stored: StoredEntry): Awaitable<Entry | undefined> {
    return whenReady(this.#decode(read, stored, undefined), uncheckedEntry);
  }

  /**
   * Decodes an entry and applies `versions`; `undefined` if it cannot be decoded, or not within the time that a call
   * may take. Synchronous where the decoder is: then it makes no closure, since every hit comes this way.
   */
  #decode(read: SentRead, stored: StoredEntry, versions: Versions | undefined): Awaitable<Entry | undefined> {
    if (stored.behind !== undefined && read.request.isCurrent === true) return this.#behind(read, stored.behind);
    if (stored.error !== undefined) return this.#undecoded(read, stored, ownError(stored.error));
    try {
      const entry = this.#decodeNow(read, stored);
      return isThenable(entry)
        ? this.#inTime(read, stored, versions, entry)
        : this.#under(read, stored, versions, entry);
    } catch (error) {
      return this.#undecoded(read, stored, error);
    }
  }

  /** Reports it. In place of a copy that cannot be read, the entry behind it is. */
  #undecoded(read: SentRead, { behind }: StoredEntry, error: unknown): Promise<Entry | undefined> | undefined {
    this.#unreadable.found(read.request, error as DecodeError);
    return behind && this.#behind(read, behind);
  }

  /** @param copy served where the entry behind it cannot be read. @default none: then the read fails */
  async #behind(read: SentRead, behind: NonNullable<StoredEntry["behind"]>, copy?: Entry): Promise<Entry | undefined> {
    try {
      const found = await this.#calls.run("read", this.#calls.targetOf(read.request.key), this.deadlineMs, behind);
      read.request.saw?.(found?.version ?? "");
      return found && (await this.#withCurrentVersions(read, found, undefined));
    } catch (error) {
      if (copy === undefined) throw error;
      return copy;
    }
  }

  #decodeNow({ request, sentAt }: SentRead, stored: StoredEntry): Awaitable<Entry> {
    const { key, schema, tagSequence } = request;
    const entry = this.#codec.decode(stored, key.space, schema, sentAt, tagSequence);
    return this.#backend.readsLag === true ? whenReady(entry, lagging) : entry;
  }

  /** @param entry as it is decoded. */
  #inTime(
    read: SentRead,
    stored: StoredEntry,
    versions: Versions | undefined,
    entry: PromiseLike<Entry>,
  ): Promise<Entry | undefined> {
    return within(this.#clock, this.deadlineMs, entry, () => {
      throw new DecodeError(
        `${this.label}: the value was not decoded within ${this.deadlineMs} ms; check the schema and the compressor`,
        { tier: this.label, operation: "read" },
      );
    }).then(
      (each) => this.#under(read, stored, versions, each),
      (error: unknown) => this.#undecoded(read, stored, error),
    );
  }

  /** The entry, checked against the versions of `expected`; `undefined` where these are not checked. */
  #under(
    read: SentRead,
    { behind, onValid }: StoredEntry,
    versions: Versions | undefined,
    entry: Entry,
  ): Awaitable<Entry | undefined> {
    if (versions === undefined && this.#tagVersions === undefined) onValid?.();
    if (versions === undefined) return entry;
    const checked = underVersions(entry, read.expected, versions, {
      clock: this.#clock,
      readMore: (tags) => this.#currentVersions(read.request, tags),
      left: (marks) => {
        const target = this.#calls.targetOf(read.request.key);
        const left = this.#calls.run("read", target, this.deadlineMs, () => this.#ends!.left(marks));
        // Such a copy is not known to be current.
        return behind === undefined ? left : left.catch(() => undefined);
      },
    });
    if (behind === undefined && onValid === undefined) return checked;
    const mayFail = behind !== undefined && isThenable(checked);
    return whenReady(mayFail ? checked.then(undefined, () => uncheckedEntry(entry)) : checked, (found) => {
      if (found !== entry) return behind === undefined ? found : this.#behind(read, behind, found);
      onValid?.();
      return entry;
    });
  }
}

/** @throws {TypeError} for an answer that does not say for each key what was found. */
function checkedBatch<T>(found: readonly T[], count: number): readonly T[] {
  if (Array.isArray(found) && found.length === count) return found;
  const got = Array.isArray(found) ? `${found.length} of them` : describe(found);
  throw new TypeError(`batch.read must resolve to an array with one item for each of ${count} keys, got ${got}`);
}

/** Versions that could not be read. */
type Unread = FailureOf;

const uncheckedEntry = (entry: Entry | undefined): Entry | undefined => entry && { ...entry, tagSequence: 0 };
const lagging = (entry: Entry): Entry => ({ ...entry, terms: { ...entry.terms, mayLag: true } });
