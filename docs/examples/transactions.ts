/**
 * Changes of the cache that belong to a database transaction: made if it commits, and not if it is rolled back. Nothing
 * that is loaded while it is open is stored, so no reader puts the old row back.
 *
 *     npm install hotset @hotset/transactions pg
 *     POSTGRES_URL=postgres://app@localhost/shop node transactions.ts
 */
import { transactions } from "@hotset/transactions";
import { createCache, memory } from "hotset";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env["POSTGRES_URL"] });
await pool.query("CREATE TABLE accounts (name text PRIMARY KEY, cents int NOT NULL CHECK (cents >= 0))");
await pool.query("INSERT INTO accounts VALUES ('ada', 500), ('bob', 100)");

// .tier(redis("redis://localhost:6379").build()) adds Redis, for all processes
const cache = createCache({ name: "bank" }).tier(memory()).defaults({ ttl: "1h" }).build();
const { withTransaction } = transactions(cache);

const balance = (name: string): Promise<number> =>
  cache.getOrSet(`account:${name}`, async () => {
    const { rows } = await pool.query<{ cents: number }>("SELECT cents FROM accounts WHERE name = $1", [name]);
    return rows[0]!.cents;
  });

/** @param meanwhile runs while the transaction is open. */
async function transfer(from: string, to: string, cents: number, meanwhile?: () => Promise<void>): Promise<void> {
  await withTransaction(pool, async (tx, changes) => {
    changes.delete(`account:${from}`, `account:${to}`);
    await tx.query("UPDATE accounts SET cents = cents + $2 WHERE name = $1", [to, cents]);
    await meanwhile?.();
    await tx.query("UPDATE accounts SET cents = cents - $2 WHERE name = $1", [from, cents]);
  });
}

const show = async (when: string): Promise<void> =>
  console.log(`${when}: ada ${await balance("ada")}, bob ${await balance("bob")}`);

await cache.getOrSet("account:ada", () => 500);
await transfer("ada", "bob", 200, async () => {
  await show("open");
  console.log(`stored: ada ${await cache.has("account:ada")}, bob ${await cache.has("account:bob")}`);
});
await show("committed");

await transfer("ada", "bob", 900).catch((error: Error) => console.log(error.message.split('"')[3]));
await show("rolled back");

await cache.close();
await pool.query("DROP TABLE accounts");
await pool.end();
