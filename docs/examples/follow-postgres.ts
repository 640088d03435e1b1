/**
 * A cache that follows PostgreSQL: a price that another program changes by SQL is right in the next read, and so is one
 * whose transaction names a tag. Needs a server with wal_level = logical.
 *
 *     npm install hotset @hotset/postgres-follow pg
 *     POSTGRES_URL=postgres://app@localhost/shop node follow-postgres.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { emitted, follow } from "@hotset/postgres-follow";
import { createCache, memory } from "hotset";
import pg from "pg";

interface PriceRow {
  readonly sku: string;
  readonly cents: number;
}

const pool = new pg.Pool({ connectionString: process.env["POSTGRES_URL"] });
await pool.query("CREATE TABLE prices (sku text PRIMARY KEY, cents int NOT NULL)");
await pool.query("CREATE PUBLICATION shop_cache FOR TABLE prices");
await pool.query("INSERT INTO prices VALUES ('desk', 19900), ('lamp', 4900)");

const cache = createCache({ name: "prices" }).tier(memory()).defaults({ ttl: "1h" }).build();
const follower = await follow(pool, cache, {
  publication: "shop_cache",
  tables: { prices: ({ sku }: PriceRow) => ({ tags: [`price:${sku}`] }) },
  // The slot is new, so the cache is cleared once; that is a warning.
  logger: { warn: () => undefined },
});

let queries = 0;
const priceOf = (sku: string): Promise<number> =>
  cache.getOrSet(
    `price:${sku}`,
    async () => {
      queries += 1;
      const { rows } = await pool.query<PriceRow>("SELECT cents FROM prices WHERE sku = $1", [sku]);
      return rows[0]!.cents;
    },
    { tags: ["prices", `price:${sku}`] },
  );
const show = async (when: string): Promise<void> =>
  console.log(`${when}: desk ${await priceOf("desk")}, lamp ${await priceOf("lamp")}, ${queries} queries`);
/** Waits until so many changes are read and invalidated, usually a few milliseconds. */
async function followed(changes: number): Promise<void> {
  while (follower.stats().changes < changes || follower.stats().lagMs !== 0) await sleep(5);
}

await show("loaded");
await show("cached");

// Any other program, or psql.
await pool.query("UPDATE prices SET cents = 14900 WHERE sku = 'desk'");
await followed(1);
await show("one row changed");

// A transaction that names the tag itself; if it were rolled back, nothing would happen.
const client = await pool.connect();
await client.query("BEGIN");
await client.query(emitted({ tags: ["prices"] }));
await client.query("COMMIT");
client.release();
await followed(2);
await show("a tag named");

await follower.close();
await cache.close();
// PostgreSQL frees a slot a moment after its connection has ended.
const active = "SELECT FROM pg_replication_slots WHERE slot_name ~ '^hotset_prices_' AND active";
while ((await pool.query(active)).rowCount !== 0) await sleep(5);
const { rows } = await pool.query<{ readonly dropped: string }>(
  "SELECT slot_name AS dropped, pg_drop_replication_slot(slot_name)::text FROM pg_replication_slots WHERE slot_name ~ '^hotset_prices_'",
);
console.log(`${rows.length} slot dropped`);
await pool.end();
