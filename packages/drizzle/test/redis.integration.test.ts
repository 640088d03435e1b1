import { createCache } from "@hotset/core";
import { drizzleCache } from "@hotset/drizzle";
import { v8 } from "@hotset/formats";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { randomPrefix, startPostgres } from "@hotset/test-servers";
import { TestClock } from "@hotset/testing";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { customType, integer, jsonb, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, it } from "vitest";

const prefix = randomPrefix();
const name = `users_${prefix.replaceAll(/\W/g, "")}`;
const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const users = pgTable(name, {
  id: integer().primaryKey(),
  name: text(),
  ...{ photo: bytea(), seen: jsonb(), at: timestamp({ withTimezone: true }) },
});

/** One for each process. */
function newDatabase(url: string) {
  const pool = new pg.Pool({ connectionString: url });
  const clock = new TestClock();
  const cache = createCache({ name: "shop" })
    .tier(memory())
    .tier(redis(inject("redisUrl")).keyPrefix(prefix).valueFormat(v8()).responseTimeout("15s").build())
    .build();
  const rows = drizzleCache(cache, { strategy: "all", clock });
  const db = rows.watch(drizzle(pool, { cache: rows }));
  const nameOf = async (id: number) => (await db.select().from(users).where(eq(users.id, id)))[0]?.name;
  return { db, clock, nameOf, close: () => Promise.all([cache.close(), pool.end()]) };
}

const postgres = await startPostgres();
const [here, there] = [newDatabase(postgres.url), newDatabase(postgres.url)];
beforeAll(async () => {
  await postgres.query(`create table ${name} (id int primary key, name text, photo bytea, seen jsonb, at timestamptz)`);
});
afterAll(async () => {
  await Promise.all([here.close(), there.close()]);
  await postgres.query(`drop table ${name}`);
  await postgres.stop();
});

const row = { name: "Ada", photo: Buffer.from([0, 255]), seen: { pages: [1, null] }, at: new Date(1_700_000_000_123) };

it("C595: rows of one process are those of the other, each type equal, and a write in one ends them in both", async () => {
  await here.db.insert(users).values({ id: 1, ...row });
  here.clock.advance("2s");
  await expect.poll(() => there.nameOf(1)).toBe("Ada");
  await postgres.query(`update ${name} set name = 'unseen' where id = 1`);
  const [cached] = await there.db.select().from(users).where(eq(users.id, 1));
  expect(cached).toEqual({ id: 1, ...row });
  await expect.poll(() => here.nameOf(1)).toBe("Ada");
  await there.db.update(users).set({ name: "Bob" }).where(eq(users.id, 1));
  there.clock.advance("2s");
  await expect.poll(() => here.nameOf(1)).toBe("Bob");
  expect(await there.nameOf(1)).toBe("Bob");
});

it("C595: rows of a transaction that is rolled back are cached nowhere; those of one that commits reach both", async () => {
  await here.db.insert(users).values({ id: 2, ...row });
  here.clock.advance("2s");
  await expect.poll(() => there.nameOf(2)).toBe("Ada");
  for (const isCommitted of [false, true]) {
    const transaction = here.db.transaction(async (tx) => {
      await tx.update(users).set({ name: "Bob" }).where(eq(users.id, 2));
      expect((await tx.select().from(users).where(eq(users.id, 2)))[0]?.name).toBe("Bob");
      // Uncommitted rows are not seen, and the older ones are cached again.
      expect([await here.nameOf(2), await there.nameOf(2)]).toEqual(["Ada", "Ada"]);
      if (!isCommitted) tx.rollback();
    });
    expect(await transaction.catch(String)).toBe(isCommitted ? undefined : "DrizzleError: Rollback");
    here.clock.advance("2s");
    await expect.poll(() => there.nameOf(2)).toBe(isCommitted ? "Bob" : "Ada");
    await expect.poll(() => here.nameOf(2)).toBe(isCommitted ? "Bob" : "Ada");
  }
});
