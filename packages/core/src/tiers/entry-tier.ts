import type { ChangeListener } from "../coherence/change-listener.ts";
import type { Backend, DeleteStatus, TagVersion, TagVersions } from "../contracts/backend.ts";
import type { Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryKey } from "../entry/key.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import type { TierMeter } from "../primitives/meters.ts";

/** One entry to read. */
export interface ReadRequest {
  readonly key: EntryKey;
  readonly schema: StandardSchema<unknown> | undefined;
  /** Tags that the entry probably has: their versions are asked for in the same tick. */
  readonly expectedTags: readonly string[];
  /** `Tags.now` when the read is sent. */
  readonly tagSequence: number;
  /** Whether tag versions known here will not do: the answer must be at least as new as a write elsewhere. */
  readonly isAfter?: boolean;
  /** Told the version of what the backend holds, `''` for nothing, also where that cannot be served. */
  saw?(version: string): void;
}

/** What became of an attempt to take a lease. */
export type LeaseAnswer =
  | { readonly kind: "granted"; /** What is there now, for `store`. */ readonly seen: string }
  /** Somebody has stored since: `entry` as its tag versions leave it. */
  | { readonly kind: "entry"; readonly seen: string; readonly entry: Entry | undefined }
  | { readonly kind: "held"; readonly heldForMs: number };

/** An entry on its way to a backend: its value encoded, and the tag versions that it is stored under. */
export interface EntryWrite {
  readonly entry: Entry;
  readonly encoded: Encoded;
  readonly versions: readonly TagVersion[] | undefined;
}

/** One load of a key at a time, across processes. */
export interface EntryLeases {
  acquire(request: ReadRequest, token: string, leaseMs: number, seen: string): Promise<LeaseAnswer>;
  renew(key: EntryKey, token: string, leaseMs: number): Promise<boolean>;
  release(key: EntryKey, token: string): Promise<void>;
  /** `overtaken`: something newer happened, and nothing was stored. */
  store(key: EntryKey, write: EntryWrite, token: string, seen: string): Promise<"stored" | "refused" | "overtaken">;
  /** The version of the entry now; `''` for none. */
  confirm(key: EntryKey): Promise<string>;
}

/** A tier that speaks entries and answers later, or fails: one backend, or several composed into one. */
export interface EntryTier {
  readonly label: string;
  readonly deadlineMs: number;
  /** How long until an away tier is worth asking again. */
  readonly retryInMs: number;
  /** `false` where entries cannot carry tags, validators or namespace versions. */
  readonly keepsMeta: boolean;
  /** Bounded, and behind the breaker, like every other call. */
  readonly versions: TagVersions | undefined;
  /** As `versions`; absent where there is nothing but this process to agree with. */
  readonly leases: EntryLeases | undefined;
  /** Tiers with equal ids read each other's bytes. */
  readonly codecId: string;
  /** The entry if its tag versions are current; stale by now if one of them was marked stale. */
  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined>;
  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Promise<Entry | undefined>[];
  /** Throws, or rejects with, `EncodeError` when the value cannot be written. */
  encode(value: unknown): Awaitable<Encoded>;
  /** Sends the entry under `entry.version`. */
  write(key: EntryKey, write: EntryWrite): Promise<"stored" | "refused">;
  remove(key: EntryKey): Promise<DeleteStatus>;
  markStale(key: EntryKey): Promise<"stale" | "missing">;
  connect(): Promise<void>;
  /** The methods to call about changes of `backend`; none where the tier does not use it. Keys and tags are those of the cache. */
  listenerOf(backend: Backend): Partial<ChangeListener>;
  /** Invalidations that wait for one of several backends. */
  readonly pending: number;
  /** Resolves when nothing goes on behind answers any more, after a last attempt at what is pending. Never rejects. */
  settled(): Promise<void>;
  /** Tries nothing again by itself. */
  stop(): void;
  stats(): readonly ReturnType<TierMeter["snapshot"]>[];
  /** Counts what a call got from this tier. */
  readonly meter: TierMeter;
}
