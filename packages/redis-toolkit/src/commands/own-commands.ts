import type { StandardSchema } from "@hotset/core";
import type { RedisArgument } from "../keys/key-space.ts";
import type {
  DurationText,
  ExpireOptions,
  Fields,
  IncrOptions,
  Life,
  SetOptions,
  Writable,
  WritableIn,
} from "./command-builder.ts";
import type { JsonOptions } from "./json-values.ts";
import type { ScanHashOptions, ScanOptions } from "./scan.ts";
import type { BytesMapping, NodeRedisCommands, TextMapping } from "./typed-commands.ts";

export type { Life };

/**
 * Commands of this package. An absent value is `undefined`. A call that fails rejects: with a `CommandError` where
 * Redis refused it, with a `BackendUnavailableError` where Redis was not reached, with an `InvalidArgumentError` for
 * arguments that can never work.
 */
export interface OwnCommands {
  /** The text in a key, as UTF-8. */
  get(key: RedisArgument): Promise<string | undefined>;
  /** The bytes in a key. */
  getBytes(key: RedisArgument): Promise<Buffer | undefined>;
  /** @throws {CommandError} `NOT_A_NUMBER` for other text, and for a whole number beyond 2^53. */
  getNumber(key: RedisArgument): Promise<number | undefined>;
  /** @throws {CommandError} `NOT_A_NUMBER` for what is not a whole number. */
  getBigInt(key: RedisArgument): Promise<bigint | undefined>;
  /** In the order of the keys. In a cluster the keys may lie anywhere; then it is not one step. */
  getMany(keys: readonly RedisArgument[]): Promise<readonly (string | undefined)[]>;
  /** One step: the value and its life. @returns `unchanged` where the condition did not hold */
  set(key: RedisArgument, value: Writable, options?: SetOptions): Promise<"set" | "unchanged">;
  /** One step: sets a key that is absent, and leaves one that is there as it is. */
  setIfAbsent(key: RedisArgument, value: Writable, options?: Life): Promise<"set" | "exists">;
  /** One step: all callers get the value that was set first. */
  setIfAbsentAndGet(
    key: RedisArgument,
    value: Writable,
    options?: Life,
  ): Promise<{ readonly value: string; readonly status: "set" | "exists" }>;
  /** One step, for at most 64 keys of one slot: all of them, or none where one exists. */
  setManyIfAbsent(entries: Iterable<readonly [RedisArgument, Writable]>, options?: Life): Promise<"set" | "exists">;
  /**
   * `T` is what the schema returns; without one it is only claimed.
   *
   * @returns `null` for a stored `null`, `undefined` for an absent key
   * @throws {CommandError} `CORRUPT_VALUE` for what is not JSON, or does not fit.
   */
  getJson<T = unknown>(key: RedisArgument, schema?: StandardSchema<T>): Promise<T | undefined>;
  /** In the order of the keys; for a value that cannot be read the error stands in its place. */
  getManyJson<T = unknown>(
    keys: readonly RedisArgument[],
    schema?: StandardSchema<T>,
  ): Promise<readonly (T | Error | undefined)[]>;
  /** @throws {EncodeError} for what JSON cannot carry: `undefined`, `bigint`, cycles, `NaN`, `Map`. */
  setJson(key: RedisArgument, value: unknown, options?: SetOptions & JsonOptions): Promise<"set" | "unchanged">;
  /** Whether the key is there. */
  exists(key: RedisArgument): Promise<boolean>;
  /** How many there were. Any number of keys, in a cluster anywhere. The memory is freed in the background. */
  delete(...keys: readonly (RedisArgument | readonly RedisArgument[])[]): Promise<number>;
  /**
   * `ttl` has a unit, as in `"60s"`. A bare number is refused: other clients count it in seconds.
   *
   * @returns whether the key exists, and the condition held
   */
  expire(key: RedisArgument, ttl: DurationText, options?: ExpireOptions): Promise<boolean>;
  /** @throws {InvalidArgumentError} for a number: other clients count it in seconds. */
  expireAt(key: RedisArgument, at: Date, options?: ExpireOptions): Promise<boolean>;
  /** The key lives without an end from now on. @returns whether the key had an end */
  persist(key: RedisArgument): Promise<boolean>;
  /** Milliseconds to live. `ttl` and `pTTL` are those of node-redis: seconds and milliseconds, -1 and -2. */
  ttlMs(key: RedisArgument): Promise<number | "none" | "missing">;
  /**
   * `ttl` is the life of a new counter: one that exists keeps its own. With `by: 1n` the sum is a `bigint`.
   *
   * @throws {CommandError} `NOT_A_NUMBER` for a sum beyond 2^53, unless `by` is a `bigint`: it was added.
   */
  incr(key: RedisArgument, options?: IncrOptions<number>): Promise<number>;
  incr(key: RedisArgument, options: IncrOptions<bigint> & { readonly by: bigint }): Promise<bigint>;
  /** One step, for at most 64 keys of one slot; where one cannot grow, none does. Throws as {@link incr}. */
  incrMany(keys: readonly RedisArgument[], by?: number, options?: Life): Promise<readonly number[]>;
  incrMany(keys: readonly RedisArgument[], by: bigint, options?: Life): Promise<readonly bigint[]>;
  /**
   * One step: the fields, and the life of the whole hash. Without a `ttl`, and with `"never"`, one that exists keeps
   * its life. @returns how many are new
   */
  hset<T extends WritableIn<T>>(key: RedisArgument, fields: Fields<T>, options?: Life): Promise<number>;
  /** `ttl` counts only where the field was absent. */
  hsetIfAbsent(key: RedisArgument, field: RedisArgument, value: Writable, options?: Life): Promise<"set" | "exists">;
  /** The text of one field of a hash. */
  hget(key: RedisArgument, field: RedisArgument): Promise<string | undefined>;
  /** Empty for an absent key. */
  hgetAll(key: RedisArgument): Promise<ReadonlyMap<string, string>>;
  /**
   * One step, also for negative numbers; where one field cannot grow, none does. With `bigint` the sums are exact
   * beyond 2^53.
   */
  hincrMany<By extends number | bigint>(
    key: RedisArgument,
    fields: Readonly<Record<string, By>> | ReadonlyMap<string, By>,
    options?: Life,
  ): Promise<ReadonlyMap<string, By>>;
  /** Every key that is there the whole time, once; of all primaries. Rejects with what fails on the way. */
  scan(options?: ScanOptions): AsyncGenerator<string, void, undefined>;
  /** Every field that is there the whole time, once. */
  hscan(key: RedisArgument, options?: ScanHashOptions): AsyncGenerator<readonly [string, string], void, undefined>;
  /**
   * Any command, with its reply as node-redis decodes it, text as strings. `key` decides the node of a cluster. Refused
   * for tenants, whose keys it could leave.
   */
  send(args: readonly RedisArgument[], options?: { readonly key?: RedisArgument | undefined }): Promise<unknown>;
}

/** The names of the commands of this package. */
export const OWN_NAMES: Readonly<Record<keyof OwnCommands, true>> = {
  get: true,
  getBytes: true,
  getNumber: true,
  getBigInt: true,
  getMany: true,
  set: true,
  setIfAbsent: true,
  setIfAbsentAndGet: true,
  setManyIfAbsent: true,
  getJson: true,
  getManyJson: true,
  setJson: true,
  exists: true,
  delete: true,
  expire: true,
  expireAt: true,
  persist: true,
  ttlMs: true,
  incr: true,
  incrMany: true,
  hset: true,
  hsetIfAbsent: true,
  hget: true,
  hgetAll: true,
  hincrMany: true,
  scan: true,
  hscan: true,
  send: true,
};

/** Commands whose replies have text. */
export type TextName = "get" | "getMany" | "setIfAbsentAndGet" | "hget" | "hgetAll" | "scan" | "hscan" | "send";

/**
 * Commands of this package with bytes in place of text, for values, fields and keys that are not UTF-8. Calls reject as
 * those of {@link OwnCommands}.
 */
export interface OwnBytesCommands extends Omit<OwnCommands, TextName> {
  /** As {@link OwnCommands.get}, in bytes. */
  get(key: RedisArgument): Promise<Buffer | undefined>;
  /** As {@link OwnCommands.getMany}, in bytes. */
  getMany(keys: readonly RedisArgument[]): Promise<readonly (Buffer | undefined)[]>;
  /** As {@link OwnCommands.setIfAbsentAndGet}, in bytes. */
  setIfAbsentAndGet(
    key: RedisArgument,
    value: Writable,
    options?: Life,
  ): Promise<{ readonly value: Buffer; readonly status: "set" | "exists" }>;
  /** As {@link OwnCommands.hget}, in bytes. */
  hget(key: RedisArgument, field: RedisArgument): Promise<Buffer | undefined>;
  /** Pairs: in a map no Buffer is equal to another. Empty for an absent key. */
  hgetAll(key: RedisArgument): Promise<readonly (readonly [field: Buffer, value: Buffer])[]>;
  /** As {@link OwnCommands.scan}, in bytes. */
  scan(options?: ScanOptions): AsyncGenerator<Buffer, void, undefined>;
  /** As {@link OwnCommands.hscan}, in bytes. */
  hscan(key: RedisArgument, options?: ScanHashOptions): AsyncGenerator<readonly [Buffer, Buffer], void, undefined>;
  /** With the reply as node-redis decodes it, text as Buffers. */
  send(args: readonly RedisArgument[], options?: { readonly key?: RedisArgument | undefined }): Promise<unknown>;
}

/** All commands, with bytes in place of text in replies. */
export type BytesCommands = OwnBytesCommands & Omit<NodeRedisCommands<BytesMapping>, keyof OwnCommands>;

/** Commands of this package, and all others of node-redis by their names there, such as `zAdd`. */
export type Commands = OwnCommands & Omit<NodeRedisCommands<TextMapping>, keyof OwnCommands>;
