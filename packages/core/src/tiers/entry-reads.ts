import type { Awaitable } from "../contracts/awaitable.ts";
import type { Backend, Batch, StoredAnswer, TagVersions } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { DecodeError } from "../contracts/errors.ts";
import type { Codec } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, type EntryKey } from "../entry/key.ts";
import { runningTime, type RunningTime } from "../primitives/deadlines.ts";
import { describe } from "../primitives/duration.ts";
import { ignore } from "../primitives/ignore.ts";
import { whenAnswered } from "../primitives/reply.ts";
import { isThenable, whenReady } from "../primitives/thenable.ts";
import { within } from "../primitives/within.ts";
import { underKnownChanges } from "../tags/known-changes.ts";
import type { KnownVersions } from "../tags/known-versions.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import { type Applying, underVersions, type Versions } from "../tags/tag-versions.ts";
import { type BackendCalls, type CallSettlers, FailureOf, ownError } from "./backend-calls.ts";
import { settle, type ReadOutcome, type ReadRequest, type Settled } from "./entry-tier.ts";
import type { LapsedReads } from "./lapsed-reads.ts";
import type { LocalCopies } from "./local-copies.ts";
import type { SentRead } from "./remote-leases.ts";
import type { UnreadableEntries } from "./unreadable-entries.ts";

/** The parts of a tier that its reads need. */
export interface EntryReadsOf {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly codec: Codec;
  readonly calls: BackendCalls;
  readonly unreadable: UnreadableEntries;
  readonly lapsed: LapsedReads | undefined;
  /** The tag versions that this process has seen. */
  readonly seen: KnownVersions;
  /**
   * The versions that entries are checked against, if they carry any. Not bounded: for calls within that of an entry.
   */
  readonly tagVersions: TagVersions | undefined;
  /** Like `tagVersions`, but each read in a separate call. */
  readonly versions: TagVersions | undefined;
  /** The tag calls of this process, and the changes by others that it received. */
  readonly tags: TagEvents | undefined;
  /** The copies that reads are kept as. */
  readonly copies: Pick<LocalCopies, "held" | "values" | "drop"> | undefined;
}

/** Reads of entries from one backend: sent, decoded, and checked against the current tag versions. */
export class EntryReads {
  declare readonly time: RunningTime;
  readonly #of: EntryReadsOf;

  constructor(of: EntryReadsOf) {
    this.#of = of;
    this.time = runningTime(of.clock);
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
  readTo(request: ReadRequest, budgetMs: number, ended: (outcome: ReadOutcome) => void, isRepeated = false): void {
    const { key } = request;
    const sentAt = this.#of.clock.now();
    // A schema checks each value that is read.
    const copy = isRepeated || request.schema ? undefined : this.#of.copies?.held(key.local);
    const seen = copy && sentAt < copy.deadAt && copy.encodedBytes! >= LARGE ? copy : undefined;
    const read = { request, expected: dependencies(key.space, request.expectedTags), sentAt, seen };
    const begunAt = read.sentAt - this.time.lostMs;
    const needsVersions = this.#needsVersions(read);
    let entry: Awaitable<Entry | undefined>;
    let isOther = false;
    // A value that cannot be decoded is reported before the answer counts.
    const receive = (stored: StoredAnswer | undefined, versions?: Versions | Unread): void => {
      isOther = stored?.isSeen === false;
      if (isOther) return;
      request.saw?.(stored?.version ?? "");
      // Some backends say `null` where there is nothing.
      if (!stored) return;
      const isUnread = versions instanceof FailureOf;
      entry = isUnread ? this.#unchecked(read, stored) : this.withCurrentVersions(read, stored, versions);
    };
    const resolve = (): unknown => {
      if (!isOther) return isThenable(entry) ? entry.then(ended, ended) : ended(entry);
      // It is outdated: if the next read fails, it must not be served. A newer one stays.
      if (this.#of.copies?.held(key.local) === seen) this.#of.copies?.drop(key.local);
      return this.readTo(request, this.#of.calls.deadlineMs, ended, true);
    };
    const reject = (error: unknown): void => {
      if (error instanceof DecodeError) return ended(this.#of.unreadable.found(request, error));
      const leftMs = (): number => budgetMs - (this.time.timeAt(this.#of.clock.now()) - begunAt);
      const again = isRepeated ? undefined : this.#again(error, [key], leftMs());
      if (again === undefined) return ended(error as Error);
      void again.then((isTo) => (isTo ? this.readTo(request, leftMs(), ended, true) : ended(error as Error)));
    };
    const target = this.#of.calls.targetOf(key);
    if (!this.#of.calls.opens("read", target, { reject })) return;
    const watch = <T>(answer: PromiseLike<T>, got: CallSettlers<T>["receive"]): void =>
      this.#of.calls.watch("read", target, budgetMs, () => answer, { receive: got!, resolve, reject });
    try {
      // Called here: few frames lie between a caller and its backend.
      const answer = this.#of.backend.read(key.backend, seen?.version);
      if (!needsVersions) watch(answer, receive);
      else watch(this.#withVersions(answer, read), ({ stored, versions }) => receive(stored, versions));
    } catch (error) {
      watch(Promise.reject(error), () => undefined);
    }
  }

  async #withVersions(
    answer: PromiseLike<StoredAnswer | undefined>,
    read: SentRead,
  ): Promise<{ readonly stored: StoredAnswer | undefined; readonly versions: Versions | Unread }> {
    const unread = (error: unknown): Unread => new FailureOf(this.#of.calls.partOfVersionReads, error);
    const asked = new Promise<Versions>((resolve) =>
      resolve(this.#versionsOf(this.#of.tagVersions!, read.request, read.expected)),
    ).catch(unread);
    const stored = await new Promise<StoredAnswer | undefined>((resolve, reject) =>
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
  readMany<R extends ReadRequest>(requests: readonly R[], budgetMs: number, settled: Settled<R>): void {
    const { batch } = this.#of.backend;
    if (batch === undefined || requests.length < 2)
      return requests.forEach((each) => this.readTo(each, budgetMs, (end) => settled(each, end)));
    const byPart = Map.groupBy(requests, ({ key }) => this.#of.calls.partOf(key.backend));
    for (const [part, its] of byPart) void this.#readTogether(batch, { requests: its, part }, budgetMs, settled);
  }

  /**
   * In one trip: if it fails, all reads fail. Where the backend could not read some of the keys, these fail, and are
   * reported once. A second trip, for unexpected tags of one entry, fails alone.
   */
  async #readTogether<R extends ReadRequest>(
    batch: Batch,
    { requests, part }: { readonly requests: readonly R[]; readonly part: string },
    budgetMs: number,
    settled: Settled<R>,
    isRepeated = false,
  ): Promise<void> {
    const request = requests[0]!;
    const { space } = request.key;
    const expected = dependencies(space, request.expectedTags);
    const sentAt = this.#of.clock.now();
    const begunAt = sentAt - this.time.lostMs;
    const needsVersions = this.#needsVersions({ request, expected, sentAt });
    let stored: Awaited<ReturnType<Batch["read"]>> = [];
    let versions: Versions | undefined;
    let unread: Error | undefined;
    try {
      await this.#of.calls.run("read", { keySpace: space, part }, budgetMs, async () => {
        const answer = batch.read(requests.map(({ key }) => key.backend));
        const current = needsVersions ? this.#versionsOf(this.#of.tagVersions!, request, expected) : undefined;
        current?.catch(ignore);
        stored = checkedBatch(await answer, requests.length);
        versions = await current;
      });
      if (this.#of.tagVersions !== undefined) versions ??= await this.#currentVersions(request, expected);
    } catch (error) {
      unread = error as Error;
      const leftMs = (): number => budgetMs - (this.time.timeAt(this.#of.clock.now()) - begunAt);
      const keys = requests.map(({ key }) => key);
      const again = isRepeated ? undefined : this.#again(error, keys, leftMs());
      if (again !== undefined && (await again))
        return this.#readTogether(batch, { requests, part }, leftMs(), settled, true);
    }
    const failure = stored.find((found) => found instanceof Error);
    const error = failure && this.#of.calls.report("read", space, failure);
    requests.forEach((each, i) => {
      const found = stored[i];
      if (found instanceof Error) return settled(each, error);
      if (unread !== undefined && found?.behind === undefined) return settled(each, unread);
      each.saw?.(found?.version ?? "");
      if (!found) return settled(each, undefined);
      const read = { request: each, expected, sentAt };
      const entry = unread ? this.#unchecked(read, found) : this.#decode(read, found, versions);
      if (isThenable(entry)) settle(entry, each, settled);
      else settled(each, entry);
    });
  }

  #again(error: unknown, keys: readonly EntryKey[], leftMs: number): Promise<boolean> | undefined {
    return this.#of.calls.isBypassed ? undefined : this.#of.lapsed?.again(error, keys, leftMs);
  }

  /** Whether a read asks for tag versions in its own call. */
  #needsVersions({ request, expected }: SentRead): boolean {
    return this.#of.tagVersions !== undefined && (request.isCurrent === true || !this.#of.seen.knows(expected));
  }

  /** Current versions of `tags`: known ones, else read in a separate call. */
  #currentVersions(request: ReadRequest, tags: readonly string[]): Awaitable<Versions> {
    const known = request.isCurrent === true ? undefined : this.#of.seen.known(tags);
    return known ?? this.#versionsOf(this.#of.versions!, request, tags);
  }

  /**
   * The versions of these tags. For a current request they are pinned, which the primary alone answers: a replica may
   * lack a change that was acknowledged.
   */
  #versionsOf(source: TagVersions, { isCurrent }: ReadRequest, tags: readonly string[]): Promise<Versions> {
    if (isCurrent !== true) return this.#of.seen.current(source, tags);
    return source.pin(tags).then(({ versions }) => versions);
  }

  /**
   * Decodes an entry and checks it against the tag versions that are current.
   *
   * @param asked the versions of `expected`; `undefined` if they were known when the read was sent. They may have been
   *   forgotten since.
   */
  withCurrentVersions(read: SentRead, stored: StoredAnswer, asked: Versions | undefined): Awaitable<Entry | undefined> {
    if (this.#of.tagVersions === undefined) return this.#decode(read, stored, asked);
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

  /** A copy, where the tag versions cannot be read. */
  #unchecked(read: SentRead, stored: StoredAnswer): Awaitable<Entry | undefined> {
    return whenReady(this.#decode(read, stored, undefined), (entry) => this.#uncheckedEntry(entry));
  }

  /** All tag calls that are remembered are applied to it, and all changes by others that were received. */
  #uncheckedEntry(entry: Entry | undefined): Entry | undefined {
    const { tags, seen, clock } = this.#of;
    const unchecked = entry && { ...entry, tagSequence: 0 };
    return unchecked && tags ? underKnownChanges(unchecked, { tags, table: seen }, clock.now()) : unchecked;
  }

  /**
   * Decodes an entry and applies `versions`; `undefined` if it cannot be decoded, or not within the time that a call
   * may take. Synchronous where the decoder is: then it makes no closure, since every hit comes this way.
   */
  #decode(read: SentRead, stored: StoredAnswer, versions: Versions | undefined): Awaitable<Entry | undefined> {
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
  #undecoded(read: SentRead, { behind }: StoredAnswer, error: unknown): Promise<Entry | undefined> | undefined {
    this.#of.unreadable.found(read.request, error as DecodeError);
    return behind && this.#behind(read, behind);
  }

  /** @param copy served where the entry behind it cannot be read. @default none: then the read fails */
  async #behind(read: SentRead, behind: NonNullable<StoredAnswer["behind"]>, copy?: Entry): Promise<Entry | undefined> {
    try {
      const found = await this.#of.calls.run(
        "read",
        this.#of.calls.targetOf(read.request.key),
        this.#of.calls.deadlineMs,
        behind,
      );
      read.request.saw?.(found?.version ?? "");
      return found && (await this.withCurrentVersions(read, found, undefined));
    } catch (error) {
      if (copy === undefined) throw error;
      return copy;
    }
  }

  #decodeNow({ request, sentAt, seen }: SentRead, stored: StoredAnswer): Awaitable<Entry> {
    const known = stored.isSeen === true ? { ...seen!, value: this.#of.copies!.values.handOut(seen!.value) } : seen;
    const entry = this.#of.codec.decode(stored, request, sentAt, known);
    return this.#of.backend.readsLag === true ? whenReady(entry, lagging) : entry;
  }

  /** @param entry as it is decoded. */
  #inTime(
    read: SentRead,
    stored: StoredAnswer,
    versions: Versions | undefined,
    entry: PromiseLike<Entry>,
  ): Promise<Entry | undefined> {
    const { label: tier, deadlineMs } = this.#of.calls;
    return within(this.#of.clock, deadlineMs, entry, () => {
      const text = `${tier}: the value was not decoded within ${deadlineMs} ms; check the schema and the compressor`;
      throw new DecodeError(text, { tier, operation: "read" });
    }).then(
      (each) => this.#under(read, stored, versions, each),
      (error: unknown) => this.#undecoded(read, stored, error),
    );
  }

  /** The entry, checked against the versions of `expected`; `undefined` where these are not checked. */
  #under(
    read: SentRead,
    { behind, onValid }: StoredAnswer,
    versions: Versions | undefined,
    entry: Entry,
  ): Awaitable<Entry | undefined> {
    if (versions === undefined && this.#of.tagVersions === undefined) onValid?.();
    if (versions === undefined) return entry;
    const by = (): Applying => ({
      clock: this.#of.clock,
      readMore: (tags) => this.#currentVersions(read.request, tags),
    });
    const checked = underVersions(entry, read.expected, versions, by);
    if (behind === undefined && onValid === undefined) return checked;
    const mayFail = behind !== undefined && isThenable(checked);
    return whenReady(mayFail ? checked.then(undefined, () => this.#uncheckedEntry(entry)) : checked, (found) => {
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

/** Fewer are read without a question: another version would cost a second trip. */
const LARGE = 1_024;

/** Versions that could not be read. */
type Unread = FailureOf;

const lagging = (entry: Entry): Entry => ({ ...entry, terms: { ...entry.terms, mayLag: true } });
