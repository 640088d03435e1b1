/** Three orders of a change and its invalidation that go wrong by hand, and what withTransaction makes of each. */
import { forkScript, randomPrefix, startPostgres, until } from "@hotset/test-servers";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import type { Change, ShopHandlers, Step, Way } from "./histories/shop-process.ts";
import { OUTBOX, openShop } from "./shop.ts";

const prefix = randomPrefix();
const table = `orders_${prefix.replaceAll(/\W/g, "")}`;
const postgres = await startPostgres();
const servers = { redisUrl: inject("redisUrl"), prefix, postgresUrl: postgres.url, table };
const here = openShop(servers);
const there = openShop(servers);

beforeAll(async () => {
  await postgres.query(`create table ${table} (id int primary key, cents int not null)`);
  await postgres.query(OUTBOX);
});
beforeEach(async () => {
  await postgres.query(`insert into ${table} values (1, 100) on conflict (id) do update set cents = 100`);
  await here.cache.delete("product:1");
  // Nothing is stored while the record of a process that was killed stands.
  await until("both have it", async () => {
    await Promise.all([there.cents(1), here.cents(1)]);
    return (await there.cache.get("product:1")) === 100 && (await here.cache.get("product:1")) === 100;
  });
});
afterAll(async () => {
  await Promise.all([here.end(), there.end()]);
  await postgres.query(`drop table ${table}`);
  await postgres.stop();
});

const newPrice = `update ${table} set cents = 200 where id = 1`;

describe("invalidate, then commit: a reader in between puts the old row back", () => {
  it("by hand", async () => {
    const client = await here.pool.connect();
    await client.query("begin");
    await client.query(newPrice);
    await here.cache.delete("product:1");
    await until("the old row is back for all", async () => {
      expect(await there.cents(1)).toBe(100);
      return (await here.cache.get("product:1")) === 100;
    });
    await client.query("commit");
    client.release();
    expect([await here.cents(1), await there.cents(1)]).toEqual([100, 100]);
  });

  it("C745: withTransaction", async () => {
    await here.withTransaction(here.pool, async (tx, changes) => {
      changes.delete("product:1");
      await tx.query(newPrice);
      expect(await there.cents(1)).toBe(100);
    });
    expect(await here.cents(1)).toBe(200);
    await expect.poll(() => there.cents(1)).toBe(200);
  });
});

describe("commit, then invalidate: a process that dies in between leaves the old row", () => {
  const change = async (way: Way, diesAt: Step): Promise<void> => {
    const shop = forkScript<ShopHandlers>(new URL("histories/shop-process.ts", import.meta.url));
    await shop.call("begin", { ...servers, rows: 1 }, false);
    const plan: Change = { id: 1, way, diesAt, end: "commit", undone: undefined, isSerializable: false, openMs: 0 };
    await expect(shop.call("change", plan)).rejects.toThrow();
    expect(await shop.exited).toEqual({ code: null, signal: "SIGKILL" });
  };

  it("by hand", async () => {
    await change("after", "committed");
    expect(await here.centsInDatabase(1)).toBe(101);
    expect([await here.cents(1), await there.cents(1)]).toEqual([100, 100]);
  });

  it("C745: withTransaction with an outbox", async () => {
    await change("withTransaction", "committed");
    const other = forkScript<ShopHandlers>(new URL("histories/shop-process.ts", import.meta.url));
    await other.call("begin", { ...servers, rows: 1 }, false);
    await expect.poll(() => there.cents(1)).toBe(101);
    await expect.poll(() => here.cents(1)).toBe(101);
    await other.call("close");
    await other.kill();
  });
});

describe("invalidate, then roll back: the entry is gone for nothing", () => {
  it("by hand", async () => {
    const client = await here.pool.connect();
    await client.query("begin");
    await here.cache.delete("product:1");
    await client.query("rollback");
    client.release();
    expect(await here.cache.get("product:1")).toBe(undefined);
  });

  it("C745: withTransaction", async () => {
    const failed = here.withTransaction(here.pool, async (tx, changes) => {
      changes.delete("product:1");
      await tx.query(newPrice);
      throw new Error("no");
    });
    await expect(failed).rejects.toThrow("no");
    expect([await here.cache.get("product:1"), await there.cache.get("product:1")]).toEqual([100, 100]);
  });
});
