import type { ChangeListener } from "../coherence/change-listener.ts";
import { BackendParts, ONE_PART } from "../coherence/parts.ts";
import type { Trust } from "../coherence/trust.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { DeleteStatus, Format, StoredEntry } from "../contracts/backend.ts";
import type { Backend, TagVersions } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { Codec, type Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import { keyEvent, type EntryKey } from "../entry/key.ts";
import type { Events } from "../primitives/event-port.ts";
import { ignore } from "../primitives/ignore.ts";
import type { TierMeter } from "../primitives/meters.ts";
import { promised, type Settlers } from "../primitives/settlers.ts";
import { KnownVersions } from "../tags/known-versions.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import { versionEntries } from "../tags/version-entries.ts";
import { BackendCalls, boundedVersions, REMOVES } from "./backend-calls.ts";
import { EntryReads } from "./entry-reads.ts";
import type { EntryLeases, EntryWrite, StoreStatus } from "./entry-tier.ts";
import { LapsedReads } from "./lapsed-reads.ts";
import type { LocalCopies } from "./local-copies.ts";
import { remoteLeases, type Sending } from "./remote-leases.ts";
import { UnreadableEntries } from "./unreadable-entries.ts";

/** The parts of the cache that the tier belongs to. */
interface RemoteTierOf {
  /** The parts of the backend. */
  readonly parts?: BackendParts;
  /** The tag versions that were seen. */
  readonly table?: KnownVersions;
  /** The tag calls of the cache, and the changes by others that it received. */
  readonly tags?: TagEvents;
  /** Trust in copies, if changes are reported. */
  readonly trust?: Trust | undefined;
  readonly copies?: LocalCopies | undefined;
}

/**
 * One backend as a tier: codec, tag versions, and {@link BackendCalls} around every call.
 *
 * Rejects with `BackendUnavailableError` when the backend did not answer, and with the error of the backend when it
 * refused; both are reported once.
 */
export class RemoteTier {
  declare readonly label: string;
  declare readonly deadlineMs: number;
  /** Whether the backend bounds each call by its deadline itself. */
  declare readonly boundsCalls: boolean;
  /** Whether it has several parts that fail separately: one may keep the tag versions of entries in another. */
  declare readonly hasParts: boolean;
  /** `false` where entries cannot carry tags, validators or namespace versions. */
  declare readonly keepsMeta: boolean;
  /** Bounded, and behind the breaker, like every other call. */
  declare readonly versions: TagVersions | undefined;
  /** The tag versions that this process has seen. */
  declare readonly knownVersions: KnownVersions;
  /** Leases of entries; `undefined` where no other process can hold one. */
  readonly leases: EntryLeases | undefined;
  declare readonly reads: EntryReads;
  /** Counts its hits, misses and errors. */
  declare readonly meter: TierMeter;
  /** To be called about the link to the backend. */
  declare readonly listener: Pick<
    ChangeListener,
    "attaching" | "attached" | "unattached" | "detached" | "partLost" | "alive"
  >;
  readonly #backend: Backend;
  readonly #codec: Codec;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  readonly #calls: BackendCalls;
  readonly #unreadable: UnreadableEntries;

  constructor(backend: Backend, clock: Clock, events: Events, cache: string, of: RemoteTierOf = {}) {
    const { parts = new BackendParts(backend.parts), table = new KnownVersions(undefined, clock, ignore) } = of;
    const { label, deadlineMs = 1_000, breaker } = backend;
    this.label = label;
    this.deadlineMs = deadlineMs;
    this.hasParts = backend.parts !== undefined;
    this.keepsMeta = backend.keepsMeta ?? true;
    this.knownVersions = table;
    this.#backend = backend;
    this.#codec = new Codec(backend);
    this.#clock = clock;
    this.#events = events;
    this.#cache = cache;
    // One call of tag versions that are kept as entries takes several calls of the backend.
    const boundsCalls = backend.boundsCalls === true && (backend.tagVersions !== undefined || !this.keepsMeta);
    this.#calls = new BackendCalls({ label, deadlineMs, boundsCalls, clock, events, cache, breaker, parts });
    this.boundsCalls = this.#calls.boundsCalls;
    this.meter = this.#calls.meter;
    this.#unreadable = new UnreadableEntries(this, events, cache);
    this.listener = this.#calls;
    const source = backend.tagVersions ?? versionEntries(backend, clock);
    const tagVersions = this.keepsMeta ? table.recording(source) : undefined;
    this.versions = tagVersions && boundedVersions(tagVersions, this.#calls);
    const connect = backend.connect && ((): Promise<void> => this.connect());
    this.reads = new EntryReads({
      backend,
      clock,
      codec: this.#codec,
      calls: this.#calls,
      unreadable: this.#unreadable,
      lapsed: connect && new LapsedReads({ ...of, clock, connect }),
      knownVersions: table,
      tagVersions,
      versions: this.versions,
      tags: of.tags,
      copies: of.copies,
    });
    this.leases =
      backend.leases &&
      remoteLeases(backend.leases, {
        calls: this.#calls,
        clock,
        decodeCurrent: (read, stored) => this.reads.withCurrentVersions(read, stored),
        lifeOf: (entry) => this.#codec.lifeOf(entry, entry.encoding!, entry.versions, clock.now()),
        store: (key, write, sending, ends) => this.#store(key, write, sending, ends),
        refuse: (key) => this.#refuse(key),
      });
  }

  /** For records next to the entries; calls of it are neither counted nor bounded. */
  get backend(): Backend {
    return this.#backend;
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

  /** The part of the backend that keeps this key, of an entry or of a tag. */
  partOf(backendKey: string): string {
    return this.#calls.partOf(backendKey);
  }

  /** The format in which values are written. */
  get format(): Format {
    return this.#backend.format;
  }

  /** Throws, or rejects with, `EncodeError` when the value cannot be written. */
  encode(value: unknown, from?: "load"): Awaitable<Encoded> {
    return this.#codec.encode(value, from);
  }

  /** Whether the tags and validators of an entry can be written; its tag versions, which are short, come later. */
  hasRoomForMeta(entry: Entry, { encoding }: Encoded): boolean {
    try {
      this.#codec.lifeOf(entry, encoding, undefined, this.#clock.now());
      return true;
    } catch {
      return false;
    }
  }

  /** Sends the entry under `entry.version`. */
  writeTo(key: EntryKey, write: EntryWrite, ends: Settlers<"stored" | "refused">): void {
    const send = (stored: StoredEntry): Promise<void> => this.#backend.write(key.backend, stored);
    // Without a lease it is not overtaken.
    this.#store(key, write, { isLeased: false, send, refuse: () => this.#refuse(key) }, ends as Settlers<StoreStatus>);
  }

  #store(key: EntryKey, write: EntryWrite, sending: Sending, ends: Settlers<StoreStatus>): void {
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
        const { store } = this.#events;
        if (status === "stored" && entry.terms.placeholder === undefined && store.isObserved) {
          const durationMs = this.#clock.now() - startedAt;
          const of = { ...keyEvent(this.#cache, key), tier: this.label, durationMs };
          store.emit({ ...of, bytes: encoded.data.length });
        }
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

  removeTo(key: EntryKey, ends: Settlers<DeleteStatus>): void {
    const target = this.#calls.targetOf(key, REMOVES);
    this.#calls.send("remove", target, this.deadlineMs, () => this.#backend.remove(key.backend), ends);
  }

  /** Removes the entry where the backend cannot mark it stale: it must not be served. */
  async markStale(key: EntryKey): Promise<"stale" | "missing"> {
    if (this.#backend.markStale === undefined) return (await this.remove(key)) === "deleted" ? "stale" : "missing";
    const target = this.#calls.targetOf(key, REMOVES);
    return this.#calls.run("markStale", target, this.deadlineMs, () => this.#backend.markStale!(key.backend));
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
}
