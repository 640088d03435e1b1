export {
  createRedis,
  defaultRedis,
  resetDefaultRedis,
  type Redis,
  type RedisClientStats,
  type RedisState,
} from "./redis/create-redis.ts";
export { redisAddress, type RedisAddress } from "./settings/redis-address.ts";
export type { ModuleCounts } from "./module/counts.ts";
export type { RedisEvents } from "./redis/monitor.ts";
export type { RedisOptions, TlsFiles } from "./settings/options.ts";
export type { RedisView, ViewPool } from "./commands/view.ts";
export type { CommandEvent } from "./commands/observed.ts";
export type { CallBounds } from "./commands/target.ts";
export type { Discard, Transaction, TransactionOptions, TransactionResult } from "./commands/transaction.ts";
export type { FallbackOptions } from "./commands/fallback.ts";
export type { LenientCommands } from "./commands/lenient.ts";
export type { BytesCommands, Commands, OwnBytesCommands, OwnCommands } from "./commands/own-commands.ts";
export type {
  DurationText,
  ExpireOptions,
  Fields,
  IncrOptions,
  Life,
  SetOptions,
  Writable,
} from "./commands/command-builder.ts";
export type { JsonOptions } from "./commands/json-values.ts";
export type { ScanHashOptions, ScanOptions } from "./commands/scan.ts";
export type { Recorder, Result, ResultsOf } from "./commands/pipeline.ts";
export type { Invocation } from "./commands/invocation.ts";
export type { RedisArgument } from "./keys/key-space.ts";
export { CommandError, type CommandErrorCode, type CommandErrorDetails } from "./errors/command-error.ts";
