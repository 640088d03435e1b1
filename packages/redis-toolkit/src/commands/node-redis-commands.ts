// The commands of node-redis, by name. The one place that reaches into the files of @redis/client, which has no
// `exports`: its commands are not among its public names. Tests run it over the range of versions.

import { InvalidArgumentError } from "@hotset/core";
import { didYouMean, kindOf } from "@hotset/core/internal";
import { checkWellFormed, type KeySpace, type RedisArgument } from "../keys/key-space.ts";
import { shown } from "../module/module.ts";
import { operationOf, type Invocation } from "./invocation.ts";
import { exactIn } from "./numbers.ts";
import { OWN_NAMES } from "./own-commands.ts";
import { CHANGES_CONNECTION, NEEDS_A_CONNECTION, refusedOnTenants } from "./refused-commands.ts";
import { namesInArguments, namesInReply } from "./tenant-names.ts";

type ParserFile = typeof import("@redis/client/dist/lib/client/parser.js");
type MetadataFile = typeof import("@redis/client/dist/lib/command-metadata/index.js");

type Parser = InstanceType<ParserFile["BasicCommandParser"]>;

/** A command of node-redis. */
interface NodeRedisCommand {
  parseCommand(parser: Parser, ...args: readonly unknown[]): void;
  readonly transformReply?: Transform | { readonly 2?: Transform; readonly 3?: Transform };
  readonly IS_READ_ONLY?: boolean;
}
type Transform = (reply: never, preserve: unknown, typeMapping: object) => unknown;

/** The tables of node-redis, which a connection has loaded already. */
export interface CommandTable {
  readonly commands: Readonly<Record<string, NodeRedisCommand>>;
  readonly Parser: ParserFile["BasicCommandParser"];
  readonly metadata: MetadataFile["defaultCommandMetadata"];
}

let table: CommandTable | undefined;
let loading: Promise<CommandTable> | undefined;

/** The table, if it was loaded. */
export const loadedTable = (): CommandTable | undefined => table;

/** Loads the table once. A specifier that is text, so that bundlers follow it. */
export function loadTable(): Promise<CommandTable> {
  return (loading ??= Promise.all([
    import("@redis/client/dist/lib/commands/index.js"),
    import("@redis/client/dist/lib/client/parser.js"),
    import("@redis/client/dist/lib/command-metadata/index.js"),
  ]).then(
    ([commands, parser, metadata]) =>
      (table = {
        commands: commandsOf(commands),
        Parser: parser.BasicCommandParser,
        metadata: metadata.defaultCommandMetadata,
      }),
  ));
}

/** Node and bundlers differ in what the default export of a CommonJS module is. */
function commandsOf(file: { readonly default: unknown }): CommandTable["commands"] {
  const exported = file.default as Readonly<Record<string, unknown>>;
  return ("default" in exported ? exported["default"] : exported) as CommandTable["commands"];
}

/** How replies are decoded. Maps stay maps: as objects they would lose a field named `__proto__`. */
export const TYPE_MAPPINGS: Readonly<Record<Invocation<unknown>["replies"], object>> = {
  text: { 36: String, 37: Map },
  flat: { 36: Buffer, 37: Array },
  exact: { 36: Buffer, 37: Map, 58: String },
  bytes: { 36: Buffer, 37: Map },
};

export interface CallPlace {
  readonly space: KeySpace;
  readonly replies: "text" | "flat";
  /** RESP version of the connection. */
  readonly protocol: 2 | 3;
}

/**
 * A command of node-redis by its name, such as `zAdd`.
 *
 * @throws {InvalidArgumentError} for a name that node-redis does not have, for commands that need a separate
 *   connection, for those that a tenant may not use, and for arguments that cannot be sent.
 */
export function invocationOf(
  { commands, Parser, metadata }: CommandTable,
  name: string,
  args: readonly unknown[],
  { space, replies, protocol }: CallPlace,
): Invocation<unknown> {
  const command = Object.hasOwn(commands, name) && isMethodName(name) ? commands[name] : undefined;
  if (command === undefined)
    throw new InvalidArgumentError(
      `${name} is not a command of node-redis${hint(name, Object.keys(commands).filter(isMethodName))}; send(args) sends any command`,
    );
  const reason = NEEDS_A_CONNECTION[name] ?? (space.isTenant ? refusedOnTenants(name) : undefined);
  if (reason !== undefined) throw new InvalidArgumentError(`${name}: ${reason}`);
  const empty = args.findIndex((arg) => Array.isArray(arg) && arg.length === 0);
  if (empty !== -1) throw new InvalidArgumentError(`${name}: argument ${empty + 1} must not be an empty list`);
  const parser = new Parser(space.prefix);
  try {
    command.parseCommand(parser, ...namesInArguments(name, args, space));
  } catch (error) {
    throw new InvalidArgumentError(`${name}: the arguments cannot be sent: ${(error as Error).message}`);
  }
  const sent = parser.redisArgs as RedisArgument[];
  checkArguments(name, sent);
  const keys = parser.keys as RedisArgument[];
  const known = metadata.lookup(parser.commandIdentifier);
  if (space.isTenant && keys.length === 0 && !CHANNELS.has(name))
    throw new InvalidArgumentError(`${name}: a tenant may not use it: it reaches beyond the keys of the tenant`);
  const operation = operationOf({ args: sent });
  const { transformReply } = command;
  const transform = typeof transformReply === "object" ? transformReply[protocol] : transformReply;
  const { preserve } = parser as unknown as { readonly preserve: unknown };
  return {
    args: sent,
    keys,
    isReadOnly: command.IS_READ_ONLY ?? known?.flags?.includes("readonly") ?? false,
    blockMs: known?.flags?.includes("blocking") ? blockMsOf(sent) : undefined,
    spread: known?.request === "all_shards" || known?.request === "all_nodes" ? SPREADS[known.response] : undefined,
    replies,
    needsMaps: protocol === 3 && replies === "text",
    decode: (reply) => {
      if (!HAVE_DOUBLES.test(name) && (typeof reply === "number" || name.startsWith("bitField")))
        exactIn(operation, reply);
      const read = transform === undefined ? reply : transform(reply as never, preserve, TYPE_MAPPINGS[replies]);
      return namesInReply(name, withoutNulls(read), space);
    },
  };
}

/** Commands of other clients that are an option of another one here. */
const REPLACED: ReadonlyMap<string, string> = new Map([
  ["zrevrange", "zRange(key, start, stop, { REV: true })"],
  ["zrevrangebyscore", 'zRange(key, max, min, { BY: "SCORE", REV: true })'],
  ["setex", 'set(key, value, { ttl: "60s" })'],
  ["psetex", 'set(key, value, { ttl: "60ms" })'],
  ["setnx", "setIfAbsent(key, value)"],
  ["zrevrangebylex", 'zRange(key, max, min, { BY: "LEX", REV: true })'],
]);

function hint(name: string, known: readonly string[]): string {
  const instead = REPLACED.get(name.toLowerCase());
  return instead === undefined ? didYouMean(name, [...Object.keys(OWN_NAMES), ...known]) : `; use ${instead}`;
}

/**
 * Any command, as it is given.
 *
 * @throws {InvalidArgumentError} for a command that would change a connection which others use, and for none.
 */
export function rawInvocation(
  { metadata }: CommandTable,
  args: readonly RedisArgument[],
  key: RedisArgument | undefined,
  { isShared, replies }: { readonly isShared: boolean; readonly replies: CallPlace["replies"] },
): Invocation<unknown> {
  if (!Array.isArray(args))
    throw new InvalidArgumentError(`send(args): args must be a list of text and Buffers, got ${shown(args)}`);
  checkArguments("send", args);
  const [command = "", subcommand = ""] = args.map((arg) => String(arg).toUpperCase());
  if (command === "") throw new InvalidArgumentError("send(args): args must begin with the name of a command");
  const isOfSession = CHANGES_CONNECTION.has(command) || CHANGES_CONNECTION.has(`${command} ${subcommand}`);
  if (isShared && isOfSession)
    throw new InvalidArgumentError(`send: ${command}: ${NEEDS_A_CONNECTION["clientTracking"]}`);
  const flags = metadata.lookup({ command, subcommand })?.flags ?? [];
  return {
    args,
    keys: key === undefined ? [] : [key],
    isReadOnly: false,
    replies,
    blockMs: flags.includes("blocking") ? blockMsOf(args) : undefined,
    decode: (reply) => (typeof reply === "number" && !HAVE_DOUBLES.test(command) ? exactIn(command, reply) : reply),
  };
}

/** Scores are doubles, which may lie beyond 2^53. */
const HAVE_DOUBLES = /^z/i;

/** How the replies of all primaries become one, by the policy of the server's own `COMMAND`. */
const SPREADS: Readonly<Record<string, Invocation<unknown>["spread"]>> = {
  agg_sum: "sum",
  all_succeeded: "first",
  "default-keyless": "join",
  special: "first",
};

/** Each command stands there twice: `zAdd` and `ZADD`. */
export const isMethodName = (name: string): boolean => /[a-z]/.test(name);

/** node-redis would send `undefined` as the text of a broken command, and fail the connection. */
function checkArguments(name: string, args: readonly unknown[]): void {
  for (const arg of args) checkWellFormed(name, arg as RedisArgument);
  const at = args.findIndex((arg) => typeof arg !== "string" && !Buffer.isBuffer(arg));
  if (at !== -1)
    throw new InvalidArgumentError(`${name}: argument ${at} must be text or a Buffer, got ${kindOf(args[at])}`);
}

/** Nothing is `undefined`, also in a list. */
function withoutNulls(reply: unknown): unknown {
  if (reply === null) return undefined;
  if (Array.isArray(reply) && reply.includes(null))
    return reply.map((one: unknown) => (one === null ? undefined : one));
  return reply;
}

/**
 * How long the server may wait: `BLOCK` of streams is in milliseconds, the timeouts of others in seconds, at the end of
 * older commands and at the beginning of newer ones. 0 is forever.
 */
function blockMsOf(args: readonly RedisArgument[]): number | undefined {
  const name = String(args[0]).toUpperCase();
  if (name.startsWith("XREAD")) {
    const at = args.findIndex((arg) => typeof arg === "string" && arg.toUpperCase() === "BLOCK");
    return at === -1 ? undefined : Number(args[at + 1]) || Infinity;
  }
  const seconds = /^B(?:LMPOP|ZMPOP)$/.test(name) ? args[1] : args.at(-1);
  return Number(seconds) * 1_000 || Infinity;
}

/** Commands without a key that a tenant may use. */
const CHANNELS: ReadonlySet<string> = new Set(["publish", "sPublish"]);
