import { SOURCES } from "../../rows/files.ts";
import type { BrokenRule } from "../mutant.ts";

const withoutCommands = (...names: readonly string[]) => ({
  file: SOURCES.named,
  rule: "const command = Object.hasOwn(commands, name) && isMethodName(name)",
  broken: `const command = Object.hasOwn(commands, name) && !${JSON.stringify(names)}.includes(name) && isMethodName(name)`,
});

export const MUTANTS: readonly BrokenRule[] = [
  {
    name: "R0-01 keys of a tenant have no prefix",
    file: "packages/redis-toolkit/src/keys/key-space.ts",
    rule: '    return (typeof name === "string" ? this.prefix + name : Buffer',
    broken: '    return (typeof name === "string" ? name : Buffer',
  },
  {
    name: "R0-02 values have no default life",
    file: SOURCES.settings,
    rule: 'defaultTtlMs: duration("defaultTtl", options.defaultTtl),',
    broken: "defaultTtlMs: undefined,",
  },
  {
    name: "R0-04 a value has no end",
    file: SOURCES.builder,
    rule: 'else if (lifeMs !== undefined) args.push("PX", String(lifeMs))',
    broken: 'else if (lifeMs === 0) args.push("PX", String(lifeMs))',
  },
  {
    name: "R0-05 a key that exists is set again",
    file: SOURCES.commands,
    rule: 'ttl: options.ttl, if: "absent" }',
    broken: "ttl: options.ttl }",
  },
  {
    name: "R0-07 each caller gets its own value back",
    file: SOURCES.scripts,
    rule: "if found then return {0, found} end",
    broken: "if found then return {0, ARGV[1]} end",
  },
  {
    name: "R0-08 a tenant does not look outside",
    file: "packages/redis-toolkit/src/commands/fallback.ts",
    rule: "const get = looked((from, key) => from.get(key));",
    broken: "const get = (key: RedisArgument) => commands.get(key);",
  },
  {
    name: "R0-09 absent keys are left out of many",
    file: SOURCES.commands,
    rule: "(reply as readonly (T | null)[]).map((value) => value ?? undefined),",
    broken: "(reply as readonly (T | null)[]).filter((value) => value !== null),",
  },
  {
    name: "R0-10 a corrupt value is a string",
    file: "packages/redis-toolkit/src/commands/json-values.ts",
    rule: "    if (!(error instanceof DecodeError)) throw error;",
    broken: "    if (error instanceof DecodeError) return bytes.toString() as T;",
  },
  {
    name: "R0-11 one value that cannot be read fails all",
    file: SOURCES.commands,
    rule: 'decodeJson("getManyJson", bytes, schema).catch((error: Error) => error)',
    broken: 'decodeJson("getManyJson", bytes, schema)',
  },
  {
    name: "R0-12 a value is written as its text",
    file: "packages/redis-toolkit/src/commands/json-values.ts",
    rule: "const bytes = Buffer.from(format.encode(value));",
    broken: "const bytes = Buffer.from(String(value));",
  },
  {
    name: "R0-13 every key exists",
    file: SOURCES.builder,
    rule: '"EXISTS", key, [], { isReadOnly: true, decode: isOne }',
    broken: '"EXISTS", key, [], { isReadOnly: true, decode: () => true }',
  },
  {
    name: "R0-14 a deletion leaves the key outside",
    file: "packages/redis-toolkit/src/commands/fallback.ts",
    rule: "await Promise.all([commands.delete(...keys), outside.delete(...keys)])",
    broken: "await Promise.all([commands.delete(...keys), 0])",
  },
  {
    name: "R0-15 of many keys the first is deleted",
    file: SOURCES.commands,
    rule: 'this.#inParts("delete", all, ',
    broken: 'this.#inParts("delete", all.slice(0, 1), ',
  },
  {
    name: "R0-16 a key without an end has none to be set",
    file: SOURCES.builder,
    rule: '"PEXPIRE", key, [String(life("expire", ttl)), ...endCondition(options)]',
    broken: '"PEXPIRE", key, [String(life("expire", ttl)), "XX"]',
  },
  {
    name: "R0-19 sums are numbers of JavaScript",
    file: SOURCES.builder,
    rule: '(typeof by === "bigint" ? BigInt(sums[i]!) : Number(sums[i]))',
    broken: '(typeof by === "bigint" ? BigInt(Number(sums[i]!)) : Math.abs(Number(sums[i])))',
  },
  {
    name: "R0-20 a scan of a hash ends with its first page",
    file: SOURCES.scan,
    rule: 'step(connection, scanning(["HSCAN", inside, cursor, ...rest], inside))',
    broken: 'cursor === "0" ? step(connection, scanning(["HSCAN", inside, cursor, ...rest], inside)) : ["0", []]',
  },
  {
    name: "R0-21 a scan asks one primary",
    file: SOURCES.scan,
    rule: "connection.each((one) => Promise.resolve(one));",
    broken: "connection.each((one) => Promise.resolve(one)).then((all) => all.slice(0, 1));",
  },
  {
    name: "R0-22 an empty hash does not fall back",
    file: "packages/redis-toolkit/src/commands/fallback.ts",
    rule: "(found) => found.size === 0,",
    broken: "(found) => found === undefined,",
  },
  { name: "R0-23 there is no sAdd", ...withoutCommands("sAdd") },
  { name: "R0-24 there is no lLen", ...withoutCommands("lLen") },
  {
    name: "R0-25 an append trims nothing",
    file: SOURCES.stream,
    rule: '...(ifExists ? ["NOMKSTREAM"] : []), ...trim, position',
    broken: '...(ifExists ? ["NOMKSTREAM"] : []), position',
  },
  {
    name: "R0-26 entries are not deleted",
    file: SOURCES.stream,
    rule: '(key) => ["XDEL", key, ...checked]',
    broken: '(key) => ["XACK", key, "none", ...checked]',
  },
  {
    name: "R0-30 a group is not destroyed",
    file: SOURCES.group,
    rule: '["XGROUP", "DESTROY", key, this.name]',
    broken: '["EXISTS", key]',
  },
  {
    name: "R0-31 a consumer that holds entries goes without a word",
    file: SOURCES.group,
    rule: "    if (held > 0)\n      this.#place.module.report(",
    broken: "    if (held > 1_000)\n      this.#place.module.report(",
  },
  {
    name: "R0-32 a group stays where it is",
    file: SOURCES.group,
    rule: '["XGROUP", "SETID", key, this.name, ...position]',
    broken: '["EXISTS", key]',
  },
  {
    name: "R0-33 entries are taken however short they were idle",
    file: SOURCES.group,
    rule: '["XCLAIM", key, this.name, taker, idle, ...checked]',
    broken: '["XCLAIM", key, this.name, taker, "0", ...checked]',
  },
  {
    name: "R0-35 counters grow although one of them is text",
    file: SOURCES.scripts,
    rule: "for done = i - 1, 1, -1 do",
    broken: "for done = 0, 1, -1 do",
  },
  {
    name: "R0-37 watched keys are not watched",
    file: "packages/redis-toolkit/src/commands/transaction.ts",
    rule: 'exclusive.call(["WATCH", ...watched], bounds)',
    broken: 'exclusive.call(["EXISTS", ...watched], bounds)',
  },
  {
    name: "R0-38 a Redis that is away for long is not reported",
    file: "packages/redis-toolkit/src/redis/monitor.ts",
    rule: 'this.#emit("unavailable", { awayMs, error });',
    broken: "",
  },
  {
    name: "R0-39 a silent connection is kept",
    file: "packages/redis/src/connection/single-link.ts",
    rule: "if (clock.now() - this.#silence.since >= Math.max(2 * responseTimeoutMs, SILENT_MS)) {",
    broken: "if (clock.now() - this.#silence.since < 0) {",
  },
  {
    name: "R0-40 RESP3 is spoken also where RESP2 was asked for",
    file: SOURCES.settings,
    rule: 'protocol: oneOf("protocol", options.protocol, [2, 3]) ?? 3,',
    broken: 'protocol: (oneOf("protocol", options.protocol, [2, 3]), 3),',
  },
];
