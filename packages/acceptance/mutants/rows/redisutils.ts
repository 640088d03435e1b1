import { SOURCES } from "../../rows/files.ts";
import type { BrokenRule } from "../mutant.ts";

export const MUTANTS: readonly BrokenRule[] = [
  {
    name: "R3-02 pauses do not grow",
    file: "packages/redis/src/primitives/backoff.ts",
    rule: "Math.min(backoff.maxMs, backoff.baseMs * backoff.factor ** failures);",
    broken: "Math.min(backoff.maxMs, backoff.baseMs * Math.max(1, Math.min(1, failures)));",
  },
  {
    name: "R3-03 a size of the pool is not read",
    file: SOURCES.settings,
    rule: "{ REDIS_POOL_MAX_SIZE: wholeNumber(1, 10_000), REDIS_MAX_CONNECTIONS",
    broken: "{ REDIS_MAX_CONNECTIONS",
  },
  {
    name: "R3-04 the certificate of this client is not sent",
    file: SOURCES.address,
    rule:
      "    ...(cert === undefined ? undefined : { cert: readPem(cert) }),\n    ...(key === undefined ? undefined : { " +
      "key: readPem(key) }),\n",
    broken: "",
  },
  {
    name: "R3-05 retries are not read",
    file: SOURCES.settings,
    rule: "lookUp(environment, { REDIS_MAX_RETRIES: wholeNumber(0, 1_000) })?.value ??",
    broken: "",
  },
  {
    name: "R3-06 a connection that was lent does not come back",
    file: "packages/redis/src/client/pool.ts",
    rule: "    } finally {\n      this.#giveBack(connection, state);",
    broken: "    } finally {\n      void state;",
  },
  {
    name: "R3-07 a connection that died is lent again",
    file: "packages/redis/src/client/pool.ts",
    rule: "    if (index >= 0) this.#idle.splice(index, 1);\n",
    broken: "",
  },
  {
    name: "R3-09 amounts are floating-point numbers",
    file: SOURCES.scripts,
    rule: "redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])",
    broken:
      "redis.pcall('HSET', KEYS[1], ARGV[i], string.format('%.0f', (redis.call('HGET', KEYS[1], ARGV[i]) or 0) + " +
      "ARGV[i + 1]))",
  },
  {
    name: "R3-10 events are sent as their text",
    file: "packages/redis-toolkit/src/pubsub/pubsub.ts",
    rule: 'if (codec === "json") return Buffer.from(json().encode(message));',
    broken: 'if (codec === "json") return Buffer.from(String(message));',
  },
  {
    name: "R3-11 errors of commands are not counted",
    file: "packages/instruments/src/redis-instruments.ts",
    rule:
      "    if (code !== undefined) errors.add({ client, operation: recorders.has(operation) ? operation : OTHER, " +
      "code });\n",
    broken: "",
  },
  {
    name: "R3-12 the health of the image is asked for each second",
    file: "docs/examples/service/Dockerfile",
    rule: "--interval=30s",
    broken: "--interval=1s",
  },
  {
    name: "R3-13 an alert is about a metric that does not exist",
    file: "docs/operations/prometheus-alerts.yml",
    rule: "max by (cache) (cache_pending_invalidations) > 0",
    broken: "max by (cache) (cache_no_such_number) > 0",
  },
  {
    name: "R3-15 the use of the pool is not measured",
    file: "packages/instruments/src/redis-instruments.ts",
    rule: '[{ state: "in_use" }, inUse],',
    broken: "",
  },
  {
    name: "R3-16 an example prints another line",
    file: "docs/examples/basic-use.ts",
    rule: 'price ?? "absent"',
    broken: 'price ?? "none"',
  },
  {
    name: "R3-18 the user of backups may not copy a server",
    file: "docs/operations/users.acl",
    rule: "user backup on >CHANGE-ME +@connection +sync +psync +replconf",
    broken: "user backup on >CHANGE-ME +@connection",
  },
  {
    name: "R3-19 one runs alone",
    file: "docs/examples/service/kubernetes/shop.yaml",
    rule: "  replicas: 3\n",
    broken: "  replicas: 1\n",
  },
  {
    name: "R3-35 the first primary is the primary for ever",
    file: "packages/redis/src/topology/sentinel.ts",
    rule: "of addresses) {",
    broken: "of ((globalThis as { first?: readonly Address[] }).first ??= addresses)) {",
  },
  {
    name: "R3-17 text is a number",
    file: SOURCES.builder,
    rule: "  if (Number.isNaN(number))\n    throw new CommandError(",
    broken: "  if (number === Infinity)\n    throw new CommandError(",
  },
];
