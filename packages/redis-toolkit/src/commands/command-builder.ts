import { createHash } from "node:crypto";
import { isDate } from "node:util/types";
import { InvalidArgumentError } from "@hotset/core";
import { kindOf, oneOf, readOption } from "@hotset/core/internal";
import { checkKey, checkWellFormed, type KeySpace, type RedisArgument } from "../keys/key-space.ts";
import type { Draft, ScriptDraft } from "../module/contract.ts";
import { checkFlag, checkOptions, lifeMs, MOST_SCRIPT_KEYS, shown, type DurationText } from "../module/module.ts";
import { asNumber, isOne, orUndefined, type Invocation } from "./invocation.ts";
import { bigIntIn, exactAs, numberIn } from "./numbers.ts";
import {
  HASH_INCREASE,
  HASH_SET,
  HASH_SET_IF_ABSENT,
  INCREASE,
  INCREASE_ALL,
  SET_ALL_IF_ABSENT,
  SET_IF_ABSENT_AND_GET,
} from "./scripts.ts";

/** A value for a key or a field. Numbers are written as JavaScript prints them. */
export type Writable = string | number | bigint | Buffer;

/** The life of the key that a call makes. */
export interface Life {
  /**
   * `"60s"`, or `"never"` for a key without an end.
   *
   * @default defaultTtl of createRedis, for hashes defaultHashTtl; both are none
   */
  readonly ttl?: DurationText | "never" | undefined;
}

/** Options of `set`. */
export interface SetOptions extends Life {
  /** The life that the key has stays as it is. A key that is absent is not set, since it would live forever. */
  readonly keepTtl?: boolean | undefined;
  /** Sets only a key that is absent, or only one that is present. */
  readonly if?: "absent" | "present" | undefined;
}

export type { DurationText };

/** Options of `incr`. */
export interface IncrOptions<By extends number | bigint> extends Life {
  /** A whole number. With a `bigint` the sum is one, exact beyond 2^53. @default 1 */
  readonly by?: By | undefined;
}

/** Options of `expire` and `expireAt`. */
export interface ExpireOptions {
  /** Only where the key has no end, has one, or the new one is later or sooner. */
  readonly if?: "none" | "some" | "later" | "sooner" | undefined;
}

export interface BuilderSettings {
  readonly space: KeySpace;
  readonly defaultTtlMs: number | undefined;
  readonly defaultHashTtlMs: number | undefined;
  /** How text comes back. @default 'text' */
  readonly replies?: "text" | "flat" | undefined;
}

/**
 * Commands of one key, or of keys of one slot, which Redis carries out as a whole. Each method describes one and sends
 * nothing.
 */
export class CommandBuilder {
  readonly #settings: BuilderSettings;
  readonly #space: KeySpace;
  readonly #defaultTtlMs: number | undefined;
  readonly #defaultHashTtlMs: number | undefined;
  readonly #replies: "text" | "flat";

  constructor(settings: BuilderSettings) {
    this.#settings = settings;
    this.#space = settings.space;
    this.#defaultTtlMs = settings.defaultTtlMs;
    this.#defaultHashTtlMs = settings.defaultHashTtlMs;
    this.#replies = settings.replies ?? "text";
  }

  get(key: RedisArgument): Invocation<string | undefined> {
    return this.#onKey("GET", key, [], { isReadOnly: true, decode: orUndefined<string> });
  }

  getBytes(key: RedisArgument): Invocation<Buffer | undefined> {
    return this.#onKey("GET", key, [], { isReadOnly: true, replies: "bytes", decode: orUndefined<Buffer> });
  }

  getNumber(key: RedisArgument): Invocation<number | undefined> {
    return this.#onKey("GET", key, [], { isReadOnly: true, decode: (reply) => numberIn("GET", reply) });
  }

  getBigInt(key: RedisArgument): Invocation<bigint | undefined> {
    return this.#onKey("GET", key, [], { isReadOnly: true, decode: (reply) => bigIntIn("GET", reply) });
  }

  set(key: RedisArgument, value: Writable, options: SetOptions = {}): Invocation<"set" | "unchanged"> {
    checkOptions("set", options, SET_OPTIONS);
    const { keepTtl = false, if: condition } = options;
    checkFlag("set: keepTtl", keepTtl);
    if (keepTtl && options.ttl !== undefined) throw new InvalidArgumentError("set: give ttl or keepTtl, not both");
    if (keepTtl && condition === "absent")
      throw new InvalidArgumentError('set: keepTtl keeps the life of a key that is present, so not with if: "absent"');
    const life = this.#life("set", options.ttl);
    const args: RedisArgument[] = [written("set", value)];
    if (keepTtl) args.push("KEEPTTL", "XX");
    else if (life !== "0") args.push("PX", life);
    if (condition !== undefined && !keepTtl) args.push(CONDITIONS[readOption(condition, "set: if", CONDITION)]);
    return this.#onKey("SET", key, args, { decode: (reply) => (reply === null ? "unchanged" : "set") });
  }

  setIfAbsentAndGet(
    key: RedisArgument,
    value: Writable,
    options: Life = {},
  ): Invocation<{ readonly value: string; readonly status: "set" | "exists" }> {
    checkOptions("setIfAbsentAndGet", options, TTL);
    const args = [written("setIfAbsentAndGet", value), this.#life("setIfAbsentAndGet", options.ttl)];
    return this.#script(SET_IF_ABSENT_AND_GET, [key], args, (reply) => {
      const [isSet, text] = reply as readonly [number, string];
      return { value: text, status: isOne(isSet) ? "set" : "exists" };
    });
  }

  setManyIfAbsent(
    entries: Iterable<readonly [RedisArgument, Writable]>,
    options: Life = {},
  ): Invocation<"set" | "exists"> {
    checkOptions("setManyIfAbsent", options, TTL);
    const all = pairsIn("setManyIfAbsent", entries);
    const values = all.map(([, value]) => written("setManyIfAbsent", value));
    return this.#script(
      SET_ALL_IF_ABSENT,
      inOneStep(
        "setManyIfAbsent: entries",
        all.map(([key]) => key),
      ),
      [this.#life("setManyIfAbsent", options.ttl), ...values],
      (reply) => (isOne(reply) ? "set" : "exists"),
    );
  }

  exists(key: RedisArgument): Invocation<boolean> {
    return this.#onKey("EXISTS", key, [], { isReadOnly: true, decode: isOne });
  }

  /** Frees the memory in the background (`UNLINK`). */
  delete(key: RedisArgument): Invocation<boolean> {
    return this.#onKey("UNLINK", key, [], { decode: isOne });
  }

  expire(key: RedisArgument, ttl: DurationText, options: ExpireOptions = {}): Invocation<boolean> {
    const ms = lifeMs("expire: ttl", ttl, { hint: "; persist(key) makes a key without an end" });
    return this.#onKey("PEXPIRE", key, [String(ms), ...endCondition(options)], { decode: isOne });
  }

  expireAt(key: RedisArgument, at: Date, options: ExpireOptions = {}): Invocation<boolean> {
    const ms = isDate(at) ? at.getTime() : Number.NaN;
    if (!Number.isSafeInteger(ms) || ms <= 0)
      throw new InvalidArgumentError(
        `expireAt: at must be a Date after 1970, got ${isDate(at) ? (Number.isNaN(ms) ? "an invalid one" : "an earlier one") : shown(at)}${typeof at === "number" ? ": redis clients count a bare number in seconds" : ""}`,
      );
    return this.#onKey("PEXPIREAT", key, [String(ms), ...endCondition(options)], { decode: isOne });
  }

  persist(key: RedisArgument): Invocation<boolean> {
    return this.#onKey("PERSIST", key, [], { decode: isOne });
  }

  /** Milliseconds to live. */
  ttlMs(key: RedisArgument): Invocation<number | "none" | "missing"> {
    return this.#onKey("PTTL", key, [], {
      isReadOnly: true,
      decode: (reply) => (Number(reply) === -2 ? "missing" : Number(reply) === -1 ? "none" : Number(reply)),
    });
  }

  incr(key: RedisArgument, options?: IncrOptions<number>): Invocation<number>;
  incr(key: RedisArgument, options: IncrOptions<bigint> & { readonly by: bigint }): Invocation<bigint>;
  incr(key: RedisArgument, options: IncrOptions<number | bigint> = {}): Invocation<number | bigint> {
    checkOptions("incr", options, ["by", "ttl"]);
    const { by: given = 1 } = options;
    const by = whole("incr: by", given);
    const decode = (reply: unknown): number | bigint => exactAs(given, "INCRBY", reply);
    const life = this.#life("incr", options.ttl);
    // A script answers with text, which is exact over every connection.
    const inText = this.#script(INCREASE, [key], [by, life], decode);
    if (life !== "0" || typeof given === "bigint") return inText;
    return { ...this.#onKey("INCRBY", key, [by], { replies: "exact", decode }), inText };
  }

  incrMany(keys: readonly RedisArgument[], by?: number, options?: Life): Invocation<readonly number[]>;
  incrMany(keys: readonly RedisArgument[], by: bigint, options?: Life): Invocation<readonly bigint[]>;
  incrMany(
    keys: readonly RedisArgument[],
    by: number | bigint = 1,
    options: Life = {},
  ): Invocation<readonly (number | bigint)[]> {
    checkOptions("incrMany", options, TTL);
    return this.#script(
      INCREASE_ALL,
      inOneStep("incrMany: keys", listOf("incrMany", keys)),
      [whole("incrMany: by", by), this.#life("incrMany", options.ttl)],
      (reply) => (reply as readonly unknown[]).map((sum) => exactAs(by, "INCRBY", sum)),
    );
  }

  hset<T extends WritableIn<T>>(key: RedisArgument, fields: Fields<T>, options: Life = {}): Invocation<number> {
    checkOptions("hset", options, TTL);
    const life = this.#hashLife("hset", options.ttl);
    const pairs = pairsOf("hset", fields);
    if (life === "0") return this.#onKey("HSET", key, pairs, { decode: asNumber });
    return this.#script(HASH_SET, [key], [life, ...pairs], asNumber);
  }

  hsetIfAbsent(
    key: RedisArgument,
    field: RedisArgument,
    value: Writable,
    options: Life = {},
  ): Invocation<"set" | "exists"> {
    checkOptions("hsetIfAbsent", options, TTL);
    const args = [field, written("hsetIfAbsent", value), this.#hashLife("hsetIfAbsent", options.ttl)];
    return this.#script(HASH_SET_IF_ABSENT, [key], args, (reply) => (isOne(reply) ? "set" : "exists"));
  }

  hget(key: RedisArgument, field: RedisArgument): Invocation<string | undefined> {
    return this.#onKey("HGET", key, [field], { isReadOnly: true, decode: orUndefined<string> });
  }

  /** Empty for an absent key. */
  hgetAll(key: RedisArgument): Invocation<ReadonlyMap<string, string>> {
    return this.#onKey("HGETALL", key, [], {
      isReadOnly: true,
      // A map with Buffers as keys has none that is equal to another.
      decode: this.#replies === "flat" ? (fieldsOf as unknown as typeof mapOf) : mapOf,
    });
  }

  hincrMany<By extends number | bigint>(
    key: RedisArgument,
    fields: Readonly<Record<string, By>> | ReadonlyMap<string, By>,
    options: Life = {},
  ): Invocation<ReadonlyMap<string, By>> {
    checkOptions("hincrMany", options, TTL);
    const all = [...entriesOf("hincrMany", fields)];
    if (all.length === 0) throw new InvalidArgumentError("hincrMany: give at least one field");
    const args = all.flatMap(([field, by]) => [field, whole(`hincrMany: ${describeField(field)}`, by)]);
    return this.#script(HASH_INCREASE, [key], [this.#hashLife("hincrMany", options.ttl), ...args], (reply) => {
      const sums = reply as readonly string[];
      return new Map(all.map(([field, by], i) => [field, exactAs(by, "HINCRBY", sums[i])]));
    });
  }

  /** The same, with bytes in place of text in replies. */
  inBytes(): CommandBuilder {
    return new CommandBuilder({ ...this.#settings, replies: "flat" });
  }

  #script<T>(
    text: string,
    keys: readonly RedisArgument[],
    args: readonly RedisArgument[],
    decode: (reply: unknown) => T,
  ): Invocation<T> {
    if (keys.length === 0) throw new InvalidArgumentError("give at least one key");
    const draft = { decode, replies: this.#replies, operation: SCRIPTS.get(text), isWhole: true };
    return describeScript(this.#space, text, keys, args, draft);
  }

  #onKey<T>(name: string, key: RedisArgument, rest: readonly RedisArgument[], draft: Draft<T>): Invocation<T> {
    const inside = this.#space.inside(checkKey(name.toLowerCase(), key));
    return {
      args: [name, inside, ...rest],
      keys: [inside],
      isReadOnly: draft.isReadOnly ?? false,
      replies: draft.replies ?? this.#replies,
      decode: draft.decode,
    };
  }

  /** In milliseconds; 0 for a key without an end. */
  #life(operation: string, ttl: Life["ttl"], defaultMs = this.#defaultTtlMs): string {
    if (ttl === undefined) return String(defaultMs ?? 0);
    return ttl === "never" ? "0" : String(lifeMs(`${operation}: ttl`, ttl, { hint: NEVER }));
  }

  #hashLife(operation: string, ttl: Life["ttl"]): string {
    return this.#life(operation, ttl, this.#defaultHashTtlMs ?? 0);
  }
}

/** The command of Redis that each script is for, in errors. Where it ends with one, it has written nothing. */
const SCRIPTS: ReadonlyMap<string, string> = new Map([
  [SET_IF_ABSENT_AND_GET, "SET"],
  [SET_ALL_IF_ABSENT, "MSETNX"],
  [INCREASE, "INCRBY"],
  [INCREASE_ALL, "INCRBY"],
  [HASH_SET, "HSET"],
  [HASH_SET_IF_ABSENT, "HSETNX"],
  [HASH_INCREASE, "HINCRBY"],
]);

/** @throws {InvalidArgumentError} for more keys than one script takes: in several it would not be all or none. */
function inOneStep(place: string, keys: readonly RedisArgument[]): readonly RedisArgument[] {
  if (keys.length <= MOST_SCRIPT_KEYS) return keys;
  throw new InvalidArgumentError(
    `${place} must be at most ${MOST_SCRIPT_KEYS}, as they change in one step, got ${keys.length}`,
  );
}

/** A script of `text` over keys of `space`. */
export function describeScript<T>(
  space: KeySpace,
  text: string,
  keys: readonly RedisArgument[],
  args: readonly RedisArgument[],
  draft: ScriptDraft<T>,
): Invocation<T> {
  const inside = keys.map((key) => space.inside(checkKey("script", key)));
  return {
    args: ["EVALSHA", sha1(text), String(keys.length), ...inside, ...args],
    keys: inside,
    isReadOnly: draft.isReadOnly ?? false,
    replies: draft.replies ?? "text",
    decode: draft.decode,
    deadlineMs: draft.deadlineMs,
    patienceMs: draft.patienceMs,
    isRepeatable: draft.isRepeatable,
    signal: draft.signal,
    script: text,
    operation: draft.operation,
    isWhole: draft.isWhole,
  };
}

/** Fields of a hash. */
export type Fields<T = Readonly<Record<string, Writable>>> = T | ReadonlyMap<string, Writable>;
/** The types of fields: unlike a record also an `interface`. */
export type WritableIn<T> = { readonly [K in keyof T]: Writable };

const NEVER = '; "never" makes a key without an end';

const CONDITIONS = { absent: "NX", present: "XX" } as const;
const CONDITION = oneOf("absent", "present");
const ENDS = { none: "NX", some: "XX", later: "GT", sooner: "LT" } as const;
const END = oneOf("none", "some", "later", "sooner");

function endCondition(options: ExpireOptions): readonly string[] {
  checkOptions("expire", options, ["if"]);
  return options.if === undefined ? [] : [ENDS[readOption(options.if, "expire: if", END)]];
}

const TTL = ["ttl"];
const SET_OPTIONS = ["ttl", "keepTtl", "if"];

/** @throws {InvalidArgumentError} unless it is a list. A hole in it is `undefined`, which no key is. */
export function listOf<T>(operation: string, given: readonly T[]): readonly T[] {
  if (Array.isArray(given)) return Array.from(given as readonly T[]);
  throw new InvalidArgumentError(`${operation}: give a list of keys, got ${shown(given)}`);
}

function pairsIn<Pair>(operation: string, given: Iterable<Pair>): readonly Pair[] {
  const isList = typeof given === "object" && given !== null && Symbol.iterator in given;
  const all = isList ? [...given] : [];
  const wrong = all.findIndex((pair) => !Array.isArray(pair));
  if (isList && wrong < 0) return all;
  throw new InvalidArgumentError(
    `${operation}: entries must be pairs of a key and a value, got ${shown(isList ? all[wrong] : given)}`,
  );
}

/** @throws {InvalidArgumentError} for what Redis could only keep as other text, such as an object or `NaN`. */
export function written(operation: string, value: Writable): RedisArgument {
  if (typeof value === "string" || Buffer.isBuffer(value)) return checkWellFormed(operation, value);
  if (typeof value === "bigint" || Number.isFinite(value)) return String(value);
  throw new InvalidArgumentError(
    `${operation}: a value must be text, a finite number or a Buffer, got ${kindOf(value)}; setJson writes other values`,
  );
}

function whole(option: string, by: number | bigint): string {
  if (typeof by === "bigint" || Number.isSafeInteger(by)) return String(by);
  throw new InvalidArgumentError(`${option} must be a whole number, got ${shown(by)}; incrByFloat adds others`);
}

function entriesOf<V>(
  operation: string,
  fields: Readonly<Record<string, V>> | ReadonlyMap<string, V>,
): Iterable<readonly [string, V]> {
  if (fields instanceof Map) return fields as ReadonlyMap<string, V>;
  if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) return Object.entries(fields);
  throw new InvalidArgumentError(`${operation}: fields must be an object or a Map, got ${shown(fields)}`);
}

function pairsOf<T extends WritableIn<T>>(operation: string, fields: Fields<T>): readonly RedisArgument[] {
  const pairs = [...entriesOf(operation, fields as Fields)].flatMap(([field, value]) => [
    field,
    written(operation, value),
  ]);
  if (pairs.length === 0) throw new InvalidArgumentError(`${operation}: give at least one field`);
  return pairs;
}

const describeField = (field: string): string => `the field ${JSON.stringify(field.slice(0, 40))}`;

/** A map over RESP3, a flat list over RESP2. */
function fieldsOf<T>(reply: unknown): readonly (readonly [T, T])[] {
  if (reply instanceof Map) return [...(reply as Map<T, T>)];
  const flat = reply as readonly T[];
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!]);
}

const mapOf = (reply: unknown): ReadonlyMap<string, string> =>
  reply instanceof Map ? (reply as Map<string, string>) : new Map(fieldsOf<string>(reply));

const shas = new Map<string, string>();

/** The texts of scripts are few. */
function sha1(text: string): string {
  let sha = shas.get(text);
  if (sha === undefined) shas.set(text, (sha = createHash("sha1").update(text).digest("hex")));
  return sha;
}
