/** Changes as messages in the log of PostgreSQL, read by a process that follows it. */
import { follow } from "@hotset/postgres-follow";
import { randomPrefix, startOwnPostgres } from "@hotset/test-servers";
import { expect, inject, it } from "vitest";
import { openShop } from "./shop.ts";

it("C745: outbox: follow, a process without Redis is followed by one that has it, and a rollback by none", async () => {
  await using postgres = await startOwnPostgres({ config: ["wal_level = logical", "max_slot_wal_keep_size = 64MB"] });
  await postgres.query("create table products (id int primary key, cents int not null)");
  await postgres.query("create table others (id int primary key)");
  await postgres.query("create publication shop for table others");
  await postgres.query("insert into products values (1, 100), (2, 100)");
  const servers = {
    redisUrl: inject("redisUrl"),
    prefix: randomPrefix(),
    postgresUrl: postgres.url,
    table: "products",
  };
  // It reaches no Redis, so no change of its own reaches the other process.
  const here = openShop({ ...servers, redisUrl: "redis://127.0.0.1:1" }, () => ({ outbox: "follow" }));
  const there = openShop(servers);
  const follower = await follow(there.pool, there.cache, {
    publication: "shop",
    tables: { others: () => undefined },
    logger: { warn: () => undefined },
  });
  await expect.poll(() => follower.stats().role).toBe("following");
  expect([await there.cents(1), await there.cents(2)]).toEqual([100, 100]);
  const update = (id: number): string => `update products set cents = cents + 50 where id = ${id}`;

  const failed = here.withTransaction(here.pool, async (tx, changes) => {
    changes.delete("product:2");
    await tx.query(update(2));
    throw new Error("no");
  });
  await expect(failed).rejects.toThrow("no");
  await here.withTransaction(here.pool, async (tx, changes) => {
    changes.delete("product:1");
    await tx.query(update(1));
  });
  await expect.poll(() => there.cents(1)).toBe(150);
  expect([await there.cache.get("product:2"), follower.stats().changes]).toEqual([100, 1]);
  await follower.close();
  await Promise.all([here.end(), there.end()]);
});
