import { SOURCES } from "../../rows/files.ts";
import type { BrokenRule } from "../mutant.ts";

const LENIENT = "packages/redis-toolkit/src/commands/lenient.ts";

export const MUTANTS: readonly BrokenRule[] = [
  {
    name: "R2-01 a variable cannot disable Redis",
    file: SOURCES.settings,
    rule: "lookUp(environment, { ENABLE_REDIS: flag })?.value ?? true,",
    broken: "(lookUp(environment, { ENABLE_REDIS: flag }), true),",
  },
  {
    name: "R2-02 a timeout is in milliseconds",
    file: SOURCES.settings,
    rule: "  REDIS_SOCKET_TIMEOUT: timeIn(1_000),",
    broken: "  REDIS_SOCKET_TIMEOUT: timeIn(1),",
  },
  {
    name: "R2-03 each call makes an instance",
    file: SOURCES.createRedis,
    rule: "(): Redis => (shared ??= createRedis());",
    broken: "(): Redis => (shared = createRedis());",
  },
  {
    name: "R2-04 a Redis that is back is not reported",
    file: "packages/redis-toolkit/src/redis/monitor.ts",
    rule: 'this.#emit("up", { awayMs });',
    broken: "",
  },
  {
    name: "R2-05 disconnect leaves the connection open",
    file: SOURCES.createRedis,
    rule: "this.#modules.stop().then(() => this.#connection.close())",
    broken: "this.#modules.stop()",
  },
  {
    name: "R2-06 what is enabled is ready",
    file: SOURCES.createRedis,
    rule: "return this.isEnabled && this.#disconnected === undefined && this.#connection.isUp;",
    broken: "return this.isEnabled;",
  },
  {
    name: "R2-07 a disabled Redis refuses for no known reason",
    file: "packages/redis-toolkit/src/commands/run.ts",
    rule: 'code: "REDIS_DISABLED",',
    broken: 'code: "REFUSED",',
  },
  {
    name: "R2-08 a lenient command rejects",
    file: LENIENT,
    rule: "      return otherwise;",
    broken: "      throw error;",
  },
  {
    name: "R2-09 a new counter has no end",
    file: SOURCES.scripts,
    rule:
      "if isNew and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end\nreturn redis.call('GET', " +
      "KEYS[1])",
    broken: "return redis.call('GET', KEYS[1])",
  },
  {
    name: "R2-10 any field is absent",
    file: SOURCES.builder,
    rule: 'this.#onKey("HGET", key, [field], {',
    broken: 'this.#onKey("HGET", key, ["no such field"], {',
  },
  {
    name: "R2-11 falsy values are misses",
    file: SOURCES.commands,
    rule: 'return bytes === undefined ? undefined : decodeJson("getJson", bytes, schema);',
    broken: 'return bytes === undefined ? undefined : (await decodeJson("getJson", bytes, schema)) || undefined;',
  },
  {
    name: "R2-13 a session lives for a month",
    file: "packages/redis-toolkit/src/sessions/session-options.ts",
    rule: 'const { idle = "24h",',
    broken: 'const { idle = "30d",',
  },
  {
    name: "R2-15 no request is skipped",
    file: "packages/redis-toolkit/src/limits/middleware.ts",
    rule: "if ((await skip?.(request)) === true) return undefined;",
    broken: "void skip;",
  },
  {
    name: "R2-21 swallowed errors are not logged",
    file: LENIENT,
    rule: "this.#logger?.warn(`hotset: redis: ${operation} failed",
    broken: "void (`hotset: redis: ${operation} failed",
  },
];
