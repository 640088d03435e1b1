import type { DeleteStatus, TagVersion, TagVersions } from "./backend.ts";
import type { Encoded } from "./codec.ts";
import type { Entry } from "./entry.ts";
import type { Place } from "./key.ts";
import type { Awaitable } from "./once.ts";
import type { StandardSchema } from "./schema.ts";
import type { TierMeter } from "./stats.ts";

/** One entry to read. */
export interface ReadRequest {
  readonly place: Place;
  readonly key: string;
  readonly schema: StandardSchema<unknown> | undefined;
  /** Tags that the entry probably has: their versions are asked for in the same tick. */
  readonly expectedTags: readonly string[];
  /** `Tags.now` when the read is sent. */
  readonly tagsAt: number;
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
  /** Tiers with equal ids read each other's bytes. */
  readonly codecId: string;
  /** The entry if its tag versions are current; stale by now if one of them was marked stale. */
  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined>;
  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Promise<Entry | undefined>[];
  /** Throws, or rejects with, `EncodeError` when the value cannot be written. */
  encode(value: unknown): Awaitable<Encoded>;
  /** Sends the entry, its value encoded before, under these tag versions. */
  write(entry: Entry, encoded: Encoded, versions: readonly TagVersion[] | undefined, key: string, place: Place): Promise<"stored" | "refused">;
  remove(key: string, place: Place): Promise<DeleteStatus>;
  markStale(key: string, place: Place): Promise<"stale" | "missing">;
  connect(): Promise<void>;
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
