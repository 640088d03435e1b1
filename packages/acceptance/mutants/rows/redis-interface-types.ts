import { SOURCES } from "../../rows/files.ts";
import type { BrokenRule } from "../mutant.ts";

const TRIMMING = "packages/redis-toolkit/src/streams/trimming.ts";
const JSON_VALUES = "packages/redis-toolkit/src/commands/json-values.ts";

export const MUTANTS: readonly BrokenRule[] = [
  {
    name: "R0-85 names in replies keep the prefix",
    file: "packages/redis-toolkit/src/keys/key-space.ts",
    rule: "(name.startsWith(this.prefix) ? name.slice(this.prefix.length) : name) as T;",
    broken: "name as T;",
  },
  {
    name: "R0-86 a scan gives keys of all types",
    file: SOURCES.scan,
    rule: '...(type === undefined ? [] : ["TYPE", type]),',
    broken: "",
  },
  {
    name: "R0-87 trimming by an id is one by a length",
    file: TRIMMING,
    rule: 'maxLen === undefined ? "MINID" : "MAXLEN",',
    broken: '"MAXLEN",',
  },
  {
    name: "R0-88 trimming is never exact",
    file: TRIMMING,
    rule: 'how === "exact" ? "=" : "~",',
    broken: '"~",',
  },
  {
    name: "R0-89 bytes come as text",
    file: SOURCES.builder,
    rule: 'replies: "bytes", decode: orUndefined<Buffer> }',
    broken: "decode: orUndefined<Buffer> }",
  },
  {
    name: "R0-90 anything is written as its text",
    file: SOURCES.builder,
    rule: 'if (typeof value === "bigint" || Number.isFinite(value)) return String(value);\n  throw new',
    broken: "if (value !== undefined || operation !== undefined) return String(value);\n  throw new",
  },
  {
    name: "R0-91 an error of a setting is not one of the configuration",
    file: SOURCES.address,
    rule: "throw new ConfigurationError(`${name}: ${error.message}`);",
    broken: "throw new Error(`${name}: ${error.message}`);",
  },
  {
    name: "R0-92 an error does not name its command",
    file: SOURCES.replyError,
    rule: "    code,\n    operation,\n    retryable",
    broken: '    code,\n    operation: "REDIS",\n    retryable',
  },
  {
    name: "R0-99 a stream without entries is an error",
    file: "packages/redis-toolkit/src/streams/entry.ts",
    rule: "const pairs = reply === null ? [] : (reply as Iterable<readonly [unknown, unknown]>);",
    broken: "const pairs = reply as Iterable<readonly [unknown, unknown]>;",
  },
  {
    name: "R0-109 a value that JSON cannot carry is any error",
    file: JSON_VALUES,
    rule: "const bytes = Buffer.from(format.encode(value));",
    broken: 'const bytes = Buffer.from(JSON.stringify(value) ?? "null");',
  },
  {
    name: "R0-110 a value that is not JSON is refused for no known reason",
    file: JSON_VALUES,
    rule: 'cannot be read: ${error.message}`, {\n      code: "CORRUPT_VALUE",',
    broken: 'cannot be read: ${error.message}`, {\n      code: "REFUSED",',
  },
  {
    name: "R0-120 an absent key is null",
    file: "packages/redis-toolkit/src/commands/invocation.ts",
    rule: "export const orUndefined = <T>(reply: unknown): T | undefined => (reply === null ? undefined : (reply as T));",
    broken: "export const orUndefined = <T>(reply: unknown): T | undefined => reply as T;",
  },
  {
    name: "R0-121 any id of an entry is sent",
    file: "packages/redis-toolkit/src/streams/entry-id.ts",
    rule: "  if (isEntryId(given)) return given;\n  return refuse(option, 'an id such",
    broken: '  if (typeof given === "string") return given as EntryId;\n  return refuse(option, \'an id such',
  },
  {
    name: "R0-122 an outage is an error of the network",
    file: "packages/redis/src/primitives/faults.ts",
    rule: "new BackendUnavailableError(`${origin.tier}: ${origin.operation} was not sent: ${cause.message}`, {",
    broken: "new (Error as unknown as typeof BackendUnavailableError)(`was not sent: ${cause.message}`, {",
  },
  {
    name: "R0-123 a refused subscription is an error of the client",
    file: "packages/redis-toolkit/src/pubsub/pubsub.ts",
    rule: "throw this.#redis.errorOf(SUBSCRIBES[this.#kind], error);",
    broken: "throw error;",
  },
  {
    name: "R0-125 handlers that failed are not counted",
    file: "packages/redis-toolkit/src/pubsub/pubsub.ts",
    rule: "failures += 1;",
    broken: "",
  },
  {
    name: "R0-130 clients come back at the same time",
    file: "packages/redis/src/primitives/backoff.ts",
    rule: "  random * Math.min(",
    broken: "  (random < 0 ? 0 : 0.5) * Math.min(",
  },
  {
    name: "R0-131 locks lie among rate limits",
    file: "packages/redis-toolkit/src/locks/locks.ts",
    rule: 'prefixOf({ prefix = "lock:" }',
    broken: 'prefixOf({ prefix = "rate_limit:" }',
  },
  {
    name: "R0-133 each process has keys of its own",
    file: "packages/redis/src/builder.ts",
    rule: "new RedisKeys({ prefix: settings.keyPrefix,",
    broken: "new RedisKeys({ prefix: settings.keyPrefix + Math.random(),",
  },
];
