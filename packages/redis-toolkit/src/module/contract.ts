import type { Clock } from "@hotset/core";
import type { RedisConnection } from "@hotset/redis/connection";
import type { ModuleCounts } from "./counts.ts";
import type { KeySpace } from "../keys/key-space.ts";

/**
 * When `redis.disconnect()` stops it, one stage after the other: `workers` run handlers that may wait for anything,
 * `listeners` run handlers for messages, and `waits` are what handlers wait for.
 */
export type StopStage = "workers" | "listeners" | "waits";

/** The parts that a module is made of: one for each view, over the connection of all views. */
export interface Module {
  /** For waits of this process. Instants that several processes compare are the server's: `TIME`, in a script. */
  readonly clock: Clock;
  /** From 0 to 1, without 1. */
  readonly random: () => number;
  /** Every access throws a `CommandError` `REDIS_DISABLED` where Redis is disabled. */
  readonly connection: RedisConnection;
  /** Add to these what happens: `redis.stats().modules`, of all views. */
  readonly counts: { -readonly [name in keyof ModuleCounts]: number };
  /** The keys and channels of the view. */
  readonly space: KeySpace;
  /**
   * `redis.disconnect()` calls `stop` and waits for it, with all others of its stage, before it begins the next stage,
   * and closes the connection at last: bound it. Where the stage has begun, `stop` runs in the same turn, and is not
   * waited for.
   *
   * @param stage @default 'workers'
   * @returns a function that takes it back
   */
  onDisconnect(stop: () => Promise<unknown>, stage?: StopStage): () => void;
  /**
   * Trouble of work that no caller waits for: a line of `logger` for each `kind`, at most one a second; without a
   * logger one warning of Node's for each kind. Errors of others than hotset are shown by their name alone.
   */
  report(kind: string, error: unknown): void;
}

/** A view: `createRedis(...)`, and each tenant of it. */
export interface ModuleHost {
  /** @internal */
  readonly module: Module;
}
