import type { Duration } from "@hotset/core";
import { checkName, checkOneOf, checkOptions, durationMs } from "../module/module.ts";
import { entryId, entryIds, rangeEnd, startId, ZERO, type EntryId, type RangeEnd, type StartId } from "./entry-id.ts";
import { readEntries, readEntry, readId, readHeld, readInfo, type Entry } from "./entry.ts";
import {
  readConsumerInfo,
  readPendingEntry,
  readPendingSummary,
  unlessMissing,
  type ConsumerInfo,
  type GroupInfo,
  type PendingEntry,
  type PendingSummary,
  readGroupInfo,
} from "./info.ts";
import { countOf, DEFAULT_COUNT, MOST_AT_ONCE, readArguments } from "./limits.ts";
import { LEAVE } from "./scripts.ts";
import type { StreamPlace } from "./stream-place.ts";

/** Options of a position of a group. */
export interface PositionOptions {
  /** How many entries were read up to there, so that the server knows the lag immediately. From Redis 7. */
  readonly entriesRead?: number | undefined;
}

/** Options of {@link ConsumerGroup.read}. */
export interface GroupReadOptions {
  /** Name of the consumer in the group. The first read makes it. */
  readonly consumer: string;
  /** `>`: entries that no consumer has got. An id, or `0`: those after it which this consumer holds. @default '>' */
  readonly after?: ">" | "0" | EntryId | undefined;
  /** The most entries, 1 to 10,000. @default 1 */
  readonly count?: number | undefined;
  /** How long to wait for one, on a separate connection. Only with `>`. @default not at all */
  readonly block?: Duration | undefined;
}

/** Entries that `autoClaim` took. */
export interface AutoClaimed<T> {
  /** Where to look next; `0-0`: all was seen. */
  readonly next: EntryId;
  /** Now held by this consumer. */
  readonly entries: readonly Entry<T>[];
  /** Ids of entries that were deleted meanwhile. They are acknowledged. */
  readonly deleted: readonly EntryId[];
}

/** Any entry, however recently it was delivered. */
const FROM_0 = { min: 0 };

/**
 * A group of consumers of one stream: each entry is delivered to one of them, until it is acknowledged. Calls reject
 * with `CommandError` where Redis refuses, as for a group that is not there, `BackendUnavailableError` where it is not
 * reached, and `InvalidArgumentError` for ids and options that can never work.
 */
export class ConsumerGroup<T> {
  /** Within its stream. */
  readonly name: string;
  readonly #place: StreamPlace;

  constructor(place: StreamPlace, name: string) {
    this.name = name;
    this.#place = place;
  }

  /**
   * Creates the group, and the stream, unless they exist: then nothing changes.
   *
   * @param start `0`: all entries that are there; `$`: those to come; an id: those after it
   * @throws {InvalidArgumentError} for `*` and `>`, which are no places in a stream.
   */
  async ensure(start: StartId, options: PositionOptions = {}): Promise<"created" | "exists"> {
    const position = this.#position("ensure", start, options);
    try {
      return await this.#place.send(
        (key) => ["XGROUP", "CREATE", key, this.name, position[0]!, "MKSTREAM", ...position.slice(1)],
        { decode: () => "created" as const },
      );
    } catch (error) {
      if (error instanceof Error && error.message.includes("BUSYGROUP")) return "exists";
      throw error;
    }
  }

  /** Removes the group with all that its consumers hold. */
  async destroy(): Promise<"destroyed" | "missing"> {
    const destroyed = await unlessNoKey(
      this.#place.send((key) => ["XGROUP", "DESTROY", key, this.name], { decode: Number }),
    );
    return destroyed === 1 ? "destroyed" : "missing";
  }

  /** Entries after this one are delivered next. Pending entries stay with their consumers. */
  async setId(start: StartId, options: PositionOptions = {}): Promise<void> {
    const position = this.#position("setId", start, options);
    await this.#place.send((key) => ["XGROUP", "SETID", key, this.name, ...position], { decode: () => undefined });
  }

  /** Entries that the consumer is given, or holds already. Entries deleted meanwhile are left out, and acknowledged. */
  async read(options: GroupReadOptions): Promise<readonly Entry<T>[]> {
    checkOptions("group.read", options ?? null, ["consumer", "after", "count", "block"]);
    const { consumer, after = ">", count, block } = options;
    const position = groupPosition("group.read: after", after);
    const { args, blockMs } = readArguments("group.read", count, block);
    const reader = checkName("group.read: consumer", consumer);
    for (;;) {
      const held = await this.#place.send(
        (key) => ["XREADGROUP", "GROUP", this.name, reader, ...args, "STREAMS", key, position],
        { blockMs, decode: (reply) => [...readHeld<T>(reply).values()] },
      );
      const { entries = [], deleted = [] } = held[0] ?? {};
      await this.ack(...deleted);
      // None of these is there any more: others of this consumer may be.
      if (entries.length > 0 || deleted.length === 0) return entries;
    }
  }

  /** Ends the delivery of entries. @returns how many of them were pending */
  async ack(...ids: readonly EntryId[]): Promise<number> {
    if (ids.length === 0) return 0;
    const checked = entryIds("ack", ids);
    return this.#place.send((key) => ["XACK", key, this.name, ...checked], { decode: Number });
  }

  /** Takes these entries from their consumers if they were idle for `minIdle`, 0 for any. @returns those taken */
  async claim(options: {
    readonly consumer: string;
    readonly minIdle: Duration;
    readonly ids: readonly EntryId[];
  }): Promise<readonly Entry<T>[]> {
    checkOptions("claim", options ?? null, ["consumer", "minIdle", "ids"]);
    const { consumer, minIdle, ids } = options;
    const taker = checkName("claim: consumer", consumer);
    const idle = String(durationMs("claim: minIdle", minIdle, FROM_0));
    const checked = entryIds("claim", ids);
    if (checked.length === 0) return [];
    return this.#place.send((key) => ["XCLAIM", key, this.name, taker, idle, ...checked], { decode: readEntries<T> });
  }

  /** Takes entries of any consumer that were idle for `minIdle`, 0 for any. @param options `count`: to 10,000, or 1 */
  async autoClaim(options: {
    readonly consumer: string;
    readonly minIdle: Duration;
    readonly start?: EntryId | undefined;
    readonly count?: number | undefined;
  }): Promise<AutoClaimed<T>> {
    checkOptions("autoClaim", options ?? null, ["consumer", "minIdle", "start", "count"]);
    const { consumer, minIdle, start = ZERO, count = DEFAULT_COUNT } = options;
    const taker = checkName("autoClaim: consumer", consumer);
    const idle = String(durationMs("autoClaim: minIdle", minIdle, FROM_0));
    const from = entryId("autoClaim: start", start);
    const limit = String(countOf("autoClaim: count", count));
    return this.#place.send((key) => ["XAUTOCLAIM", key, this.name, taker, idle, from, "COUNT", limit], {
      decode: (reply) => {
        const [next, entries, deleted = []] = reply as readonly [unknown, readonly unknown[], (readonly unknown[])?];
        return {
          next: readId(next),
          entries: entries.map((one) => readEntry<T>(one)).filter((entry) => entry !== undefined),
          deleted: deleted.map(readId),
        };
      },
    });
  }

  /** How many entries are pending, and with which consumers. */
  async pending(): Promise<PendingSummary> {
    return this.#place.send((key) => ["XPENDING", key, this.name], {
      isReadOnly: true,
      replies: "text",
      decode: readPendingSummary,
    });
  }

  /** Entries that are pending, by id. @param options `count`: 1 to 10,000, which is the default */
  async pendingEntries(
    options: {
      readonly from?: RangeEnd | undefined;
      readonly to?: RangeEnd | undefined;
      readonly count?: number | undefined;
      readonly consumer?: string | undefined;
      readonly minIdle?: Duration | undefined;
    } = {},
  ): Promise<readonly PendingEntry[]> {
    checkOptions("pendingEntries", options, ["from", "to", "count", "consumer", "minIdle"]);
    const { from = "-", to = "+", count = MOST_AT_ONCE, consumer, minIdle } = options;
    const idle = minIdle === undefined ? [] : ["IDLE", String(durationMs("pendingEntries: minIdle", minIdle, FROM_0))];
    const ends = [rangeEnd("pendingEntries: from", from), rangeEnd("pendingEntries: to", to)];
    const limit = String(countOf("pendingEntries: count", count));
    const holder = consumer === undefined ? [] : [checkName("pendingEntries: consumer", consumer)];
    return this.#place.send((key) => ["XPENDING", key, this.name, ...idle, ...ends, limit, ...holder], {
      isReadOnly: true,
      replies: "text",
      decode: (reply) => (reply as readonly unknown[]).map(readPendingEntry),
    });
  }

  /** The group as `XINFO` describes it; `undefined` where the stream or the group does not exist. */
  async info(): Promise<GroupInfo | undefined> {
    return (await groupsAt(this.#place)).find(({ name }) => name === this.name);
  }

  /** All consumers of the group. */
  async consumers(): Promise<readonly ConsumerInfo[]> {
    return this.#place.send((key) => ["XINFO", "CONSUMERS", key, this.name], {
      isReadOnly: true,
      replies: "text",
      decode: (reply) => (reply as readonly unknown[]).map((one) => readConsumerInfo(readInfo(one))),
    });
  }

  /**
   * Deletes a consumer. Entries that it held are never delivered again: that is reported as a warning. With
   * `ifPending: "keep"` a consumer that holds entries stays.
   *
   * @returns how many entries it held
   */
  async deleteConsumer(
    name: string,
    options: { readonly ifPending?: "drop" | "keep" | undefined } = {},
  ): Promise<number> {
    checkOptions("deleteConsumer", options, ["ifPending"]);
    const consumer = checkName("deleteConsumer(name)", name);
    const { ifPending = "drop" } = options;
    checkOneOf("deleteConsumer: ifPending", ifPending, ["drop", "keep"]);
    if (ifPending === "keep") return this.#place.script("group.deleteConsumer", LEAVE, [this.name, consumer], Number);
    const held = await this.#place.send((key) => ["XGROUP", "DELCONSUMER", key, this.name, consumer], {
      decode: Number,
    });
    if (held > 0)
      this.#place.module.report(
        "stream consumer deleted",
        new Error(`a consumer was deleted with ${held} pending entries, which are not delivered again`),
      );
    return held;
  }

  #position(operation: string, start: StartId, options: PositionOptions): readonly string[] {
    checkOptions(operation, options, ["entriesRead"]);
    const { entriesRead } = options;
    const position = startId(`${operation}: start`, start);
    if (entriesRead === undefined) return [position];
    const most = Number.MAX_SAFE_INTEGER;
    return [position, "ENTRIESREAD", String(countOf(`${operation}: entriesRead`, entriesRead, most))];
  }
}

/** @throws {InvalidArgumentError} unless it is an id, `0` or `>`. */
export const groupPosition = (option: string, after: ">" | "0" | EntryId): string =>
  after === ">" || after === "0" ? after : entryId(option, after);

/** All groups; none where the stream does not exist. */
export async function groupsAt(place: StreamPlace): Promise<readonly GroupInfo[]> {
  const groups = await unlessMissing(
    place.send((key) => ["XINFO", "GROUPS", key], {
      isReadOnly: true,
      replies: "text",
      decode: (reply) => (reply as readonly unknown[]).map((one) => readGroupInfo(readInfo(one))),
    }),
  );
  return groups ?? [];
}

/** A command of groups refuses a stream that does not exist. */
async function unlessNoKey<R>(asked: Promise<R>): Promise<R | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Error && error.message.includes("requires the key to exist")) return undefined;
    throw error;
  }
}
