import type { ChangeListener } from "../coherence/change-listener.ts";
import type { DeleteStatus, TagVersion, TagVersions } from "../contracts/backend.ts";
import type { Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryKey } from "../entry/key.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import type { TierMeter } from "../primitives/meters.ts";
import type { Pinned } from "../tags/tag-versions.ts";

/** One entry to read. */
export interface ReadRequest {
  readonly key: EntryKey;
  readonly schema: StandardSchema<unknown> | undefined;
  /** The tags that the entry probably has: their versions are read in the same tick. */
  readonly expectedTags: readonly string[];
  /** `TagEvents.sequence` when the read is sent. */
  readonly tagSequence: number;
  /** The answer must be at least as new as a write elsewhere, so known tag versions are not used. */
  readonly isCurrent?: boolean;
  /** Called with the version of the entry in the backend, `''` for none, also if the entry cannot be served. */
  saw?(version: string): void;
}

/** How one of many reads ended: an error where the entry could not be read. */
export type ReadOutcome = Entry | Error | undefined;

/** Called once with the index of a read, when it has ended. */
export type Settled = (index: number, outcome: ReadOutcome) => void;

/** Reports how `read` ended. */
export function settle(read: PromiseLike<Entry | undefined>, index: number, settled: Settled): void {
  read.then(
    (entry) => settled(index, entry),
    (error: Error) => settled(index, error),
  );
}

/** The outcome of an attempt to take a lease. */
export type LeaseAnswer =
  | { readonly kind: "granted"; /** The version in the backend now, for `store`. */ readonly seen: string }
  /** Another process has stored since: `entry` is checked against its tag versions, `undefined` if they hide it. */
  | { readonly kind: "entry"; readonly seen: string; readonly entry: Entry | undefined }
  | { readonly kind: "held"; readonly heldForMs: number };

/** An entry to write to a backend: its value encoded, and the tag versions it is stored under. */
export interface EntryWrite {
  readonly entry: Entry;
  readonly encoded: Encoded;
  readonly versions: readonly TagVersion[] | undefined;
}

/** `overtaken`: the lease was lost or the entry changed, and nothing was stored. */
export type StoreStatus = "stored" | "refused" | "overtaken";

/** Limits loads to one of a key at a time, across processes. */
export interface EntryLeases {
  /** How long a lease lasts that is not renewed. */
  readonly leaseMs: number;
  /** @param isOver as in `Leases.acquire`. */
  acquire(request: ReadRequest, token: string, seen: string, isOver?: boolean): Promise<LeaseAnswer>;
  renew(key: EntryKey, token: string): Promise<boolean>;
  release(key: EntryKey, token: string): Promise<void>;
  store(key: EntryKey, write: EntryWrite, token: string, seen: string): Promise<StoreStatus>;
  /** Gives an entry that was read, or stored, a new life and terms; `false` if it is another one by now. */
  touch(key: EntryKey, entry: Entry): Promise<boolean>;
  /** The current version of the entry; `''` for none. */
  confirm(key: EntryKey): Promise<string>;
}

/** A tier of entries that answers later, or fails. */
export interface EntryTier {
  readonly label: string;
  readonly deadlineMs: number;
  /** Whether it is not used: it refuses every call but those that end something, as if it were unreachable. */
  readonly isBypassed: boolean;
  bypass(isBypassed: boolean): void;
  /** Counts the calls that it has answered; 0 only while it may be connecting, in time that no deadline counts. */
  readonly answered: number;
  /** How long until an unreachable tier may be tried again, in milliseconds. */
  readonly retryInMs: number;
  /** The part of the backend that keeps this key, of an entry or of a tag. @default one part */
  partOf?(backendKey: string): string;
  /** `false` where entries cannot carry tags, validators or namespace versions. */
  readonly keepsMeta: boolean;
  /** Bounded, and behind the breaker, like every other call. */
  readonly versions: TagVersions | undefined;
  /** The versions of these tags as if they were pinned now, where they are known without a trip. */
  pinned?(tags: readonly string[]): Pinned | undefined;
  /** As `versions`; `undefined` where no other process can hold a lease. */
  readonly leases: EntryLeases | undefined;
  /** The entry if its tag versions are current; stale from now on if one of them was marked stale. */
  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined>;
  /** As {@link read}: calls `ended` once, after it has returned, in place of a promise. */
  readTo(request: ReadRequest, budgetMs: number, ended: (outcome: ReadOutcome) => void): void;
  /**
   * Calls `settled` once for the index of each request, after it has returned: as soon as that read has ended. A
   * promise for each would cost more than the read.
   */
  readMany(requests: readonly ReadRequest[], budgetMs: number, settled: Settled): void;
  /** Throws, or rejects with, `EncodeError` when the value cannot be written. */
  encode(value: unknown): Awaitable<Encoded>;
  /** Sends the entry under `entry.version`. */
  write(key: EntryKey, write: EntryWrite): Promise<"stored" | "refused">;
  remove(key: EntryKey): Promise<DeleteStatus>;
  markStale(key: EntryKey): Promise<"stale" | "missing">;
  connect(): Promise<void>;
  /** To be called about the link to the backend. */
  readonly listener: Pick<ChangeListener, "attached" | "detached" | "partLost" | "alive">;
  /** Schedules no further attempts. */
  stop(): void;
  stats(): ReturnType<TierMeter["snapshot"]>;
  /** Counts the hits, misses and errors of this tier. */
  readonly meter: TierMeter;
}
