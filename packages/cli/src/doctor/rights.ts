import type { RedisConnection } from "@hotset/redis-toolkit/connection";
import { MODULES, RIGHTS, RIGHTS_OF_STRINGS, type ModuleName } from "@hotset/redis-toolkit/inspect";
import type { SampledKey } from "../keys/sample.ts";

/** The rights of the user of this connection for one module. */
export interface GrantedRights {
  readonly module: ModuleName;
  /** Whether keys of it were found, or it was asked about. */
  readonly reason: "found" | "asked";
  /** `none`: not one write of it is allowed, so the user is not meant to use it. */
  readonly granted: "all" | "part" | "none";
  /** Commands as an ACL rule has them, `~<key>` and `&<channel>`. */
  readonly missing: readonly string[];
}

/** The words behind the key of each command, which is queued and never carried out. */
const BEHIND_KEY: Readonly<Record<string, string>> = {
  ...{ decrby: "1", lindex: "0", ltrim: "0 1", zremrangebyrank: "0 0", getrange: "0 1", hdel: "f", hexists: "f" },
  ...{ hget: "f", hincrby: "f 1", hmget: "f", hset: "f v", hstrlen: "f", incrby: "1", pexpire: "1", pexpireat: "1" },
  ...{ pfadd: "v", rpush: "v", set: "v", setrange: "0 v", setbit: "0 1", xack: "g 0-1", xadd: "* f v" },
  ...{ xautoclaim: "g c 0 0", "xgroup|create": "g $", xclaim: "g c 0 0-1", "xgroup|delconsumer": "g c" },
  ...{ "xinfo|consumers": "g", xpending: "g", xrange: "- +", zadd: "1 m", zcount: "0 1", bzpopmin: "1", zrange: "0 1" },
  ...{ zrangebylex: "- +", zrangebyscore: "0 1", zrem: "m", zremrangebyscore: "0 1", zrevrange: "0 1", zscore: "m" },
};

/** Commands that do not begin with their key. */
const WHOLE: Readonly<Record<string, (key: string) => readonly string[]>> = {
  eval: (key) => ["EVAL", "return 1", "1", key],
  evalsha: (key) => ["EVALSHA", "0".repeat(40), "1", key],
  rename: (key) => ["RENAME", key, key],
  time: () => ["TIME"],
  xreadgroup: (key) => ["XREADGROUP", "GROUP", "g", "c", "STREAMS", key, ">"],
  ping: () => ["PING"],
  "script|exists": () => ["SCRIPT", "EXISTS", "e"],
  "script|load": () => ["SCRIPT", "LOAD", "return 1"],
};

/** One command of a module, over a key of it. @param name as an ACL rule has it */
const probe = (name: string, key: string): readonly string[] =>
  WHOLE[name]?.(key) ?? [...name.toUpperCase().split("|"), key, ...(BEHIND_KEY[name]?.split(" ") ?? [])];

/** Commands that change a key: a user with none of them for a module is not one of its users. */
const WRITES = new Set(
  (
    "del decr hdel hincrby hset incrby persist pexpire pexpireat pfadd rename rpush set setbit unlink xack xadd zadd " +
    "zpopmin zrem"
  ).split(" "),
);

/** The longest life of a placeholder, which is a string in the other layouts too. */
const MAX_LEASE_MS = 60_000;

/** A cache is asked about the layout of the entries that were found. */
function commandsOf(module: ModuleName, keys: readonly SampledKey[]): readonly string[] {
  const { commands } = RIGHTS[module];
  const isOfStrings = ({ known, lifeMs = 0 }: SampledKey): boolean =>
    known?.isStringEntry === true && lifeMs > MAX_LEASE_MS;
  return module === "cache" && keys.some(isOfStrings) ? [...commands, ...RIGHTS_OF_STRINGS] : commands;
}

/**
 * Asks the server itself, by a transaction that is discarded: it judges the rights of each command when it is queued,
 * and carries out none. So no right to look at users is needed, and what it says holds for this very user.
 *
 * @param keys that were found; a key of each module is asked about, where a tenant or another pattern counts.
 * @throws where transactions are refused
 */
export async function probeRights(
  connection: RedisConnection,
  keys: readonly SampledKey[],
  asked: readonly ModuleName[],
): Promise<readonly GrantedRights[]> {
  const found = new Map<ModuleName, string>();
  // Readable ones first: another service has the others.
  const readable = keys.toSorted((one, other) => Number(one.type === "") - Number(other.type === ""));
  for (const { key, known } of readable)
    if (known !== undefined && !found.has(known.module)) found.set(known.module, key);
  const wanted = MODULES.filter((module) => found.has(module) || asked.includes(module));
  const all: GrantedRights[] = [];
  for (const module of wanted) {
    const key = found.get(module) ?? RIGHTS[module].key;
    const commands = commandsOf(module, keys);
    const refused = await refusedCommands(connection, key, commands);
    const isWriter = commands.some((name) => WRITES.has(name) && !refused.has(name));
    const channel = isWriter ? await refusedChannel(connection, RIGHTS[module].channel?.(key)) : [];
    const missing = [...missingOf(refused, key), ...channel];
    all.push({
      module,
      reason: asked.includes(module) ? "asked" : "found",
      granted: missing.length === 0 ? "all" : isWriter ? "part" : "none",
      missing,
    });
  }
  return all;
}

/** By name of the command: whether itself is refused, or the key. */
async function refusedCommands(
  connection: RedisConnection,
  key: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, "command" | "key">> {
  const replies = await queued(
    connection,
    key,
    names.map((name) => probe(name, key)),
  );
  const refused = new Map<string, "command" | "key">();
  for (const [i, name] of names.entries()) {
    const reply = replies[i];
    if (!(reply instanceof Error)) continue;
    if (NO_PERMISSION.test(reply.message)) refused.set(name, / keys? /.test(reply.message) ? "key" : "command");
    else if (UNKNOWN.test(reply.message)) refused.set(name, "command");
  }
  return refused;
}

/** Where each command is refused for its key, the key is what is missing. */
function missingOf(refused: ReadonlyMap<string, "command" | "key">, key: string): readonly string[] {
  const commands = [...refused].flatMap(([name, what]) => (what === "command" ? [`+${name}`] : []));
  return [...refused.values()].includes("key") ? [...commands, `~${key}`] : commands;
}

/** A channel is subscribed, and left at once: no message is sent. */
async function refusedChannel(
  connection: RedisConnection,
  channel: { readonly kind: "channel" | "shard"; readonly name: string } | undefined,
): Promise<readonly string[]> {
  if (channel === undefined) return [];
  const { kind, name } = channel;
  const publish = kind === "shard" ? "SPUBLISH" : "PUBLISH";
  const replies = [
    ...(await queued(connection, name, [[publish, name, ""]])),
    await refusalOf(() => subscribeOnce(connection, kind, name)),
  ];
  const texts = replies.flatMap((reply) =>
    reply instanceof Error && NO_PERMISSION.test(reply.message) ? [reply.message] : [],
  );
  if (texts.length === 0) return [];
  return texts.some((text) => / channels? /.test(text))
    ? [`&${name}`]
    : [`+${publish.toLowerCase()}`, `+${publish.toLowerCase().replace("publish", "subscribe")}`];
}

/** The replies to commands that are queued, and discarded. @throws where a transaction is refused */
async function queued(
  connection: RedisConnection,
  key: string,
  commands: readonly (readonly string[])[],
): Promise<readonly unknown[]> {
  const exclusive = await connection.open({ role: "exclusive", key });
  return closing(exclusive, async () => {
    const [began, ...replies] = await exclusive.burst([["MULTI"], ...commands, ["DISCARD"]]);
    if (began instanceof Error) throw began;
    return replies.slice(0, -1);
  });
}

async function subscribeOnce(connection: RedisConnection, kind: "channel" | "shard", name: string): Promise<unknown> {
  const subscriber = await connection.open({ role: "subscriber", key: name });
  return closing(subscriber, () => subscriber.subscribe(kind, name, () => undefined));
}

/** Whether `CLIENT TRACKING` is allowed, on a connection that ends with the question. */
export async function probeTracking(connection: RedisConnection): Promise<boolean> {
  const exclusive = await connection.open({ role: "exclusive" });
  const refusal = await refusalOf(() => closing(exclusive, () => exclusive.call(["CLIENT", "TRACKING", "ON"])));
  return refusal === undefined;
}

async function closing<T>(opened: { close(): Promise<void> }, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    await opened.close();
  }
}

/** @throws any other error */
async function refusalOf(ask: () => Promise<unknown>): Promise<Error | undefined> {
  try {
    await ask();
    return undefined;
  } catch (error) {
    for (let cause = error; cause instanceof Error; cause = cause.cause)
      if (NO_PERMISSION.test(cause.message) || UNKNOWN.test(cause.message)) return cause;
    throw error;
  }
}

/** Valkey says the same. */
const NO_PERMISSION = /\bNOPERM\b/;
/** Services leave commands out. */
const UNKNOWN = /unknown (?:sub)?command/i;
