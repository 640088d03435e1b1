import type { Awaitable } from "./awaitable.ts";

/** Default of {@link Backend.maxDecodedBytes}. */
export const DEFAULT_MAX_DECODED_BYTES: number = 8 * 2 ** 20;

/** Turns values into bytes and back. Has a contract suite: `describeFormat`. */
export interface Format {
  /**
   * Stored with each entry, so its meaning must never change: a new layout needs a new id. 1 to 32 of `a-z 0-9 . -`.
   */
  readonly id: string;
  /**
   * Never called with `undefined`. Throws for a value that it cannot write, and for one that `decode` would refuse
   * with the same `maxBytes`.
   *
   * @param maxBytes As in {@link decode}.
   */
  encode(value: unknown, maxBytes?: number): Uint8Array;
  /**
   * Throws for bytes that it did not write. Runs no code, and sets no prototype.
   *
   * @param maxBytes The backend's `maxDecodedBytes`: allocates at most eight times as much, and throws before it would
   *   allocate more. `bytes` are not longer. @default 8 MiB
   */
  decode(bytes: Uint8Array, maxBytes?: number): unknown;
}

/** Makes bytes fewer, and restores them. Has a contract suite: `describeCompressor`. */
export interface Compressor {
  /** The {@link Format.id} of the format that wrote the bytes. */
  readonly id: string;
  /** Smaller values are stored uncompressed. @default 0 */
  readonly minBytes?: number;
  /** If it throws or rejects, the entry is not written. */
  compress(bytes: Uint8Array): Awaitable<Uint8Array>;
  /** Throws before it allocates more than `maxBytes`. */
  decompress(bytes: Uint8Array, maxBytes: number): Awaitable<Uint8Array>;
}

/** Options of a compressor. */
export interface CompressorOptions {
  /** A whole number; more is smaller and slower. @default gzip 6, brotli 4, zstd 3 */
  readonly level?: number | undefined;
  /** Values smaller than this are stored uncompressed. @default 1024 */
  readonly minBytes?: number | undefined;
}

/**
 * Keeps bytes outside the process. Has a contract suite: `describeBackend`.
 *
 * Four methods make a backend. This is the part of the contract that does not change before the next major version;
 * {@link Backend} adds what lets the cache keep more promises across processes. Times are remaining milliseconds, never
 * instants, so no clocks are compared.
 *
 * Every method rejects with {@link BackendUnavailableError} if the store did not answer; no other error opens the
 * circuit breaker. An answer after the deadline is ignored.
 */
export interface StableBackend {
  /** Names the tier in events, stats and errors. */
  readonly label: string;
  /** Encodes new entries. */
  readonly format: Format;
  /** Compresses new entries. */
  readonly compressor: Compressor;
  /** Further formats and compressors for reads: each entry names its own. An entry with an unknown one is a miss. */
  readonly alsoReads?: readonly (Format | Compressor)[];
  /** How long the cache waits for one call, in milliseconds. @default 1_000 */
  readonly deadlineMs?: number;
  /**
   * Every call settles within `deadlineMs` of being made, even if the store is silent; time in which the event loop
   * stands still does not count, and the first calls may take as long as it takes to connect. {@link Deadlines} does
   * that. Without it the cache bounds the calls itself.
   */
  readonly boundsCalls?: true;
  /** Larger encoded entries are not stored, and are a miss. @default Infinity */
  readonly maxEntryBytes?: number;
  /**
   * Values of more bytes, before compression, are not stored, and are a miss. Formats take at most eight times as much
   * memory. @default 8 MiB
   */
  readonly maxDecodedBytes?: number;

  /** The entry exactly as written, or `undefined`. Never one whose life has ended. */
  read(key: string): Promise<StoredEntry | undefined>;
  /**
   * Stores `entry`. Nothing of the previous entry survives, and a lease on the key ends.
   *
   * @throws {EncodeError} for an entry that it cannot write. The cache then keeps a loaded value in the process.
   */
  write(key: string, entry: StoredEntry): Promise<void>;
  /** Removes the entry and a lease on it. */
  remove(key: string): Promise<DeleteStatus>;
  /** Closes everything that this backend opened, and nothing that was passed to it. Idempotent. */
  close(): Promise<void>;

  /** Connects ahead of the first call. */
  connect?(): Promise<void>;
  /**
   * Ends the entry's freshness and a lease on it, atomically; a backend with leases gives the entry a new version
   * that begins with `stale-`. Without this method the cache removes the entry.
   */
  markStale?(key: string): Promise<"stale" | "missing">;
}

/** An entry as a backend keeps it: bytes, and the times that are left. */
export interface StoredEntry {
  /** The value: encoded, compressed and sealed. */
  readonly data: Uint8Array;
  /** Remaining freshness in whole milliseconds; zero or less when stale; may be `Infinity`. */
  readonly staleInMs: number;
  /**
   * Remaining life in whole milliseconds, at least 1, or `Infinity`. Less than `staleInMs` only in an answer: what was
   * read ends before the entry does.
   */
  readonly expiresInMs: number;
  /** Written and read by the cache: keep it unchanged. At most 8 MiB; empty for an entry that another program wrote. */
  readonly meta: string;
  /**
   * Unique to one write, chosen by the writer: up to 32 of `A-Z a-z 0-9 - _`. A backend with leases keeps it. An entry
   * that another program wrote has any non-empty text, `-` for example: `''` means no entry.
   */
  readonly version?: string;
}

/** Whether there was an entry to remove. */
export type DeleteStatus = "deleted" | "missing";
