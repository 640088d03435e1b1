import { InvalidArgumentError, type Duration } from "@hotset/core";
import type { RedisView } from "../commands/view.ts";
import { checkFlag, checkName, checkOneOf, checkOptions, checkTcpView, moduleOf, shown } from "../module/module.ts";
import { startId, type EntryId, type StartId } from "./entry-id.ts";
import { readHeld, readStreams, type Entry, type FieldsOf } from "./entry.ts";
import { groupPosition, type GroupReadOptions } from "./group.ts";
import { readArguments } from "./limits.ts";
import { StreamPlace } from "./stream-place.ts";
import { Stream } from "./stream.ts";
import { TRIM_OPTIONS, trimArguments, type TrimOptions } from "./trimming.ts";

export { consumer, type Consumer, type ConsumerCounts, type ConsumerStatus } from "./consumer.ts";
export type { ConsumerContext, ConsumerHandler } from "./slots.ts";
export type { ConsumerOptions } from "./consumer-options.ts";
export type { Delivery } from "./member.ts";
export type { DeadLetter, DeadLetters } from "./dead-letters.ts";
export type { Entry, FieldsOf, FieldValue, NewFields, Pairs } from "./entry.ts";
export { isEntryId, type EntryId, type NewId, type RangeEnd, type StartId } from "./entry-id.ts";
export type { AutoClaimed, ConsumerGroup, GroupReadOptions, PositionOptions } from "./group.ts";
export type { ConsumerInfo, GroupInfo, PendingEntry, PendingSummary, StreamInfo } from "./info.ts";
export type { ReaderOptions, StreamReader } from "./reader.ts";
export type { AppendOptions, RangeOptions, ReadOptions, Stream } from "./stream.ts";
export type { TrimOptions } from "./trimming.ts";

/**
 * `maxLen`, `trim` and `limit` are those of each `append` that names neither `maxLen` nor `minId`; without them nothing
 * is trimmed.
 */
export interface StreamOptions extends Omit<TrimOptions, "minId"> {
  /** Values of fields come as text, or as Buffers. @default 'text' */
  readonly values?: "text" | "bytes" | undefined;
  /**
   * Where `maxmemory-policy` is another than `noeviction`, `append` rejects with `ConfigurationError`, and consumers do
   * not begin. Without it that is reported once.
   *
   * @default false
   */
  readonly requireNoEviction?: boolean | undefined;
}

/**
 * Streams of one view: keys of a tenant lie below its prefix. Calls reject with `CommandError` where Redis refuses,
 * `BackendUnavailableError` where it is not reached, and `InvalidArgumentError` for positions and options that can
 * never work: then nothing was sent. A command of a group that is not there is `REFUSED`, with `NOGROUP` in its
 * message.
 */
export interface Streams {
  /**
   * The stream with the key `name`, without asking Redis. Its dead letters lie in the same slot: a name with braces
   * needs a hash tag.
   *
   * @throws {InvalidArgumentError} for an empty name, and for options that can never work.
   */
  stream<T extends FieldsOf<T> = Record<string, Buffer>>(
    name: string,
    options: StreamOptions & { readonly values: "bytes" },
  ): Stream<T>;
  stream<T extends FieldsOf<T> = Record<string, string>>(name: string, options?: StreamOptions): Stream<T>;
  /**
   * Entries of several streams, by name, without streams that have none. In a cluster they must be of one slot.
   *
   * @param after for each stream the id after which to read
   */
  read(
    after: Readonly<Record<string, StartId>>,
    options?: { readonly count?: number | undefined; readonly block?: Duration | undefined },
  ): Promise<EntriesByStream>;
  /**
   * As `read`, for a consumer of a group that each of the streams has: `count` is for each of them. In a cluster they
   * must be of one slot. Entries deleted meanwhile are left out, and acknowledged.
   *
   * @param after for each stream `>`, for entries that no consumer has got, or the id after which this one holds them
   */
  readGroup(
    group: string,
    after: Readonly<Record<string, ">" | "0" | EntryId>>,
    options: Omit<GroupReadOptions, "after">,
  ): Promise<EntriesByStream>;
}

/** By the name of the stream. */
export type EntriesByStream = Readonly<Record<string, readonly Entry<Record<string, string>>[]>>;

/**
 * Streams over one view: a cheap object, which sends nothing.
 *
 * @throws {InvalidArgumentError} for what is not a view.
 */
export function streams(redis: RedisView): Streams {
  checkTcpView("streams(redis)", redis);
  return {
    stream: <T extends FieldsOf<T>>(name: string, options?: StreamOptions): Stream<T> => {
      checkName("stream(name)", name);
      checkOptions("stream", options, STREAM_OPTIONS);
      const { values = "text", requireNoEviction = false, ...trimming } = options ?? {};
      checkOneOf("stream: values", values, ["text", "bytes"]);
      checkFlag("stream: requireNoEviction", requireNoEviction);
      trimArguments("stream", trimming, "approximate");
      return new Stream<T>(new StreamPlace(redis, name, { values, requireNoEviction }), trimming);
    },
    read: (after, options = {}) => readSeveral(redis, after, options),
    readGroup: (group, after, options) => readGroup(redis, group, after, options),
  };
}

const STREAM_OPTIONS = ["values", "requireNoEviction", ...TRIM_OPTIONS.filter((name) => name !== "minId")];

async function readSeveral(
  redis: RedisView,
  after: Readonly<Record<string, StartId>>,
  options: { readonly count?: number | undefined; readonly block?: Duration | undefined },
): Promise<EntriesByStream> {
  checkOptions("read", options, ["count", "block"]);
  const { names, ids } = positionsOf("read", after, startId);
  const { args, blockMs } = readArguments("read", options.count, options.block);
  return moduleOf(redis).runInside((space) => {
    const keys = names.map((name) => space.inside(name));
    return {
      args: ["XREAD", ...args, "STREAMS", ...keys, ...ids],
      keys,
      isReadOnly: true,
      replies: "text",
      blockMs,
      decode: (reply) =>
        Object.fromEntries(
          [...readStreams<Record<string, string>>(reply)].map(([key, entries]) => [space.outside(key), entries]),
        ),
    };
  });
}

async function readGroup(
  redis: RedisView,
  group: string,
  after: Readonly<Record<string, ">" | "0" | EntryId>>,
  options: Omit<GroupReadOptions, "after">,
): Promise<EntriesByStream> {
  checkOptions("readGroup", options ?? null, ["consumer", "count", "block"]);
  const { names, ids } = positionsOf("readGroup", after, groupPosition);
  const { args, blockMs } = readArguments("readGroup", options.count, options.block);
  const reader = [checkName("readGroup(group)", group), checkName("readGroup: consumer", options.consumer)];
  const held = await moduleOf(redis).runInside((space) => {
    const keys = names.map((name) => space.inside(name));
    return {
      args: ["XREADGROUP", "GROUP", ...reader, ...args, "STREAMS", ...keys, ...ids],
      keys,
      isReadOnly: false,
      replies: "text",
      blockMs,
      decode: (reply) =>
        [...readHeld<Record<string, string>>(reply)].map(
          ([key, found]) => [String(space.outside(key)), found] as const,
        ),
    };
  });
  const deleted = held.filter(([, found]) => found.deleted.length > 0);
  const stream = streams(redis).stream;
  await Promise.all(
    deleted.map(([name, found]) =>
      stream(name)
        .group(group)
        .ack(...found.deleted),
    ),
  );
  return Object.fromEntries(held.flatMap(([name, { entries }]) => (entries.length === 0 ? [] : [[name, entries]])));
}

/** @throws {InvalidArgumentError} for no stream, and for positions that `check` refuses. */
function positionsOf<Position>(
  operation: string,
  after: Readonly<Record<string, Position>>,
  check: (option: string, given: Position) => string,
): { readonly names: readonly string[]; readonly ids: readonly string[] } {
  if (typeof after !== "object" || after === null || Array.isArray(after))
    throw new InvalidArgumentError(
      `${operation}(after): after must be an object of ids by stream, got ${shown(after)}`,
    );
  const names = Object.keys(after).map((name) => checkName(`${operation}: the name of a stream`, name));
  if (names.length === 0) throw new InvalidArgumentError(`${operation}(after): give at least one stream`);
  return { names, ids: names.map((name) => check(`${operation}: ${JSON.stringify(name)}`, after[name]!)) };
}
