import { DecodeError, InvalidArgumentError } from "@hotset/core";
import { kindOf } from "@hotset/core/internal";
import type { RedisView } from "../commands/view.ts";
import type { RedisArgument } from "../keys/key-space.ts";
import {
  checkFlag,
  checkOneOf,
  checkOptions,
  checkView,
  moduleOf,
  shown,
  checkWholeNumber,
  type Module,
} from "../module/module.ts";

/** How an argument is written. */
export type ScriptArgument = "text" | "integer" | "number" | "bytes";

/** How a reply is read. `maybe` kinds give `undefined` for nil. */
export type ScriptReply =
  | "nothing"
  | "text"
  | "maybe text"
  | "bytes"
  | "maybe bytes"
  | "json"
  | "maybe json"
  | "integer"
  | "bigint"
  | "boolean"
  | "list";

interface ArgumentTypes {
  readonly text: string;
  readonly integer: number | bigint;
  readonly number: number;
  readonly bytes: Buffer;
}

interface ReplyTypes {
  readonly nothing: void;
  readonly text: string;
  readonly "maybe text": string | undefined;
  readonly bytes: Buffer;
  readonly "maybe bytes": Buffer | undefined;
  readonly json: unknown;
  readonly "maybe json": unknown;
  readonly integer: number;
  readonly bigint: bigint;
  readonly boolean: boolean;
  readonly list: readonly unknown[];
}

/** A script in Lua, and what goes into it and comes back. */
export interface ScriptDefinition<
  Args extends readonly ScriptArgument[],
  Reply extends ScriptReply,
  Rest extends ScriptArgument = never,
> {
  /** The text of the script. */
  readonly lua: string;
  /** How many KEYS. In a cluster they must be of one slot. */
  readonly keys: number | "any";
  /** The kinds of ARGV. @default none */
  readonly args?: Args | undefined;
  /** The kind of any number of arguments behind those. @default none follow */
  readonly rest?: Rest | undefined;
  /**
   * `boolean`: `true` and 1, `false`, nil and 0. `json`: text that is parsed, of `cjson.encode(...)`. `integer` and
   * `bigint` reject with `NOT_A_NUMBER` beyond 2^53, where Lua has no exact numbers; `bigint` reads text, too, such as
   * `return redis.call('GET', KEYS[1])`.
   */
  readonly reply: Reply;
  /** Whether the script changes nothing, so that it may be sent again when a connection is lost. @default false */
  readonly readOnly?: boolean | undefined;
}

/** A script as a function: of a view, its keys and its arguments. */
export type Script<
  Args extends readonly ScriptArgument[],
  Reply extends ScriptReply,
  Rest extends ScriptArgument = never,
> = (
  redis: RedisView,
  keys: readonly RedisArgument[],
  args: [Rest] extends [never] ? ValuesOf<Args> : readonly [...ValuesOf<Args>, ...ArgumentTypes[Rest][]],
) => Promise<ReplyTypes[Reply]>;

type ValuesOf<Args extends readonly ScriptArgument[]> = { readonly [I in keyof Args]: ArgumentTypes[Args[I]] };

/**
 * A Lua script as a function. Sent as its hash; as text where the server has forgotten it, or never knew it. Keys are
 * those of the view that it is called with, so a tenant's script sees the tenant's keys.
 *
 * Redis hands numbers from Lua on as whole numbers: return `tostring(x)` for others. `true` comes as 1, `false` as nil.
 *
 * @throws {InvalidArgumentError} for a definition that cannot work, and, when called, for another number of keys or
 *   arguments, and for arguments of another kind; then nothing was sent.
 */
export function defineScript<
  const Args extends readonly ScriptArgument[] = readonly [],
  Reply extends ScriptReply = "nothing",
  Rest extends ScriptArgument = never,
>(definition: ScriptDefinition<Args, Reply, Rest>): Script<Args, Reply, Rest> {
  checkOptions("defineScript", definition ?? null, ["lua", "keys", "args", "rest", "reply", "readOnly"]);
  const { lua, keys: keyCount, args: kinds = [] as unknown as Args, rest, reply, readOnly = false } = definition;
  if (typeof lua !== "string" || lua.trim() === "")
    throw new InvalidArgumentError("defineScript: lua must be the text of a script");
  if (keyCount !== "any") checkWholeNumber("defineScript: keys", keyCount, { min: 0, max: Number.MAX_SAFE_INTEGER });
  if (!isList(kinds)) throw new InvalidArgumentError(`defineScript: args must be a list of kinds, got ${shown(kinds)}`);
  for (const kind of kinds) checkOneOf("defineScript: each of args", kind, Object.keys(KINDS));
  if (rest !== undefined) checkOneOf("defineScript: rest", rest, Object.keys(KINDS));
  checkOneOf("defineScript: reply", reply, Object.keys(READERS));
  checkFlag("defineScript: readOnly", readOnly);
  const read = READERS[reply];
  return async (redis, keys, args) => {
    checkView("a script", redis);
    if (!isList(keys) || !isList(args))
      throw new InvalidArgumentError(
        `this script takes a list of keys and a list of arguments, got ${shown(keys)} and ${shown(args)}`,
      );
    const isRightCount =
      (keyCount === "any" || keys.length === keyCount) &&
      (rest === undefined ? args.length === kinds.length : args.length >= kinds.length);
    if (!isRightCount)
      throw new InvalidArgumentError(
        `this script takes ${keyCount} keys and ${kinds.length} ${rest === undefined ? "" : "or more "}arguments, got ${keys.length} and ${args.length}`,
      );
    // `Array.from` takes holes too, which are refused.
    const written = Array.from<unknown, RedisArgument>(args, (arg, i) => writeArgument(kinds[i] ?? rest!, arg, i));
    const module = moduleOf(redis);
    return module.runScript(lua, Array.from<RedisArgument>(keys), written, {
      isReadOnly: readOnly,
      replies: reply.endsWith("bytes") ? "bytes" : reply === "integer" || reply === "bigint" ? "exact" : "text",
      decode: (given) => read(given, module) as ReplyTypes[Reply],
      operation: undefined,
    });
  };
}

const isList = (given: unknown): boolean => Array.isArray(given);

function writeArgument(kind: ScriptArgument, given: unknown, index: number): RedisArgument {
  const isRight =
    kind === "bytes"
      ? Buffer.isBuffer(given)
      : kind === "text"
        ? typeof given === "string"
        : kind === "integer"
          ? typeof given === "bigint" || Number.isSafeInteger(given)
          : Number.isFinite(given);
  if (!isRight)
    throw new InvalidArgumentError(`argument ${index} of this script must be ${KINDS[kind]}, got ${kindOf(given)}`);
  return Buffer.isBuffer(given) ? given : String(given);
}

const KINDS: Readonly<Record<ScriptArgument, string>> = {
  text: "text",
  integer: "a whole number",
  number: "a finite number",
  bytes: "a Buffer",
};

const fail = (wanted: string): never => {
  throw new DecodeError(`the script did not reply with ${wanted}`, { operation: "EVALSHA" });
};

const READERS: Readonly<Record<ScriptReply, (reply: unknown, module: Module) => unknown>> = {
  nothing: () => undefined,
  text: (reply) => (typeof reply === "string" ? reply : fail("text")),
  "maybe text": (reply) => (reply === null ? undefined : typeof reply === "string" ? reply : fail("text or nil")),
  bytes: (reply) => (Buffer.isBuffer(reply) ? reply : fail("text")),
  "maybe bytes": (reply) => (reply === null ? undefined : Buffer.isBuffer(reply) ? reply : fail("text or nil")),
  json: (reply) => (typeof reply === "string" ? parsed(reply) : fail("JSON")),
  "maybe json": (reply) => (reply === null ? undefined : typeof reply === "string" ? parsed(reply) : fail("JSON")),
  integer: (reply, { exactNumber }) => exactNumber("EVALSHA", wholeIn(reply)),
  bigint: (reply, { exactNumber }) =>
    Buffer.isBuffer(reply) && WHOLE.test(reply.toString())
      ? BigInt(reply.toString())
      : BigInt(exactNumber("EVALSHA", wholeIn(reply))),
  boolean: (reply) => {
    if (reply === 1 || reply === true) return true;
    return reply === 0 || reply === null || reply === false ? false : fail("a boolean");
  },
  list: (reply, { exactIn }) => (Array.isArray(reply) ? exactIn("EVALSHA", reply) : fail("a list")),
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return fail("JSON");
  }
}

/** A number of the server comes as a string, which is exact; text of the script as a Buffer. */
const wholeIn = (reply: unknown): unknown =>
  typeof reply === "number" || (typeof reply === "string" && WHOLE.test(reply)) ? reply : fail("a whole number");

const WHOLE = /^-?\d+$/;
