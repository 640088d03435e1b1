import type { TagVersion } from "../contracts/capabilities.ts";
import type { Encoded, EntryOf } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryKey } from "../entry/key.ts";
import type { Settlers } from "../primitives/settlers.ts";

/** One entry to read. */
export interface ReadRequest extends EntryOf {
  /** The tags that the entry probably has: their versions are read in the same tick. */
  readonly expectedTags: readonly string[];
  /** The answer must be at least as new as a write elsewhere, so known tag versions are not used. */
  readonly isCurrent?: boolean;
  /** Called with the version of the entry in the backend, `''` for none, also if the entry cannot be served. */
  saw?(version: string): void;
}

/** How one of many reads ended: an error where the entry could not be read. */
export type ReadOutcome = Entry | Error | undefined;

/** Called once with each of many reads, when it has ended. */
export type Settled<R> = (read: R, outcome: ReadOutcome) => void;

/** Reports how `read` ended. */
export function settle<R>(entry: PromiseLike<Entry | undefined>, of: R, settled: Settled<R>): void {
  const ended = (outcome: ReadOutcome): void => settled(of, outcome);
  entry.then(ended, ended);
}

/** The outcome of an attempt to take a lease. */
export type LeaseAnswer =
  | { readonly kind: "granted"; /** The version in the backend now, for `store`. */ readonly seen: string }
  /** Another process has stored since: `entry` is checked against its tag versions, `undefined` if they hide it. */
  | { readonly kind: "entry"; readonly seen: string; readonly entry: Entry | undefined }
  | { readonly kind: "held"; readonly heldForMs: number };

/** Why there is no lease, and no load. */
export type NotGranted = Exclude<LeaseAnswer, { readonly kind: "granted" }>;

/** An entry to write to a backend: its value encoded, and the tag versions it is stored under. */
export interface EntryWrite {
  readonly entry: Entry;
  readonly encoded: Encoded;
  readonly versions: readonly TagVersion[] | undefined;
}

/** `overtaken`: the lease was lost or the entry changed, and nothing was stored. */
export type StoreStatus = "stored" | "refused" | "overtaken";

/** How a lease is asked for. */
export interface AcquireAs {
  /** Whether the entry that was seen has expired for this reader: `LeaseRequest.isOver`. */
  readonly hasExpired?: boolean;
  /** Whether the request takes the place of a read, and counts as one in the figures. */
  readonly isRead?: boolean;
}

/** Limits loads to one of a key at a time, across processes. */
export interface EntryLeases {
  /** How long a lease lasts that is not renewed. */
  readonly leaseMs: number;
  acquire(request: ReadRequest, token: string, seen: string, as: AcquireAs): Promise<LeaseAnswer>;
  renew(key: EntryKey, token: string): Promise<boolean>;
  release(key: EntryKey, token: string): Promise<void>;
  store(key: EntryKey, write: EntryWrite, token: string, seen: string, ends: Settlers<StoreStatus>): void;
  /** Gives an entry that was read, or stored, a new life and terms; `false` if it is another one by now. */
  touch(key: EntryKey, entry: Entry): Promise<boolean>;
  /** The current version of the entry; `''` for none. */
  confirm(key: EntryKey): Promise<string>;
}
