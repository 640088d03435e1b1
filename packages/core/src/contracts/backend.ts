import type { Awaitable } from "./awaitable.ts";

/** Value to bytes and back. Has a contract suite: `describeFormat`. */
export interface Format {
  /** Stored with each entry, so it never changes its meaning: a new layout is a new id. 1 to 32 of `a-z 0-9 . -`. */
  readonly id: string;
  /** Never given `undefined`. Throws what it cannot write. */
  encode(value: unknown): Uint8Array;
  /** Throws on bytes it did not write. Runs no code, sets no prototype, and allocates in proportion to `bytes`. */
  decode(bytes: Uint8Array): unknown;
}

/** Bytes to fewer bytes and back. Has a contract suite: `describeCompressor`. */
export interface Compressor {
  /** As {@link Format.id}. */
  readonly id: string;
  /** Smaller values are stored as they are. @default 0 */
  readonly minBytes?: number;
  compress(bytes: Uint8Array): Awaitable<Uint8Array>;
  /** Throws before it allocates more than `maxBytes`. */
  decompress(bytes: Uint8Array, maxBytes: number): Awaitable<Uint8Array>;
}

export interface CompressorOptions {
  readonly level?: number;
  /** Values smaller than this are stored as they are. @default 1024 */
  readonly minBytes?: number;
}

/**
 * Keeps bytes outside the process. Has a contract suite: `describeBackend`.
 *
 * Four methods make a backend; each capability below adds a promise the cache can then
 * keep across processes. Times are what remains, never instants, so no clocks are compared.
 *
 * Every method rejects with {@link BackendUnavailableError} when the store did not answer;
 * that alone opens the breaker. An answer after the deadline is ignored.
 */
export interface Backend {
  /** Names the tier in events, numbers and errors. */
  readonly label: string;
  /** Writes new entries. */
  readonly format: Format;
  /** Writes new entries. */
  readonly compressor: Compressor;
  /** Also read; entries name theirs. An unknown one is a miss. */
  readonly alsoReads?: readonly (Format | Compressor)[];
  /** How long the cache waits for one call. @default 1_000 */
  readonly deadlineMs?: number;
  /** Larger encoded entries are not stored. @default Infinity */
  readonly maxEntryBytes?: number;
  /** Larger decompressed values are a miss. @default 64 MiB */
  readonly maxDecodedBytes?: number;
  /**
   * `false` for a layout that has no room for `StoredEntry.meta`, because other programs read it. Then tags, validators
   * and `clear` are refused, every value is compressed, and stale windows are what the backend can tell. @default true
   */
  readonly keepsMeta?: boolean;
  /**
   * Whether reads may be answered by what lags behind acknowledged writes, such as replicas, without anybody to tell
   * of it. What they bring is then kept in no local tier. @default false
   */
  readonly readsLag?: boolean;

  /** The entry exactly as written, or `undefined`. Never one whose life is over. */
  read(key: string): Promise<StoredEntry | undefined>;
  /** Stores `entry`; nothing of what was there survives, a lease included. */
  write(key: string, entry: StoredEntry): Promise<void>;
  /** Removes the entry, and a lease on it. */
  remove(key: string): Promise<DeleteStatus>;
  /** Lets go of what this backend opened, and of nothing handed to it. Idempotent. */
  close(): Promise<void>;

  /** Connects ahead of the first call. */
  connect?(): Promise<void>;
  /** Ends the entry's freshness, and a lease on it, atomically; a backend with leases gives it another version. Without it the cache removes the entry. */
  markStale?(key: string): Promise<"stale" | "missing">;
  /** What coherence calls `key`, of an entry or of a tag, where that cannot be turned back (hashed keys). @default the key */
  alias?(key: string): string;
  /** Many keys in one trip. Without it the cache issues single calls. */
  readonly batch?: Batch;
  /** One load across all processes, and no store that something newer overtook. Without it both hold per process. */
  readonly leases?: Leases;
  /** Versions issued by the store. Without it the cache keeps them as ordinary entries. */
  readonly tagVersions?: TagVersions;
  /** Who else changes this store, and how we hear of it. Without it `localTtl` must be given wherever there is a local tier. */
  readonly coherence?: Coherence | "sole-writer";
}

export interface StoredEntry {
  readonly data: Uint8Array;
  /** Remaining freshness in whole milliseconds; zero or less when stale; may be `Infinity`. */
  readonly staleInMs: number;
  /** Remaining life in whole milliseconds, at least 1, or `Infinity`. */
  readonly expiresInMs: number;
  /** Belongs to the cache: keep it as it is. At most 4 KiB; empty for an entry that another program wrote. */
  readonly meta: string;
  /**
   * Unique to one write, and named by who writes: up to 32 of `A-Z a-z 0-9 - _`. A backend with leases keeps it, and gives
   * it back on reading; of an entry that another program wrote it says what tells it from none, `-` say.
   */
  readonly version?: string;
}

export type DeleteStatus = "deleted" | "missing";

export interface Batch {
  /** One result per key, in order. */
  read(keys: readonly string[]): Promise<readonly (StoredEntry | undefined)[]>;
  write(entries: readonly (readonly [key: string, entry: StoredEntry])[]): Promise<void>;
  /** One result per key, in order. */
  remove(keys: readonly string[]): Promise<readonly DeleteStatus[]>;
}

/**
 * At most one holder per key. `token` is unguessable and names the holder. `seen` is the version of the entry as it was
 * read last, `''` for none; a backend may answer with versions of its own for what it cannot read, such as a value of
 * another type, and takes them back as `seen`. Each step is atomic.
 */
export interface Leases {
  /**
   * Ends by itself after `leaseMs`. An entry of another version than `seen` is answered instead: somebody stored since.
   * `'*'` takes the lease over, whoever holds it.
   */
  acquire(
    key: string,
    token: string,
    leaseMs: number,
    seen: string,
  ): Promise<
    | { readonly granted: true; /** What is there now, for {@link store}; `''` for none. */ readonly version: string }
    | { readonly granted: false; readonly entry: StoredEntry }
    | { readonly granted: false; readonly heldForMs: number }
  >;
  /** `false` when it is no longer held by `token`. */
  renew(key: string, token: string, leaseMs: number): Promise<boolean>;
  /** Does nothing when it is not held by `token`. Coherence reports it as a change, to every process: others wait for it. */
  release(key: string, token: string): Promise<void>;
  /**
   * Stores and releases; `false`, storing nothing, when `token` does not hold the lease or the entry is no longer the one
   * `seen`, and then a lease that `token` held is released. Where the store refuses the write, for want of memory say,
   * lease and entry are gone, and that is reported as a change.
   */
  store(key: string, token: string, seen: string, entry: StoredEntry): Promise<boolean>;
  /**
   * The version of the entry now, `''` for none: whether what was just stored still stands. Whatever was acknowledged to
   * anybody before it is sent has been reported to the listeners of this process when it answers.
   */
  confirm(key: string): Promise<string>;
}

/** Opaque versions that are never issued twice. */
export interface TagVersions {
  /** Current versions in order; `undefined` for a missing one. */
  read(tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]>;
  /** Current versions in order, a missing one issued; and where the issuer stands, for `unchangedSince`. */
  pin(tags: readonly string[]): Promise<{ readonly at: string; readonly versions: readonly TagVersion[] }>;
  /** As `pin`, but `undefined` for a tag that may have been renewed after `at`: for tags that a loader adds late. */
  unchangedSince(at: string, tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]>;
  /** Issues new ones: from its acknowledgement on nothing older is answered. */
  renew(tags: readonly string[], mode: "hard" | "soft"): Promise<void>;
}

/** Never issued twice. Where `hard` differs the entry is gone; where only `soft` differs it is stale. */
export interface TagVersion {
  readonly hard: string;
  readonly soft: string;
}

/**
 * Hearing of what others change. What this process changed itself may be reported too: a copy is then confirmed, never
 * kept in spite of it.
 */
export interface Coherence {
  /** How long after a sign of life local copies may be served, in milliseconds: what a silent link or a frozen process can hide. @default 2_000 */
  readonly maxStalenessMs?: number;
  /** How far back the cache issues its invalidations again after {@link CoherenceListener.replaced}, in milliseconds. @default 30_000 */
  readonly reissueWindowMs?: number;
  /**
   * Reports every change that is acknowledged after this has resolved, until the returned function is called: once, and
   * also after {@link CoherenceListener.lost}. A removal is a change where nothing was there, too: a copy of it may be held,
   * or a load under way. May reject, and may take until the store can be reached; the cache tries again.
   */
  attach(listener: CoherenceListener): Promise<() => Promise<void>>;
}

/** What a backend tells the cache. Each returns at once and throws nothing; keys are strings as the cache gave them. */
export interface CoherenceListener {
  /** The cache's clock. */
  now(): number;
  /** These entries (keys, or their aliases) changed, or may have; or a lease on one was freed. */
  changed(keys: readonly string[]): void;
  /** These tag versions changed, or may have. Keys as given to {@link TagVersions}, or their aliases. */
  tagsChanged(tags: readonly string[]): void;
  /** Anything may have changed. */
  everythingChanged(): void;
  /** Everything that was acknowledged to anybody before `sentAtMs` (of {@link now}) has been reported: extends trust. Also before `attach` resolves. */
  alive(sentAtMs: number): void;
  /** Another server answers from now on, or one that was started again: what was removed may be back. Before anything is read from it, where that can be: also before `attach` resolves. */
  replaced(): void;
  /** Changes may have been missed from now on. The cache attaches again. */
  lost(error: unknown): void;
}
