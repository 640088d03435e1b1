import type { StableBackend, StoredEntry } from "./backend.ts";
import type { DecodeError } from "./errors.ts";

/**
 * A backend as a tier takes it: a {@link StableBackend}, with what lets the cache keep more promises across processes.
 * Each capability is optional, and may change with a minor version: `fromSwap` makes leases and tag versions out of four
 * methods that do not.
 */
export interface Backend extends StableBackend {
  /** When calls of the backend are skipped because it does not answer. */
  readonly breaker?: BreakerPolicy;
  /** The id of the {@link Seal} around it. A composition copies its entries only to a sealed backend. @default none */
  readonly sealedBy?: string;
  /** Bound by a seal together with the key: the part of the store's keys that the cache does not know. @default '' */
  readonly sealScope?: string;
  /**
   * `false` for a layout without room for `StoredEntry.meta`, because other programs read it. Then tags, validators and
   * `clear` are refused, every value is compressed, and stale windows are computed from `staleInMs` and `expiresInMs`.
   *
   * @default true
   */
  readonly keepsMeta?: boolean;
  /**
   * Whether a read may return data older than an acknowledged write, from a replica for example, without a report of
   * the change. Entries read are then never kept in a local tier. @default false
   */
  readonly readsLag?: boolean;
  /**
   * Whether keys are stored as the caller gives them, because other programs know them. Only a cache without a name and
   * without a version can use such a backend: others would meet in it. @default false
   */
  readonly keepsKeys?: boolean;

  /** @param seen the version of a value that the cache has: the answer may leave data out, {@link StoredAnswer.isSeen}. */
  read(key: string, seen?: string): Promise<StoredAnswer | undefined>;
  /**
   * Lists entries, a page at a time and in no order, for people and not for programs: it may take long. One that is
   * written or removed meanwhile may be left out, or come twice. Reads keys and lives, no values. Without it stored
   * entries cannot be listed.
   *
   * @throws {BackendUnavailableError} from the iteration.
   */
  walk?(walk: KeyWalk): AsyncIterable<WalkedKeys>;
  /** The parts of a store that fail apart from each other, such as the primaries of a cluster. @default one part */
  readonly parts?: Parts;
  /** Reads of many keys in one round trip. Without it the cache issues single reads. */
  readonly batch?: Batch;
  /**
   * One load across all processes, and no store after a newer write or invalidation. Without it both hold per process.
   */
  readonly leases?: Leases;
  /**
   * Tag versions issued by the store. Without it the cache keeps them as ordinary entries, under keys that begin with
   * `{~`, as the key of no other entry does.
   */
  readonly tagVersions?: TagVersions;
  /**
   * Reports changes by other processes; `"sole-writer"`: no other process writes. Without it `localTtl` is required if
   * there is a local tier.
   */
  readonly coherence?: Coherence | "sole-writer";
}

/** A breaker opens after failures in a row, then lets one call through after a wait that doubles. */
export interface BreakerPolicy {
  /** @default 5 */
  readonly failures: number;
  /** Milliseconds until the first call is let through. @default 1_000 */
  readonly waitMs: number;
  /** Milliseconds that the wait doubles to. @default 30_000 */
  readonly longestWaitMs: number;
  /**
   * Calls `listener` with the name of a part, `""` where there is one, each time that it is connected to again: its
   * breaker closes without a call as a probe. Listened to from the first failure on.
   *
   * @returns a function that ends it.
   */
  readonly onReconnect?: ((listener: (part: string) => void) => () => void) | undefined;
}

/** What a read may answer: an entry, with what only the cache, and a backend that is made of others, make use of. */
export interface StoredAnswer extends StoredEntry {
  /** Answers a read that names a version, without `data`: whether the entry has it, and no other program wrote it. */
  readonly isSeen?: boolean;
  /**
   * Only in an answer, and only of a copy, which may hide changes by other processes until it ends: reads its original.
   * Called for a call with `current`, and where the tag versions say that the copy is not current. While they cannot be
   * read, a copy is served unless a tag call of this process covers it.
   */
  readonly behind?: () => Promise<StoredEntry | undefined>;
  /**
   * Only in an answer: called, once at most, if the tag versions say that the entry is valid. So a backend that copies
   * what it has read copies nothing that was invalidated.
   */
  readonly onValid?: () => void;
  /**
   * Only in an answer, of an entry that is there and must not be believed: why. It is reported as `decode:error`; the
   * entry {@link behind} it is read, or else it is a miss, and the next load replaces it. `data` and `meta` are empty.
   * The backend has answered, so its breaker does not count it.
   */
  readonly error?: DecodeError;
}

/** Which entries {@link Backend.walk} lists. */
export interface KeyWalk {
  /** Only keys, as the cache gives them, that begin with this text. */
  readonly prefix: string;
  /** Only keys that contain this text, where the store can select them; the cache filters again. */
  readonly contains?: string | undefined;
  /** Ends it, at the latest between two pages. */
  readonly signal?: AbortSignal | undefined;
}

/** A page of {@link Backend.walk}; it may have no keys. */
export interface WalkedKeys {
  /** Keys found by this step, in no order. */
  readonly keys: readonly WalkedKey[];
  /** Keys of the store that were looked at until now, others included. */
  readonly looked: number;
  /** About how many there are. */
  readonly total?: number | undefined;
}

/** One entry of {@link Backend.walk}. */
export interface WalkedKey {
  /** The key as the cache gives it; for a hashed key, the readable part that is left. */
  readonly key: string;
  /** Remaining freshness, as in {@link StoredEntry}; absent unless the store keeps it apart from the life. */
  readonly staleInMs?: number | undefined;
  /** Remaining life, as in {@link StoredEntry}. */
  readonly expiresInMs?: number | undefined;
  /** Size of the entry in the store, or else of its data. */
  readonly bytes?: number | undefined;
}

/** Calls for many keys in one trip. */
export interface Batch {
  /**
   * One result per key, in order: the entry, `undefined` where there is none, or an error where it could not be read.
   * Absent and unreadable differ: for the second a cache serves what it has, and does not load again.
   *
   * @throws when nothing could be read.
   */
  read(keys: readonly string[]): Promise<readonly (StoredAnswer | Error | undefined)[]>;
}

/**
 * The parts of a store. A failure of one neither keeps the cache from calling the others, nor ends the trust in copies
 * of their keys. Names are chosen by the backend, and are not empty. Methods throw nothing.
 */
export interface Parts {
  /** The parts that the store has now; none while that is not known. */
  names(): readonly string[];
  /** The part that keeps `key`, of an entry or of a tag, now; `""` while that is not known. Called often. */
  of(key: string): string;
}

/**
 * At most one process holds the lease of a key. `token` cannot be guessed and identifies the holder. `seen` is the
 * version of the entry as last read, `''` for none. A value that a backend cannot read, of another type say, may have a
 * version that no writer chose, which comes back as `seen`. Each step is atomic. Methods reject like {@link Backend}'s.
 */
export interface Leases {
  /**
   * How long a lease lasts that is not renewed, in milliseconds: so long do other processes wait for one that died, and
   * so long may one stand still and keep its lease. Renewed after a quarter of it. @default 2_000
   */
  readonly leaseMs?: number;
  /**
   * Grants the lease for `leaseMs`, then it ends. If the entry has another version than `seen`, another process has
   * stored it since, and the entry is returned instead.
   */
  acquire(request: LeaseRequest): Promise<LeaseReply>;
  /** `false` when `token` no longer holds the lease. */
  renew(key: string, token: string, leaseMs: number): Promise<boolean>;
  /**
   * Ends the lease; does nothing when `token` does not hold it. Coherence reports the end to every process that was
   * refused the lease, because it may wait for it: with {@link CoherenceListener.leaseChanged}, since the entry stays
   * as it is, or else as a change of the entry, which costs every process its copy.
   */
  release(key: string, token: string): Promise<void>;
  /**
   * Stores the entry and releases the lease. Returns `false` and stores nothing when `token` does not hold the lease or
   * the entry no longer has the version `seen`; a lease that `token` held is released even then. When the store refuses
   * the write (out of memory, say), lease and entry are removed, and the removal is reported as a change.
   */
  store(key: string, token: string, seen: string, entry: StoredEntry): Promise<boolean>;
  /**
   * Gives the entry another life and meta; its data, its version and a lease on it stay. Returns `false` and changes
   * nothing when the entry no longer has the version `seen`. Reported as a change: copies have the former life.
   */
  touch(key: string, seen: string, life: Pick<StoredEntry, "staleInMs" | "expiresInMs" | "meta">): Promise<boolean>;
  /**
   * The current version of the entry, `''` for none: shows whether the entry just stored is still there. Every change
   * of `key` that was acknowledged to any client before this call was sent is reported to the listeners of this process
   * before the answer, and every later one that the answer does not show before or after it.
   */
  confirm(key: string): Promise<string>;
}

/** What {@link Leases.acquire} is asked for. */
export interface LeaseRequest {
  /** The key of the entry, as the cache passes it to the backend. */
  readonly key: string;
  /** Identifies the holder; nobody can guess it. */
  readonly token: string;
  /** How long the lease is to last, in milliseconds. */
  readonly leaseMs: number;
  /** The version of the entry as last read; `''` for none. `'*'` takes the lease over from any holder. */
  readonly seen: string;
  /**
   * The caller takes the entry of version `seen` as over: it counts a life from when it sent the read, so some
   * milliseconds may be left of it here. Where the lease is granted that entry may be removed, but none without a
   * version: another program may have written it since. The version is `''` then. If the entry ended during the load,
   * the store would be refused. @default false
   */
  readonly isOver?: boolean | undefined;
}

/** The answer of {@link Leases.acquire}. */
export type LeaseReply =
  | {
      readonly granted: true;
      /** Version of the current entry, for {@link Leases.store}; `''` for none. */
      readonly version: string;
    }
  | { readonly granted: false; readonly entry: StoredEntry }
  | { readonly granted: false; readonly heldForMs: number };

/** Opaque versions that are never issued twice. Methods reject as those of {@link Backend}. */
export interface TagVersions {
  /** Current versions in order; `undefined` for a missing one. May lag where `renew` cannot reach its server. */
  read(tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]>;
  /**
   * Current versions in order, none older than a `renew` that was acknowledged; a missing one is issued, and reported
   * as a change to each process that read it as missing. `at` is the issuer's position, for `unchangedSince`.
   */
  pin(tags: readonly string[]): Promise<{ readonly at: string; readonly versions: readonly TagVersion[] }>;
  /** As `pin`, but `undefined` for a tag that may have been renewed after `at`. For tags that a loader adds late. */
  unchangedSince(at: string, tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]>;
  /**
   * Issues new versions: after the acknowledgement no older version is returned. `soft` keeps the `hard` version of a
   * tag that has one.
   */
  renew(tags: readonly string[], mode: "hard" | "soft"): Promise<void>;
}

/** Never issued twice. If `hard` differs, the entry counts as removed; if only `soft` differs, as stale. */
export interface TagVersion {
  /** Another one after each invalidation. */
  readonly hard: string;
  /** Another one after each mark. */
  readonly soft: string;
}

/**
 * Reports changes by other processes. It may also report changes by this process: the cache then confirms its copy
 * with the backend, and never keeps it unchecked.
 */
export interface Coherence {
  /**
   * How long local copies may be served after the last {@link CoherenceListener.alive}, in milliseconds. Bounds the
   * staleness while a connection is silent or a process is frozen. @default 2_000
   */
  readonly maxStalenessMs?: number;
  /**
   * After {@link CoherenceListener.replaced} the cache repeats its invalidations of this many milliseconds.
   * @default 30_000
   */
  readonly reissueWindowMs?: number;
  /**
   * Reports every change that is acknowledged after the returned promise has resolved, until the returned function is
   * called, to what the cache depends on; it may report more. The cache depends
   *
   * - on an entry, also a missing one, from when it reads, confirms, writes or stores it, or asks for its lease, until
   *   the next report of its key;
   * - on a lease from when it is refused, until the next report of the lease, or of the key;
   * - on a tag version from when it reads or pins it, until the next report of it;
   * - from a pin on, until the next report of any tag, on all tags whose versions have the same issuer: a loader may
   *   add any of them. The report may name another tag of that issuer.
   *
   * The cache calls the returned function once, also after {@link CoherenceListener.lost}. A removal is reported even
   * if there was no entry: another process may hold a copy of the key or be loading it. May reject, and may wait until
   * the store can be reached; after a rejection the cache calls it again.
   */
  attach(listener: CoherenceListener): Promise<() => Promise<void>>;
}

/**
 * Methods with which a backend notifies the cache: they return immediately, and throw nothing. Keys are the strings
 * that the cache passed to the backend.
 */
export interface CoherenceListener {
  /** The cache's clock. */
  now(): number;
  /** Whether it keeps copies. If not, it depends on no entry once a store of it was answered. @default true */
  readonly keepsCopies?: boolean | undefined;
  /**
   * Reports entries (keys) that changed or may have changed.
   *
   * @param versions what each is after its change, where that is known: the {@link StoredEntry.version} that was
   *   written. A copy that has it stays, so a backend that reports a change later than it acknowledges it costs nobody
   *   the copy that it was. A `touch` keeps the version: only the caller's own copy has the new life. @default none
   */
  changed(keys: readonly string[], versions?: ReadonlyMap<string, string>): void;
  /**
   * The leases of these entries (keys) changed or may have changed, and the entries did not: a
   * process that waits for one asks again, and no copy is dropped. A backend that never calls it reports the end of a
   * lease with {@link changed}.
   *
   * @param order `exact`: each {@link Leases.store} of this process is reported like this, behind its own change of
   *   the entry and before any later one. So the cache needs no {@link Leases.confirm}. `renewed`: this process has
   *   renewed a lease in the place of a missing entry, and nothing else was reported of the entry meanwhile.
   *   @default 'loose'
   */
  leaseChanged(keys: readonly string[], order?: "loose" | "exact" | "renewed"): void;
  /**
   * Reports tag versions that changed or may have changed. Keys as passed to {@link TagVersions}.
   *
   * @param versions as in {@link changed}: `hard`, a space and `soft`.
   */
  tagsChanged(tags: readonly string[], versions?: ReadonlyMap<string, string>): void;
  /**
   * Anything may have changed: in this one of {@link Backend.parts}, or in all.
   *
   * @param concerns only these keys, of entries and tags, may have. Kept, and called at later reads.
   */
  everythingChanged(part?: string, concerns?: (key: string) => boolean): void;
  /**
   * Every change acknowledged to any client before `sentAtMs` (an instant of {@link now}) has been reported. Local
   * copies may be served for `maxStalenessMs` longer. May be called before `attach` resolves.
   *
   * @param part the one of {@link Backend.parts} whose changes have been reported, if there are several. The first call
   *   after its loss says that its changes are reported again, from `sentAtMs` on.
   */
  alive(sentAtMs: number, part?: string): void;
  /**
   * A different or restarted server answers from now on: removed entries may be back. Called before anything is read
   * from it, if possible; may be called before `attach` resolves.
   *
   * @param part the one of {@link Backend.parts} that it serves, if there are several.
   */
  replaced(part?: string): void;
  /**
   * From now on changes may be missed. The cache attaches again.
   *
   * @param error reported as `backend:error`, unless it is a {@link BackendUnavailableError} or `undefined`.
   * @param part only changes of this part may be missed: the cache stays attached, and the backend calls {@link alive}
   *   for the part when it can report its changes again.
   */
  lost(error: unknown, part?: string): void;
}
