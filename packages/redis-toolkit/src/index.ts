export { createRedis, defaultRedis, resetDefaultRedis, Redis, type RedisState } from "./redis/create-redis.ts";
export type { RedisEvents } from "./redis/monitor.ts";
export type { RedisOptions, TlsFiles } from "./settings/options.ts";
export type { RedisView } from "./commands/view.ts";
export type { FallbackOptions } from "./commands/fallback.ts";
export type { LenientCommands } from "./commands/lenient.ts";
export type { Commands, OwnCommands } from "./commands/own-commands.ts";
export type { ExpireOptions, Fields, SetOptions, Writable } from "./commands/command-builder.ts";
export type { JsonOptions } from "./commands/json-values.ts";
export type { ScanHashOptions, ScanOptions } from "./commands/scan.ts";
export type { Recorder, Result, ResultsOf } from "./commands/pipeline.ts";
export type { Invocation } from "./commands/invocation.ts";
export type { RedisArgument } from "./keys/key-space.ts";
export {
  defineScript,
  type Script,
  type ScriptArgument,
  type ScriptDefinition,
  type ScriptReply,
} from "./scripts/define-script.ts";
export { CommandError, type CommandErrorCode, type CommandErrorDetails } from "./errors/command-error.ts";
