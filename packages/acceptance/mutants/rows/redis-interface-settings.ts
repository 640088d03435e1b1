import { SOURCES } from "../../rows/files.ts";
import type { BrokenRule } from "../mutant.ts";

const SINGLE_LINK = "packages/redis/src/connection/single-link.ts";

export const MUTANTS: readonly BrokenRule[] = [
  {
    name: "R0-50 the host is another one",
    file: SOURCES.address,
    rule: 'host: parts.host()?.value ?? "localhost",',
    broken: 'host: parts.host()?.value ?? "127.0.0.2",',
  },
  {
    name: "R0-51 the port is another one",
    file: SOURCES.address,
    rule: "port: parts.port()?.value ?? 6_379,",
    broken: "port: parts.port()?.value ?? 6_380,",
  },
  {
    name: "R0-52 there is a user by default",
    file: SOURCES.address,
    rule: "username: username?.value ?? fromUrl?.username,",
    broken: 'username: username?.value ?? fromUrl?.username ?? "default",',
  },
  {
    name: "R0-53 an error shows a password",
    file: SOURCES.address,
    rule: "${part.name} and ${url.name} differ; give this part once",
    broken: "${part.name} and ${url.name} differ: ${String(named)}",
  },
  {
    name: "R0-54 TLS is on by default",
    file: SOURCES.address,
    rule: "const isOn = wanted ?? isSecureUrl;",
    broken: "const isOn = wanted ?? true;",
  },
  {
    name: "R0-55 a CA file is read by default",
    file: SOURCES.address,
    rule: 'const ca = path("caPath", "REDIS_TLS_CA_PATH");',
    broken: 'const ca = path("caPath", "REDIS_TLS_CA_PATH") ?? { value: "/no/such.pem", name: "tls.caPath" };',
  },
  {
    name: "R0-56 every server is a cluster",
    file: SOURCES.address,
    rule: "    if (part === undefined || part.name !== kind?.name) return undefined;\n    if (part.value.length === 0)",
    broken:
      "    if (part === undefined || part.name !== kind?.name) return " +
      "[`redis://localhost:${this.port()?.value}`];\n    if (part.value.length === 0)",
  },
  {
    name: "R0-57 a cluster of no nodes is accepted",
    file: SOURCES.address,
    rule: "if (part.value.length === 0) throw new ConfigurationError(`${part.name} must name at least one node`);",
    broken: "",
  },
  {
    name: "R0-58 the protocol is RESP2 by default",
    file: SOURCES.settings,
    rule: 'oneOf("protocol", options.protocol, [2, 3]) ?? 3,',
    broken: 'oneOf("protocol", options.protocol, [2, 3]) ?? 2,',
  },
  {
    name: "R0-59 the pool has another size",
    file: SOURCES.settings,
    rule: "lookUp(environment, POOL_SIZE)?.value ?? 10,",
    broken: "lookUp(environment, POOL_SIZE)?.value ?? 5,",
  },
  {
    name: "R0-60 attempts to connect end after five",
    file: SINGLE_LINK,
    rule: "const isFinal = !cause.retryable || this.#failures >= retries;",
    broken: "const isFinal = !cause.retryable || this.#failures >= Math.min(5, retries);",
  },
  {
    name: "R0-61 pauses between attempts are 5 ms",
    file: SOURCES.settings,
    rule: "{ REDIS_RETRY_DELAY_MS: timeIn(1) }) ?? 100,",
    broken: "{ REDIS_RETRY_DELAY_MS: timeIn(1) }) ?? 5,",
  },
  {
    name: "R0-62 values live for five minutes by default",
    file: SOURCES.settings,
    rule: 'duration("defaultTtl", options.defaultTtl),',
    broken: 'duration("defaultTtl", options.defaultTtl) ?? 300_000,',
  },
  {
    name: "R0-63 hashes live for fifteen minutes by default",
    file: SOURCES.settings,
    rule: 'duration("defaultHashTtl", options.defaultHashTtl),',
    broken: 'duration("defaultHashTtl", options.defaultHashTtl) ?? 900_000,',
  },
  {
    name: "R0-64 a read gives ten entries by default",
    file: "packages/redis-toolkit/src/streams/limits.ts",
    rule: "export const DEFAULT_COUNT = 1;",
    broken: "export const DEFAULT_COUNT = 10;",
  },
  {
    name: "R0-65 commands of one tick leave at different times",
    file: "packages/redis-toolkit/src/commands/run.ts",
    rule: "      let reply: unknown;\n      try {",
    broken:
      "      let reply: unknown;\n      await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));\n" +
      "      try {",
  },
  {
    name: "R0-66 calls are refused under load by default",
    file: SOURCES.settings,
    rule: '["wait", "reject"]) ?? "wait",',
    broken: '["wait", "reject"]) ?? "reject",',
  },
  {
    name: "R0-67 fifty commands may be in flight",
    file: SOURCES.settings,
    rule: 'count("maxInFlight", options.maxInFlight) ?? 5_000,',
    broken: 'count("maxInFlight", options.maxInFlight) ?? 50,',
  },
  {
    name: "R0-68 a command may take half a minute",
    file: SOURCES.settings,
    rule: "environment, COMMAND_TIMEOUT) ?? 5_000;",
    broken: "environment, COMMAND_TIMEOUT) ?? 30_000;",
  },
  {
    name: "R0-70 a silent connection is kept for twenty deadlines",
    file: SINGLE_LINK,
    rule: "Math.max(2 * responseTimeoutMs, SILENT_MS)) {",
    broken: "Math.max(20 * responseTimeoutMs, SILENT_MS)) {",
  },
  {
    name: "R0-71 Redis is looked at every 20 ms",
    file: SOURCES.settings,
    rule: "?? Math.min(2_000, unavailableAfterMs);",
    broken: "?? Math.min(20, unavailableAfterMs);",
  },
  {
    name: "R0-72 320 messages wait for a reader",
    file: "packages/redis-toolkit/src/pubsub/pubsub.ts",
    rule: "const DEFAULT_BUFFER = 32;",
    broken: "const DEFAULT_BUFFER = 320;",
  },
  {
    name: "R0-73 Redis is lost after 50 s",
    file: SOURCES.settings,
    rule: 'duration("unavailableAfter", options.unavailableAfter) ?? 5_000;',
    broken: 'duration("unavailableAfter", options.unavailableAfter) ?? 50_000;',
  },
  {
    name: "R0-74 a blank host is accepted",
    file: SOURCES.address,
    rule: "{ REDIS_HOST: word }",
    broken: "{ REDIS_HOST: (_name: string, text: string) => text.trim() }",
  },
  {
    name: "R0-75 a blank password is accepted",
    file: SOURCES.environment,
    rule:
      '  if (text.trim() === "") throw new ConfigurationError(`${name} must not be blank; leave it out`);\n  return ' +
      "text;",
    broken: "  return text;",
  },
  {
    name: "R0-76 a user without a password is accepted",
    file: SOURCES.address,
    rule: "if (username !== undefined && password === undefined && fromUrl?.password === undefined)",
    broken: "if (username !== undefined && password === undefined && fromUrl?.password === null)",
  },
  {
    name: "R0-77 a blank CA path is read",
    file: SOURCES.address,
    rule: 'if (typeof value !== "string" || value.trim() === "")',
    broken: 'if (typeof value !== "string")',
  },
  {
    name: "R0-78 a CA path without TLS is ignored",
    file: SOURCES.address,
    rule: "if (!isOn && files.names.length > 0)",
    broken: "if (!isOn && files.names.length > 9)",
  },
  {
    name: "R0-79 TLS files are read at the first connection",
    file: SOURCES.address,
    rule: "const first = read();",
    broken: "const first: TlsOptions = {};",
  },
  {
    name: "R0-80 a list of nodes may be empty",
    file: SOURCES.environment,
    rule: 'return parts.length > 0 ? parts : refuse(name, text, "at least one address");',
    broken: "return parts;",
  },
  {
    name: "R0-82 a look may come later than the report",
    file: SOURCES.settings,
    rule: "if (checkIntervalMs > unavailableAfterMs)",
    broken: "if (checkIntervalMs > Number(Infinity))",
  },
];
