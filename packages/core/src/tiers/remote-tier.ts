import type { Awaitable } from "../contracts/awaitable.ts";
import type { Backend, Batch, DeleteStatus, StoredEntry, TagVersion, TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import { DecodeError } from "../contracts/errors.ts";
import type { Events } from "../primitives/event-port.ts";
import { withAliases, type KeyAliases } from "../coherence/key-aliases.ts";
import { Codec, type Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, type EntryKey } from "../entry/key.ts";
import { SealedEntries, UnopenedEntry } from "../entry/sealed-entries.ts";
import type { TierMeter } from "../primitives/meters.ts";
import { describe } from "../primitives/duration.ts";
import { isThenable, whenReady } from "../primitives/thenable.ts";
import { within } from "../primitives/within.ts";
import type { KnownVersions } from "../tags/known-versions.ts";
import { RecentPins } from "../tags/recent-pins.ts";
import { readByPin, underVersions, type Pinned } from "../tags/tag-versions.ts";
import { versionEntries } from "../tags/version-entries.ts";
import { ONE_PART } from "../coherence/trust.ts";
import { BackendCalls, ownError, type Target } from "./backend-calls.ts";
import {
  settle,
  type EntryLeases,
  type EntryTier,
  type EntryWrite,
  type ReadRequest,
  type Settled,
} from "./entry-tier.ts";
import { remoteLeases, type Sending, type SentRead } from "./remote-leases.ts";
import { SealConflicts } from "./seal-conflicts.ts";
import { ignore } from "../primitives/ignore.ts";

/**
 * One backend as a tier: codec, tag versions, and {@link BackendCalls} around every call.
 *
 * Rejects with `BackendUnavailableError` when the backend did not answer, and with the error of the backend when it
 * refused; both are reported once.
 */
export class RemoteTier implements EntryTier {
  readonly label: string;
  readonly deadlineMs: number;
  readonly keepsMeta: boolean;
  readonly versions: TagVersions | undefined;
  readonly leases: EntryLeases | undefined;
  readonly codecId: string;
  readonly meter: TierMeter;
  readonly pending = 0;
  readonly #backend: Backend;
  readonly #codec: Codec;
  readonly #sealed: SealedEntries;
  readonly #conflicts = new SealConflicts();
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  readonly #calls: BackendCalls;
  /**
   * The versions that entries are checked against; `undefined` if entries carry none, or a composition checks them. Not
   * bounded: for calls within that of an entry.
   */
  readonly #tagVersions: TagVersions | undefined;
  /** As `versions`, for reads that may use known versions in place of a trip. */
  readonly #tagVersionsUnlessKnown: Pick<TagVersions, "read"> | undefined;
  readonly #table: KnownVersions | undefined;
  readonly #pins: KnownVersions | RecentPins;
  readonly #aliases: KeyAliases | undefined;
  readonly #undecodable = new Set<string>();

  /**
   * @param table the tag versions that are known without a trip.
   * @param used called once, before the first call.
   * @param isComposed it is part of a composition, which checks tag versions itself.
   */
  constructor(
    backend: Backend,
    clock: Clock,
    events: Events,
    cache: string,
    {
      table,
      aliases,
      used,
      isComposed = false,
    }: {
      readonly table?: KnownVersions | undefined;
      readonly aliases?: KeyAliases | undefined;
      readonly used?: () => void;
      readonly isComposed?: boolean;
    } = {},
  ) {
    this.label = backend.label;
    this.deadlineMs = backend.deadlineMs ?? 1_000;
    this.keepsMeta = backend.keepsMeta ?? true;
    this.#backend = backend;
    this.#codec = new Codec(backend);
    this.#sealed = new SealedEntries(backend, clock);
    this.#clock = clock;
    this.#events = events;
    this.#cache = cache;
    this.#calls = new BackendCalls({
      label: this.label,
      deadlineMs: this.deadlineMs,
      // Tag versions kept as entries take several calls of the backend for each of their own.
      boundsCalls: backend.boundsCalls === true && (backend.tagVersions !== undefined || !this.keepsMeta),
      clock,
      events,
      cache,
      breaker: backend.breaker,
      parts: backend.parts,
      onFirstCall: used,
    });
    this.meter = this.#calls.meter;
    this.#pins = table ?? new RecentPins(clock);
    const source = this.keepsMeta
      ? this.#pins.recording(backend.tagVersions ?? versionEntries(withAliases(backend, aliases), clock))
      : undefined;
    this.#tagVersions = isComposed ? undefined : source;
    this.versions = source && this.#bounded(source);
    this.#tagVersionsUnlessKnown = this.#tagVersions && (table?.skippingKnown(this.versions!) ?? this.versions);
    this.#table = isComposed ? undefined : table;
    this.#aliases = aliases;
    this.leases =
      backend.leases &&
      remoteLeases(backend.leases, {
        calls: this.#calls,
        clock,
        aliases,
        conflicts: this.#conflicts,
        decodeCurrent: (read, stored) => this.#withCurrentVersions(read, stored, undefined),
        store: (key, write, sending) => this.#store(key, write, sending),
        refuse: (key) => this.#refuse(key),
      });
    // Without meta every value is compressed, however small: the bytes differ from those of other backends.
    this.codecId = `${backend.format.id}+${backend.compressor.id}${this.keepsMeta ? "" : "+always"}`;
  }

  get isBypassed(): boolean {
    return this.#calls.isBypassed;
  }

  bypass(labels: ReadonlySet<string> | "all"): void {
    this.#calls.bypass(labels === "all" || labels.has(this.label));
  }

  get answered(): number {
    return this.#calls.answers;
  }

  get retryInMs(): number {
    return this.#calls.retryInMs;
  }

  /** Sends the read, and beside it that of the tag versions, before it returns. */
  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined> {
    const part = this.#calls.partOf(request.key.backend);
    if (!this.#calls.admits("read", part)) return Promise.reject(this.#calls.refusal("read"));
    const expected = dependencies(request.key.space, request.expectedTags);
    let answer: Promise<StoredEntry | undefined> | undefined;
    let current: Promise<Versions> | undefined;
    try {
      this.#aliases?.add(request.key.backend);
      answer = this.#backend.read(request.key.backend);
      if (request.isCurrent === true || this.#table?.knows(expected) !== true)
        current = this.#current(this.#tagVersions, request)?.read(expected);
    } catch (error) {
      // The entry read that was sent already is not awaited.
      answer?.catch(ignore);
      answer = Promise.reject(error);
    }
    return this.#calls.bound("read", { keySpace: request.key.space, part }, budgetMs, (done, fail, sentAt) =>
      this.#answer({ request, expected, sentAt }, answer, current, done, fail),
    );
  }

  /** In one trip to each part of the backend: the failure of one fails the reads of no other. */
  readMany(requests: readonly ReadRequest[], budgetMs: number, settled: Settled): void {
    const { batch } = this.#backend;
    if (batch === undefined || requests.length < 2)
      return requests.forEach((request, i) => settle(this.read(request, budgetMs), i, settled));
    if (this.#backend.parts === undefined)
      return void this.#readTogether(batch, { requests, part: ONE_PART }, budgetMs, settled);
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
    const { key: first, expectedTags, isCurrent } = requests[0]!;
    const expected = dependencies(first.space, expectedTags);
    const isKnown = isCurrent !== true && this.#table?.knows(expected) === true;
    const sentAt = this.#clock.now();
    let stored: Awaited<ReturnType<Batch["read"]>>;
    let versions: Versions | undefined;
    try {
      [stored, versions] = await this.#calls.run("read", { keySpace: first.space, part }, budgetMs, () => {
        if (this.#aliases !== undefined) for (const { key } of requests) this.#aliases.add(key.backend);
        return Promise.all([
          batch.read(requests.map(({ key }) => key.backend)).then((found) => checkedBatch(found, requests.length)),
          isKnown ? undefined : this.#current(this.#tagVersions, requests[0]!)?.read(expected),
        ]);
      });
      if (this.#tagVersions !== undefined)
        versions ??= this.#table?.known(expected) ?? (await this.versions!.read(expected));
    } catch (error) {
      return requests.forEach((_, i) => settled(i, error as Error));
    }
    const failure = stored.find((found) => found instanceof Error);
    const error = failure && this.#calls.report("read", first.space, failure);
    requests.forEach((request, i) => {
      const found = stored[i];
      if (found instanceof Error) return settled(i, error);
      request.saw?.(found?.version ?? "");
      const entry = found ? this.#decode({ request, expected, sentAt }, found, versions) : undefined;
      if (isThenable(entry)) settle(entry, i, settled);
      else settled(i, entry);
    });
  }

  partOf(backendKey: string): string {
    return this.#calls.partOf(backendKey);
  }

  pinned(tags: readonly string[]): Pinned | undefined {
    return this.#pins.pinned(tags);
  }

  encode(value: unknown): Awaitable<Encoded> {
    return this.#codec.encode(value);
  }

  write(key: EntryKey, write: EntryWrite): Promise<"stored" | "refused"> {
    return this.#store<"stored" | "refused">(key, write, {
      send: async (stored) => {
        await this.#backend.write(key.backend, stored);
        return "stored";
      },
      refuse: () => this.#refuse(key),
    });
  }

  async #store<S extends string>(key: EntryKey, write: EntryWrite, sending: Sending<S>): Promise<S> {
    const { entry, encoded, versions } = write;
    if (encoded.data.length > (this.#backend.maxEntryBytes ?? Infinity)) return sending.refuse();
    const startedAt = this.#clock.now();
    const sealing = this.#sealed.seal(key, this.#codec.toStored(encoded, entry, versions, startedAt));
    const stored = isThenable(sealing) ? await sealing : sealing;
    const status = await this.#calls.run("write", this.#target(key), this.deadlineMs, () => {
      this.#aliases?.add(key.backend);
      return sending.send(stored);
    });
    this.#undecodable.delete(key.backend);
    if (status === "stored") this.#conflicts.stored(key.backend, this.#clock.now());
    if (status === "stored" && entry.terms.marker === undefined && this.#events.store.isObserved)
      this.#events.store.emit({
        cache: this.#cache,
        namespace: key.space.path,
        key: key.name,
        tier: this.label,
        durationMs: this.#clock.now() - startedAt,
        bytes: encoded.data.length,
      });
    return status;
  }

  /** The entry in the backend is older than the refused one. */
  async #refuse(key: EntryKey): Promise<"refused"> {
    await this.remove(key);
    return "refused";
  }

  remove(key: EntryKey): Promise<DeleteStatus> {
    return this.#calls.run("remove", this.#ending(key), this.deadlineMs, () => this.#backend.remove(key.backend));
  }

  /** Removes the entry where the backend cannot mark it stale: it must not be served as fresh. */
  async markStale(key: EntryKey): Promise<"stale" | "missing"> {
    const backend = this.#backend;
    if (backend.markStale === undefined) return (await this.remove(key)) === "deleted" ? "stale" : "missing";
    return this.#calls.run("markStale", this.#ending(key), this.deadlineMs, () => backend.markStale!(key.backend));
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

  listenerOf(backend: Backend): ReturnType<EntryTier["listenerOf"]> {
    return backend === this.#backend ? this.#calls : undefined;
  }

  async settled(): Promise<void> {}

  /** The backend itself is closed by the last cache that uses it. */
  stop(): void {
    this.#calls.stop();
  }

  stats(): readonly ReturnType<TierMeter["snapshot"]>[] {
    return [this.meter.snapshot(this.label, this.#calls.state)];
  }

  /**
   * Answers a read when the entry and the tag versions have arrived. The remaining life of an entry counts from when
   * the read was sent: a slow answer may shorten a life, and never extends it (RFC 9111, 4.2.3).
   *
   * Callbacks, since every backend hit comes this way: with a synchronous decoder nothing here waits.
   */
  #answer(
    read: SentRead,
    answer: Promise<StoredEntry | undefined>,
    current: Promise<Versions> | undefined,
    done: (entry: Awaitable<Entry | undefined>) => void,
    fail: (error: unknown, part?: string) => void,
  ): void {
    let stored: StoredEntry | undefined;
    let versions: Versions | undefined;
    let awaited = current === undefined ? 1 : 2;
    const arrived = (): void => {
      awaited -= 1;
      if (awaited !== 0) return;
      read.request.saw?.(stored?.version ?? "");
      // Some backends say `null` where there is nothing.
      done(stored ? this.#withCurrentVersions(read, stored, versions) : undefined);
    };
    current?.then(
      (found) => {
        versions = found;
        arrived();
      },
      (error: unknown) => fail(error, this.#calls.partOfVersionReads),
    );
    // A backend that unpacks its own blobs may reject with a DecodeError: that is an answer, not a failure.
    answer.then(
      (found) => {
        stored = found;
        arrived();
      },
      (given: unknown) => {
        const error = ownError(given);
        if (error instanceof DecodeError) done(this.#reportUndecodable(read.request, error));
        else fail(error);
      },
    );
  }

  /** Where a request reads tag versions: a current one, where no replica answers. */
  #current(versions: TagVersions | undefined, { isCurrent }: ReadRequest): Pick<TagVersions, "read"> | undefined {
    return versions && isCurrent === true ? readByPin(versions) : versions;
  }

  /**
   * Decodes an entry and checks it against the tag versions that are current.
   *
   * @param asked the versions of `expected`; `undefined` if they were known when the read was sent. They may have been
   *   forgotten since.
   */
  #withCurrentVersions(read: SentRead, stored: StoredEntry, asked: Versions | undefined): Awaitable<Entry | undefined> {
    const { request, expected } = read;
    const versions = asked ?? (request.isCurrent === true ? undefined : this.#table?.known(expected));
    if (versions !== undefined || this.#tagVersions === undefined) return this.#decode(read, stored, versions);
    return this.#current(this.versions, request)!
      .read(expected)
      .then((now) => this.#decode(read, stored, now));
  }

  /**
   * Decodes an entry and applies `versions`; `undefined` if it cannot be decoded, or not within the time that a call
   * may take. Synchronous where the decoder is: then it makes no closure, since every hit comes this way.
   */
  #decode(read: SentRead, stored: StoredEntry, versions: Versions | undefined): Awaitable<Entry | undefined> {
    try {
      const opened = this.#sealed.open(read.request.key, stored);
      const entry = isThenable(opened) ? this.#decodeLater(read, opened) : this.#decodeNow(read, opened);
      return isThenable(entry) ? this.#inTime(read, stored, versions, entry) : this.#under(read, versions, entry);
    } catch (error) {
      return this.#reportUndecodable(read.request, error as DecodeError, stored.version);
    }
  }

  #decodeLater(read: SentRead, opened: PromiseLike<StoredEntry | undefined>): PromiseLike<Entry | undefined> {
    return opened.then((each) => this.#decodeNow(read, each));
  }

  #decodeNow({ request, sentAt }: SentRead, opened: StoredEntry | undefined): Awaitable<Entry | undefined> {
    if (opened === undefined) return undefined;
    const { key, schema, tagSequence } = request;
    const entry = this.#codec.decode(opened, key.space, schema, sentAt, tagSequence);
    return this.#backend.readsLag === true ? whenReady(entry, lagging) : entry;
  }

  /** @param entry as it is decoded. */
  #inTime(
    read: SentRead,
    stored: StoredEntry,
    versions: Versions | undefined,
    entry: PromiseLike<Entry | undefined>,
  ): Promise<Entry | undefined> {
    return within(this.#clock, this.deadlineMs, entry, () => {
      throw new DecodeError(
        `${this.label}: the value was not decoded within ${this.deadlineMs} ms; check the schema and the compressor`,
        { tier: this.label, operation: "read" },
      );
    }).then(
      (each) => this.#under(read, versions, each),
      (error: unknown) => this.#reportUndecodable(read.request, error as DecodeError, stored.version),
    );
  }

  /** The entry, checked against the versions of `expected`; `undefined` where these are not checked. */
  #under(
    { request, expected }: SentRead,
    versions: Versions | undefined,
    entry: Entry | undefined,
  ): Awaitable<Entry | undefined> {
    if (entry === undefined || versions === undefined) return entry;
    const more = request.isCurrent === true ? readByPin(this.versions!) : this.#tagVersionsUnlessKnown!;
    return underVersions(entry, expected, versions, more, this.#clock);
  }

  #reportUndecodable(request: ReadRequest, found: DecodeError, version?: string): undefined {
    const backendKey = request.key.backend;
    const error =
      found instanceof UnopenedEntry ? this.#conflicts.found(backendKey, version, found, this.#clock.now()) : found;
    if (error === undefined || this.#undecodable.has(backendKey)) return;
    if (this.#undecodable.size >= MAX_UNDECODABLE) this.#undecodable.clear();
    this.#undecodable.add(backendKey);
    this.meter.errors += 1;
    this.#events["decode:error"].emit({
      cache: this.#cache,
      namespace: request.key.space.path,
      key: request.key.name,
      tier: this.label,
      error,
    });
  }

  #bounded(source: TagVersions): TagVersions {
    const call = <T>(part: string, run: () => Promise<T>, ends = false): Promise<T> =>
      this.#calls.run("tags", { keySpace: undefined, part, ends }, this.deadlineMs, run);
    const partOf = ([first = ""]: readonly string[]): string => this.#calls.partOf(first);
    return {
      read: (tags) => call(this.#calls.partOfVersionReads, () => source.read(tags)),
      pin: (tags) => call(partOf(tags), () => source.pin(tags)),
      unchangedSince: (at, tags) => call(partOf(tags), () => source.unchangedSince(at, tags)),
      renew: (tags, mode) => call(partOf(tags), () => source.renew(tags, mode), ENDS),
    };
  }

  #target({ space, backend }: EntryKey): Target {
    return { keySpace: space, part: this.#calls.partOf(backend) };
  }

  #ending(key: EntryKey): Target {
    return { ...this.#target(key), ends: ENDS };
  }
}

/** @throws {TypeError} for an answer that does not say for each key what was found. */
function checkedBatch<T>(found: readonly T[], count: number): readonly T[] {
  if (Array.isArray(found) && found.length === count) return found;
  const got = Array.isArray(found) ? `${found.length} of them` : describe(found);
  throw new TypeError(`batch.read must resolve to an array with one item for each of ${count} keys, got ${got}`);
}

type Versions = readonly (TagVersion | undefined)[];
const MAX_UNDECODABLE = 1_000;
const ENDS = true;
const lagging = (entry: Entry): Entry => ({ ...entry, terms: { ...entry.terms, mayLag: true } });
