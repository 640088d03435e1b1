import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startOwnRedis, until, type OwnRedis } from "@hotset/test-servers";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { byId, database, following, PUBLISH, startShopServer, TABLE } from "./own-shop.ts";

const server = await startShopServer();
const [here, there] = await Promise.all([startOwnRedis(), startOwnRedis()]);
afterAll(() => Promise.all([server.stop(), here.stop(), there.stop()]));

const SETUP = `${TABLE}; create table orders (id int primary key); ${PUBLISH}, orders; insert into products values (1, 'a'); insert into orders values (1)`;

function cacheOf(name: string, store?: OwnRedis): Cache {
  const local = createCache({ name, logger: { error: () => 0, warn: () => 0, info: () => 0 } }).tier(memory());
  const tiers = store === undefined ? local : local.tier(redis(store.url).valueFormat(json()).build());
  const cache = tiers.defaults({ ttl: "1h" }).build();
  onTestFinished(() => cache.close());
  return cache;
}

const valueOf = (cache: Cache, value: string): Promise<string> =>
  cache.getOrSet("k", () => value, { tags: ["product 1"] });

describe("C645 one process follows for all that it can stand in for", () => {
  it.each<[readers: string, caches: () => readonly [Cache, Cache], slots: number]>([
    ["two caches whose names differ by a sign", () => [cacheOf("shop.eu"), cacheOf("shop-eu")], 2],
    ["two processes without a backend", () => [cacheOf("alone"), cacheOf("alone")], 2],
    ["two backends of one name", () => [cacheOf("regions", here), cacheOf("regions", there)], 2],
    ["two processes of one backend", () => [cacheOf("one", here), cacheOf("one", here)], 1],
  ])("%s", async (_readers, caches, slots) => {
    const { pool } = await database(server, SETUP);
    const both = caches();
    const followers: Awaited<ReturnType<typeof following>>["follower"][] = [];
    for (const cache of both) followers.push((await following(pool, { cache, tables: { products: byId } })).follower);
    const roles = (): readonly string[] => followers.map((follower) => follower.stats().role).toSorted();
    await until("all roles", async () => !roles().includes("connecting"));
    expect(roles()).toEqual(slots === 2 ? ["following", "following"] : ["following", "waiting"]);
    expect(new Set(followers.map((follower) => follower.stats().slot)).size).toBe(slots);
    for (const cache of both) expect(await valueOf(cache, "old")).toBe("old");
    await pool.query("update products set shelf = 'b'");
    for (const cache of both) await until("the change", async () => (await valueOf(cache, "new")) === "new");
  });

  it("two calls for one cache with other tables have a slot each", async () => {
    const { pool } = await database(server, SETUP);
    const cache = cacheOf("calls", here);
    const products = await following(pool, { cache, tables: { products: byId } });
    const orders = await following(pool, {
      cache,
      tables: { orders: ({ id }) => ({ tags: [`order ${String(id)}`] }) },
    });
    for (const { follower } of [products, orders])
      await until("both follow", async () => follower.stats().role === "following");
    await cache.getOrSet("o", () => "old", { tags: ["order 1"] });
    await pool.query("delete from orders");
    await until("the change", async () => (await cache.getOrSet("o", () => "new", { tags: ["order 1"] })) === "new");
    expect(new Set([products, orders].map(({ follower }) => follower.stats().slot)).size).toBe(2);
  });

  it("a backend that was emptied keeps its slot", async () => {
    const { pool } = await database(server, SETUP);
    const cache = cacheOf("emptied", here);
    const { follower } = await following(pool, { cache, tables: { products: byId } });
    const { slot } = follower.stats();
    await here.command("FLUSHALL");
    await until("its name", async () => Number(await here.command("EXISTS", "hotset:emptied~follow::backend")) === 1);
    expect(follower.stats()).toMatchObject({ slot, role: "following" });
  });

  it("C644: tables that were changed while no process followed are a gap", async () => {
    const { pool } = await database(server, SETUP);
    const cache = cacheOf("away", here);
    const first = await following(pool, { cache, tables: { products: byId } });
    await first.follower.close();
    await pool.query("alter table products alter column shelf type char(9)");
    const next = await following(pool, { cache, tables: { products: byId } });
    await until("a clear", async () => next.follower.stats().clears === 1);
    expect(next.warnings.at(-1)).toBe(
      "hotset: follow: everything is cleared, as changes may have been missed: tables or the publication were changed while no process followed",
    );
    await next.follower.close();
    const last = await following(pool, { cache, tables: { products: byId } });
    await until("it follows", async () => last.follower.stats().role === "following");
    expect(last.follower.stats().clears).toBe(0);
  });

  it("a process whose cache is closed leaves the slot to others", async () => {
    const { pool } = await database(server, SETUP);
    const cache = cacheOf("closed", here);
    const { follower } = await following(pool, { cache, tables: { products: byId } });
    const { slot } = follower.stats();
    await cache.close();
    await pool.query("update products set shelf = 'c'");
    await until("a free slot", async () => {
      const { rows } = await pool.query("select active from pg_replication_slots where slot_name = $1", [slot]);
      return rows[0].active === false;
    });
    const next = await following(pool, { cache: cacheOf("closed", here), tables: { products: byId } });
    await until("it follows", async () => next.follower.stats().role === "following");
    expect(next.follower.stats()).toMatchObject({ slot, clears: 0 });
  });
});
