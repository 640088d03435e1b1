import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { transactions, type TransactionsOptions } from "@hotset/transactions";
import pg from "pg";

/** One process of a shop: its own connections, cache and transactions, over servers that all share. */
export function openShop(
  servers: { readonly redisUrl: string; readonly prefix: string; readonly postgresUrl: string; readonly table: string },
  options: (pool: pg.Pool) => TransactionsOptions = () => ({}),
) {
  const { table } = servers;
  const pool = new pg.Pool({ connectionString: servers.postgresUrl, max: 5 });
  pool.on("error", () => undefined);
  const cache: Cache = createCache({ name: "shop", logger: { error() {}, warn() {}, info() {} } })
    .tier(memory())
    .tier(redis(servers.redisUrl).keyPrefix(servers.prefix).valueFormat(json()).build())
    .defaults({ ttl: "1h", staleIfError: "1h" })
    .build();
  const centsInDatabase = async (id: number): Promise<number> => {
    const { rows } = await pool.query<{ cents: number }>(`select cents from ${table} where id = $1`, [id]);
    return rows[0]!.cents;
  };
  return {
    pool,
    cache,
    centsInDatabase,
    /** As the shop reads it. */
    cents: (id: number): Promise<number> =>
      cache.getOrSet(`product:${id}`, () => centsInDatabase(id), { tags: ["products"] }),
    /** Whether the record of another process has it. */
    async isHeld(key: string): Promise<boolean> {
      const records = cache.namespace<readonly string[]>("~transactions");
      const found = await records.getMany((await records.get("members")) ?? []);
      return [...found.values()].flat().includes(`shop::${key}`);
    },
    ...transactions(cache, options(pool)),
    async end(): Promise<void> {
      await cache.close();
      await pool.end();
    },
  };
}

export const OUTBOX = `create table if not exists hotset_outbox (
  id text primary key, cache text not null, changes text not null)`;
