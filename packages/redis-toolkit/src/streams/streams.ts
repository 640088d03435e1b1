import { InvalidArgumentError, type Duration } from "@hotset/core";
import type { RedisView } from "../commands/view.ts";
import { checkFlag, checkName, checkOptions, checkView, moduleOf, shown } from "../module/module.ts";
import { readStreams, type Entry, type FieldsOf } from "./entry.ts";
import { startId, type StartId } from "./entry-id.ts";
import { readArguments } from "./limits.ts";
import { Stream } from "./stream.ts";
import { StreamPlace } from "./stream-place.ts";
import { TRIM_OPTIONS, trimArguments, type TrimOptions } from "./trimming.ts";

export { consumer, type Consumer, type ConsumerCounts, type ConsumerStatus } from "./consumer.ts";
export type { ConsumerContext, ConsumerHandler } from "./batch.ts";
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

/** `maxLen`, `trim` and `limit` are those of each `append` that names neither `maxLen` nor `minId`. */
export interface StreamOptions extends Omit<TrimOptions, "minId"> {
  /** Values of fields come as text, or as Buffers. @default 'text' */
  readonly values?: "text" | "bytes" | undefined;
  /**
   * A server that may evict keys is refused, when appending and by consumers. Without it, it is reported once.
   *
   * @default false
   */
  readonly requireNoEviction?: boolean | undefined;
}

/** Streams of one view: keys of a tenant lie below its prefix. */
export interface Streams {
  /**
   * The stream with the key `name`. Its dead letters lie in the same slot: a name with braces needs a hash tag.
   *
   * @throws {InvalidArgumentError} for an empty name, and for options that can never work.
   */
  stream<T extends FieldsOf<T> = Record<string, Buffer>>(
    name: string,
    options: StreamOptions & { readonly values: "bytes" },
  ): Stream<T>;
  stream<T extends FieldsOf<T> = Record<string, string>>(name: string, options?: StreamOptions): Stream<T>;
  /**
   * Entries of several streams, by name: `{}` if there are none. In a cluster they must be of one slot.
   *
   * @param after for each stream the id after which to read
   */
  read(
    after: Readonly<Record<string, StartId>>,
    options?: { readonly count?: number | undefined; readonly block?: Duration | undefined },
  ): Promise<Readonly<Record<string, readonly Entry<Record<string, string>>[]>>>;
}

export function streams(redis: RedisView): Streams {
  checkView("streams(redis)", redis);
  return {
    stream: <T extends FieldsOf<T>>(name: string, options?: StreamOptions): Stream<T> => {
      checkName("stream(name)", name);
      checkOptions("stream", options, STREAM_OPTIONS);
      const { values = "text", requireNoEviction = false, ...trimming } = options ?? {};
      if (values !== "text" && values !== "bytes")
        throw new InvalidArgumentError('stream: values must be "text" or "bytes"');
      checkFlag("stream: requireNoEviction", requireNoEviction);
      trimArguments("stream", trimming, "approximate");
      return new Stream<T>(new StreamPlace(redis, name, { values, requireNoEviction }), trimming);
    },
    read: (after, options = {}) => readSeveral(redis, after, options),
  };
}

const STREAM_OPTIONS = ["values", "requireNoEviction", ...TRIM_OPTIONS.filter((name) => name !== "minId")];

async function readSeveral(
  redis: RedisView,
  after: Readonly<Record<string, StartId>>,
  options: { readonly count?: number | undefined; readonly block?: Duration | undefined },
): Promise<Readonly<Record<string, readonly Entry<Record<string, string>>[]>>> {
  checkOptions("read", options, ["count", "block"]);
  if (typeof after !== "object" || after === null || Array.isArray(after))
    throw new InvalidArgumentError(`read(after): after must be an object of ids by stream, got ${shown(after)}`);
  const names = Object.keys(after).map((name) => checkName("read: the name of a stream", name));
  const ids = names.map((name) => startId(`read: ${JSON.stringify(name)}`, after[name]));
  if (names.length === 0) throw new InvalidArgumentError("read(after): give at least one stream");
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
