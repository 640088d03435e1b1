import type { RedisView } from "../commands/view.ts";
import { moduleOf } from "../module/module.ts";

/**
 * Milliseconds since 1970 by the clock of Redis, by which leases, jobs and slots end.
 *
 * @throws {CommandError} where its user may not ask for the time.
 * @throws {BackendUnavailableError} where Redis is not reached.
 */
export function serverNow(redis: RedisView): Promise<number> {
  return moduleOf(redis).runInside(() => ({
    ...{ args: ["TIME"], keys: [], isReadOnly: true, replies: "text" },
    decode: (reply) => {
      const [seconds, micros] = (reply as readonly unknown[]).map(Number) as [number, number];
      return seconds * 1_000 + Math.floor(micros / 1_000);
    },
  }));
}
