import type { OwnRedis } from "./redis.ts";
import { until } from "./until.ts";

/**
 * Waits until a replica has all that `primary` has executed by now, over any connection.
 *
 * WAIT counts up to the last command of its own connection. After none, or one from before the writes, it says nothing
 * of them.
 *
 * @throws {Error} after 20 s.
 */
export async function untilReplicated(primary: OwnRedis): Promise<void> {
  await primary.command("PING");
  await until(
    `a replica of port ${primary.port} to have its writes`,
    async () => Number(await primary.command("WAIT", 1, 1_000)) > 0,
  );
}
