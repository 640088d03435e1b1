import { InvalidArgumentError, type Duration } from "@hotset/core";
import { carrierFor, checkFlag, checkName, checkOneOf, checkOptions } from "../module/module.ts";
import { DeadLetters } from "./dead-letters.ts";
import {
  entryIds,
  newId,
  rangeEnd,
  startId,
  ZERO,
  type EntryId,
  type NewId,
  type RangeEnd,
  type StartId,
} from "./entry-id.ts";
import { readEntries, readId, readInfo, entriesOfOne, writeFields, type Entry, type NewFields } from "./entry.ts";
import { ConsumerGroup, groupsAt } from "./group.ts";
import { unlessMissing, readStreamInfo, type GroupInfo, type StreamInfo } from "./info.ts";
import { countOf, MOST_AT_ONCE, readArguments } from "./limits.ts";
import { StreamReader, type ReaderOptions } from "./reader.ts";
import { placed, type StreamPlace } from "./stream-place.ts";
import { TRIM_OPTIONS, trimArguments, type TrimOptions } from "./trimming.ts";

/** Options of {@link Stream.append}. */
export interface AppendOptions extends TrimOptions {
  /** Where the entry goes. An id must be above all that the stream ever had. @default '*' */
  readonly id?: NewId | undefined;
  /** Appends only if the stream exists. @default false */
  readonly ifExists?: boolean | undefined;
}

/** Options of {@link Stream.read}. */
export interface ReadOptions {
  /** Entries after this one. `$`: only those that come while this call waits. @default '0' */
  readonly after?: StartId | undefined;
  /** The most entries, 1 to 10,000. @default 1 */
  readonly count?: number | undefined;
  /** How long to wait for one, on a separate connection. @default not at all */
  readonly block?: Duration | undefined;
}

/** Options of {@link Stream.range}. */
export interface RangeOptions {
  /** The older end. @default '-' */
  readonly from?: RangeEnd | undefined;
  /** The newer end. @default '+' */
  readonly to?: RangeEnd | undefined;
  /** The most entries, 1 to 10,000. @default 10,000 */
  readonly count?: number | undefined;
  /** Which entries come first, and are among the `count`. @default 'oldest-first' */
  readonly order?: "oldest-first" | "newest-first" | undefined;
}

/**
 * One stream. A cheap object, which sends nothing until it is used. Calls reject with `CommandError` where Redis
 * refuses, `BackendUnavailableError` where it is not reached, and `InvalidArgumentError` for ids and options that can
 * never work.
 */
export class Stream<T> {
  /** The key, as the view has it. */
  readonly key: string;
  /** Entries that a consumer gave up. */
  readonly dead: DeadLetters<T>;
  readonly #place: StreamPlace;
  readonly #trimming: TrimOptions;

  constructor(place: StreamPlace, trimming: TrimOptions) {
    this.key = place.key;
    this.dead = new DeadLetters(place);
    this.#place = place;
    placed(this, place);
    this.#trimming = trimming;
  }

  /**
   * Appends an entry, and trims by the options, or else by those of the stream.
   *
   * @returns its id; `undefined` with `ifExists` where the stream does not exist
   * @throws {BackendUnavailableError} it is sent once: `maybeExecuted` says whether the entry may be there. Sent again
   *   with the same `id`, it is refused if it is.
   */
  append(fields: NewFields<T>, options: AppendOptions & { readonly ifExists: true }): Promise<EntryId | undefined>;
  append(fields: NewFields<T>, options?: AppendOptions & { readonly ifExists?: false | undefined }): Promise<EntryId>;
  async append(fields: NewFields<T>, options: AppendOptions = {}): Promise<EntryId | undefined> {
    checkOptions("append", options, APPEND_OPTIONS);
    const { id = "*", ifExists = false, ...trimming } = options;
    checkFlag("append: ifExists", ifExists);
    const isTrimmed = trimming.maxLen !== undefined || trimming.minId !== undefined;
    const trim = trimArguments("append", isTrimmed ? trimming : { ...this.#trimming, ...trimming }, "approximate");
    const written = withCarried(writeFields("append", fields));
    const position = newId("append: id", id);
    await this.#place.expectNoEviction();
    return this.#place.send(
      (key) => ["XADD", key, ...(ifExists ? ["NOMKSTREAM"] : []), ...trim, position, ...written],
      { decode: (reply) => (reply === null ? undefined : readId(reply)) },
    );
  }

  /** Entries after an id, the oldest first; none if there are none. {@link reader} remembers the position. */
  async read(options: ReadOptions = {}): Promise<readonly Entry<T>[]> {
    checkOptions("read", options, READ_OPTIONS);
    const { after = "0", count, block } = options;
    const args = readArguments("read", count, block);
    const position = startId("read: after", after);
    return this.#place.send((key) => ["XREAD", ...args.args, "STREAMS", key, position], {
      isReadOnly: true,
      blockMs: args.blockMs,
      decode: entriesOfOne<T>,
    });
  }

  /** Reads on from where it was, so nothing is left out between two reads; `$` is looked up once. */
  reader(options: ReaderOptions = {}): StreamReader<T> {
    return new StreamReader<T>(this.#place, () => this.lastId(), options);
  }

  /** Entries between two ids, both included. */
  async range(options: RangeOptions = {}): Promise<readonly Entry<T>[]> {
    checkOptions("range", options, RANGE_OPTIONS);
    const { from = "-", to = "+", count = MOST_AT_ONCE, order = "oldest-first" } = options;
    const ends = [rangeEnd("range: from", from), rangeEnd("range: to", to)];
    const limit = String(countOf("range: count", count));
    checkOneOf("range: order", order, ["oldest-first", "newest-first"]);
    const isForward = order === "oldest-first";
    return this.#place.send(
      (key) => [isForward ? "XRANGE" : "XREVRANGE", key, ...(isForward ? ends : ends.toReversed()), "COUNT", limit],
      { isReadOnly: true, decode: readEntries<T> },
    );
  }

  /**
   * Removes the oldest entries: give `maxLen` or `minId`.
   *
   * @returns how many entries were removed. An approximate trim may remove fewer, also none.
   */
  async trim(options: TrimOptions): Promise<number> {
    checkOptions("trim", options ?? null, TRIM_OPTIONS);
    const trim = trimArguments("trim", options, "exact");
    if (trim.length === 0) throw new InvalidArgumentError("trim: give maxLen or minId");
    return this.#place.send((key) => ["XTRIM", key, ...trim], { decode: Number });
  }

  /** Deletes entries. One that a consumer holds stays pending there, without fields. @returns how many there were */
  async delete(...ids: readonly EntryId[]): Promise<number> {
    if (ids.length === 0) return 0;
    const checked = entryIds("delete", ids);
    return this.#place.send((key) => ["XDEL", key, ...checked], { decode: Number });
  }

  /** How many entries there are. */
  async len(): Promise<number> {
    return this.#place.send((key) => ["XLEN", key], { isReadOnly: true, decode: Number });
  }

  /** The id of the last entry that was ever appended, also if it was deleted; `0-0` without one. */
  async lastId(): Promise<EntryId> {
    return (await this.info())?.lastId ?? ZERO;
  }

  /** The stream as `XINFO` describes it; `undefined` where it does not exist. */
  async info(): Promise<StreamInfo | undefined> {
    return unlessMissing(
      this.#place.send((key) => ["XINFO", "STREAM", key], {
        isReadOnly: true,
        replies: "text",
        decode: (reply) => readStreamInfo(readInfo(reply)),
      }),
    );
  }

  /** All groups; none where the stream does not exist. */
  groups(): Promise<readonly GroupInfo[]> {
    return groupsAt(this.#place);
  }

  /**
   * A group of consumers, without asking Redis. @throws {InvalidArgumentError} for a name that is not text, or empty.
   */
  group(name: string): ConsumerGroup<T> {
    return new ConsumerGroup<T>(this.#place, checkName("group(name)", name));
  }
}

const APPEND_OPTIONS = ["id", "ifExists", ...TRIM_OPTIONS];
const READ_OPTIONS = ["after", "count", "block"];
const RANGE_OPTIONS = ["from", "to", "count", "order"];

/** Carried texts are fields of the entry, as other programs have them; a field of the caller is never replaced. */
function withCarried(written: readonly (string | Buffer)[]): readonly (string | Buffer)[] {
  const carrier = carrierFor("stream");
  if (carrier === undefined) return written;
  const names = new Set(written.filter((_, i) => i % 2 === 0));
  return [...written, ...Object.entries(carrier).flatMap((pair) => (names.has(pair[0]) ? [] : pair))];
}
