import type { Awaitable } from "../contracts/awaitable.ts";
import type { Backend, StoredAnswer, TagVersions } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { DecodeError } from "../contracts/errors.ts";
import type { Codec } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import { isThenable, whenReady } from "../primitives/thenable.ts";
import { within } from "../primitives/within.ts";
import { underKnownChanges } from "../tags/known-changes.ts";
import type { KnownVersions } from "../tags/known-versions.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import { type Applying, underVersions, type Versions } from "../tags/tag-versions.ts";
import { type BackendCalls, ownError } from "./backend-calls.ts";
import type { ReadRequest } from "./entry-tier.ts";
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
  readonly knownVersions: KnownVersions;
  /**
   * The versions that entries are checked against, if they carry any. Not bounded: for calls within that of an entry.
   */
  readonly tagVersions: TagVersions | undefined;
  /** Like `tagVersions`, but each read in a separate call. */
  readonly versions: TagVersions | undefined;
  /** The tag calls of this process, and the changes by others that it received. */
  readonly tags: TagEvents | undefined;
  /** The copies that reads are kept as. */
  readonly copies: Pick<LocalCopies, "copyOf" | "values" | "drop"> | undefined;
}

/** What a backend answered to reads: decoded, and checked against the tag versions that are current. */
export class ReceivedEntries {
  readonly #of: EntryReadsOf;
  readonly #applying: Applying<ReadRequest>;

  constructor(of: EntryReadsOf) {
    this.#of = of;
    this.#applying = { clock: of.clock, readMore: (request, tags) => this.currentVersions(request, tags) };
  }

  /** Whether a read asks for tag versions in its own call. */
  needsVersions({ request, expected }: SentRead): boolean {
    return (
      this.#of.tagVersions !== undefined && (request.isCurrent === true || !this.#of.knownVersions.knows(expected))
    );
  }

  /** Current versions of `tags`: known ones, else read in a separate call. */
  currentVersions(request: ReadRequest, tags: readonly string[]): Awaitable<Versions> {
    const known = request.isCurrent === true ? undefined : this.#of.knownVersions.known(tags);
    return known ?? this.versionsOf(this.#of.versions!, request, tags);
  }

  /**
   * The versions of these tags. For a current request they are pinned, which the primary alone answers: a replica may
   * lack a change that was acknowledged.
   */
  versionsOf(source: TagVersions, { isCurrent }: ReadRequest, tags: readonly string[]): Promise<Versions> {
    if (isCurrent !== true) return this.#of.knownVersions.current(source, tags);
    return source.pin(tags).then(({ versions }) => versions);
  }

  /**
   * Decodes an entry and checks it against the tag versions that are current.
   *
   * @param asked the versions of `expected`; `undefined` if they were known when the read was sent. They may have been
   *   forgotten since.
   */
  withCurrentVersions(read: SentRead, stored: StoredAnswer, asked: Versions | undefined): Awaitable<Entry | undefined> {
    if (this.#of.tagVersions === undefined) return this.decode(read, stored, asked);
    const versions = asked ?? this.currentVersions(read.request, read.expected);
    if (!isThenable(versions)) return this.decode(read, stored, versions);
    return versions.then(
      (now) => this.decode(read, stored, now),
      (error: unknown) => {
        if (stored.behind !== undefined) return this.unchecked(read, stored);
        throw error;
      },
    );
  }

  /** A copy, where the tag versions cannot be read. */
  unchecked(read: SentRead, stored: StoredAnswer): Awaitable<Entry | undefined> {
    return whenReady(this.decode(read, stored, undefined), (entry) => this.#uncheckedEntry(entry));
  }

  /** All tag calls that are remembered are applied to it, and all changes by others that were received. */
  #uncheckedEntry(entry: Entry | undefined): Entry | undefined {
    const { tags, knownVersions: table, clock } = this.#of;
    const unchecked = entry && { ...entry, tagSequence: 0 };
    return unchecked && tags ? underKnownChanges(unchecked, { tags, table }, clock.now()) : unchecked;
  }

  /**
   * Decodes an entry and applies `versions`; `undefined` if it cannot be decoded, or not within the time that a call
   * may take. Synchronous where the decoder is: then it makes no closure, since every hit comes this way.
   */
  decode(read: SentRead, stored: StoredAnswer, versions: Versions | undefined): Awaitable<Entry | undefined> {
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

  #decodeNow({ request, sentAt, copy }: SentRead, stored: StoredAnswer): Awaitable<Entry> {
    const known = stored.isSeen === true ? { ...copy!, value: this.#of.copies!.values.handOut(copy!.value) } : copy;
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
    const checked = underVersions(entry, read, versions, this.#applying);
    if (behind === undefined && onValid === undefined) return checked;
    const mayFail = behind !== undefined && isThenable(checked);
    return whenReady(mayFail ? checked.then(undefined, () => this.#uncheckedEntry(entry)) : checked, (found) => {
      if (found !== entry) return behind === undefined ? found : this.#behind(read, behind, found);
      onValid?.();
      return entry;
    });
  }
}

const lagging = (entry: Entry): Entry => ({ ...entry, terms: { ...entry.terms, mayLag: true } });
