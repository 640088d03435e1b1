import { hashSlot, type RedisConnection } from "@hotset/redis-toolkit/connection";

/** In a cluster a key of each primary, by which it is reached. */
export async function keysOfPrimaries(connection: RedisConnection): Promise<readonly (string | undefined)[]> {
  if (!connection.isCluster) return [undefined];
  const ranges = (await connection.call(["CLUSTER", "SLOTS"], { isReadOnly: true })) as readonly (readonly [
    first: number,
    last: number,
    primary: readonly [host: Buffer, port: number],
  ])[];
  const slots = new Map(ranges.map(([first, , [host, port]]) => [`${String(host)}:${port}`, first]));
  const wanted = new Set(slots.values());
  const keys: string[] = [];
  for (let i = 0; wanted.size > 0; i += 1) if (wanted.delete(hashSlot(`watch:${i}`))) keys.push(`watch:${i}`);
  return keys;
}
