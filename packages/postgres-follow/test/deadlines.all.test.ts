import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startOwnRedis, startProxy, until, type OwnRedis } from "@hotset/test-servers";
import pg from "pg";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { byId, database, ended, following, PUBLISH, startShopServer, TABLE } from "./own-shop.ts";

const server = await startShopServer();
afterAll(() => server.stop());

const SETUP = `${TABLE}; ${PUBLISH}; create table jobs (id int)`;
const tables = { products: byId };
const silence = "1s";

/** 10 s, as the guide says, and some time of a busy machine. */
const seen = (what: string, isSeen: () => boolean): Promise<boolean> => until(what, async () => isSeen());

describe("C649 each step of a follower has a deadline", () => {
  it("a pool without a free connection holds up nothing", async () => {
    const { pool } = await database(server, SETUP);
    const place = await following(pool, { tables, silence });
    const held = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
    await server.query("select pg_sleep(2.5)");
    const client = held[0];
    await client.query("insert into products values (1, 'a')");
    await seen("the change", () => place.cache.tags.includes("product 1"));
    expect(place.follower.stats()).toMatchObject({ role: "following", error: undefined });
    for (const each of held) each.release();
  });

  it("a connection that goes silent while the slot is opened is given up", async () => {
    const { pool, name } = await database(server, SETUP);
    const proxy = await startProxy(server.port);
    onTestFinished(() => proxy.close());
    const own = new pg.Pool({ connectionString: `postgres://hotset@127.0.0.1:${proxy.port}/${name}` });
    own.on("error", () => undefined);
    onTestFinished(() => own.end());
    const place = await following(own, { tables, silence });
    await ended({ ...place, pool });
    proxy.swallow();
    await pool.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hotset follow'");
    await until("the loss", async () => place.follower.stats().role === "connecting");
    await pool.query("insert into products values (1, 'a')");
    await proxy.pass();
    await seen("the change", () => place.cache.tags.includes("product 1"));
    expect(place.follower.stats()).toMatchObject({ role: "following", error: undefined });
  });

  it("a cache that acknowledges nothing is left to a process whose cache does", async () => {
    const { pool } = await database(server, SETUP);
    const first = await following(pool, { tables, silence });
    await ended(first);
    first.cache.answers = () => false;
    await pool.query("insert into products values (1, 'a')");
    await until("three calls", async () => first.cache.calls > 3);
    // Alone it keeps trying.
    expect(first.follower.stats().role).toBe("following");
    const other = await following(pool, { tables, silence });
    await seen("the change", () => other.cache.tags.includes("product 1"));
    expect(other.follower.stats().clears).toBe(0);
    await until("the other one waits", async () => first.follower.stats().role === "waiting");
  });

  it("a slot that is lost behind an open transaction is a clear before it, again and again, and one after it", async () => {
    const { pool } = await database(server, SETUP);
    const place = await following(pool, { tables, silence });
    const job = await pool.connect();
    await job.query("begin; insert into jobs values (1)");
    const { slot } = place.follower.stats();
    await until("a drop", async () => {
      await pool.query("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1", [
        slot,
      ]);
      await pool.query("select pg_drop_replication_slot($1)", [slot]);
      return true;
    });
    const before = place.cache.clears;
    await until("three clears", async () => place.cache.clears >= before + 3);
    expect(place.warnings.at(-1)).toBe(
      `hotset: follow: everything is cleared, as changes may have been missed: the slot ${slot} does not exist, and a new slot waits for the transactions that are open`,
    );
    await job.query("commit");
    job.release();
    await until("it follows", async () => place.follower.stats().role === "following");
    expect(place.warnings.at(-1)).toBe(
      `hotset: follow: everything is cleared, as changes may have been missed: the slot ${slot} does not exist`,
    );
    expect(await ended(place, "insert into products values (2, 'a')")).toEqual(["product 2"]);
  });

  it("a process that is frozen while it makes a slot loses its turn", async () => {
    const { pool } = await database(server, SETUP);
    const job = await pool.connect();
    await job.query("begin; insert into jobs values (1)");
    const proxy = await startProxy(server.port);
    onTestFinished(() => proxy.close());
    const own = new pg.Pool({
      connectionString: String(pool.options.connectionString).replace(/:\d+\//, `:${proxy.port}/`),
    });
    own.on("error", () => undefined);
    onTestFinished(() => own.end());
    const slot = `frozen${proxy.port}`;
    const frozen = following(own, { tables, slot, silence }).catch(() => undefined);
    await until("it waits", async () => {
      const { rows } = await pool.query(
        "select 1 from pg_stat_activity where query like '%pg_create_logical%' and state = 'active' and application_name = 'hotset follow'",
      );
      return rows.length === 1;
    });
    // As a process that is stopped: it sends nothing, and its connections stay.
    proxy.stall();
    const started = following(pool, { tables, slot, silence });
    await job.query("commit");
    job.release();
    const place = await started;
    await until("it follows", async () => place.follower.stats().role === "following");
    expect(await ended(place, "insert into products values (1, 'a')")).toEqual(["product 1"]);
    await proxy.pass();
    await frozen;
  });

  it("a log that is silent since PostgreSQL decodes what is of others is not given up", async () => {
    const { pool } = await database(
      server,
      `${SETUP}; create materialized view report as select i as id, md5(i::text) as text from generate_series(1, 1500000) as i with no data`,
    );
    const place = await following(pool, { tables, silence });
    await ended(place);
    await pool.query("refresh materialized view report");
    await pool.query("insert into products values (1, 'a')");
    await seen("the change", () => place.cache.tags.includes("product 1"));
    expect(place.warnings.filter((text) => text.includes("not followed"))).toEqual([]);
  });
});

describe("C645 a backend that was copied with its name", () => {
  it("gets a slot of its own", async () => {
    const [one, copy] = await Promise.all([startOwnRedis(), startOwnRedis()]);
    onTestFinished(async () => void (await Promise.all([one.stop(), copy.stop()])));
    const cacheOf = (store: OwnRedis): Cache => {
      const cache = createCache({ name: "copied", logger: { error: () => 0, warn: () => 0, info: () => 0 } })
        .tier(memory())
        .tier(redis(store.url).valueFormat(json()).build())
        .defaults({ ttl: "1h" })
        .build();
      onTestFinished(() => cache.close());
      return cache;
    };
    const { pool } = await database(server, SETUP);
    const first = await following(pool, { cache: cacheOf(one), tables });
    await one.command("MIGRATE", copy.host, copy.port, "hotset:copied~follow::backend", 0, 1_000, "COPY");
    const cache = cacheOf(copy);
    const second = await following(pool, { cache, tables });
    expect(second.follower.stats()).toMatchObject({ role: "waiting", slot: first.follower.stats().slot });
    await until("its slot", async () => second.follower.stats().role === "following");
    expect(second.follower.stats().slot).not.toBe(first.follower.stats().slot);
    expect(second.warnings[0]).toContain("does not reach the backend of this cache, which may be a copy");
    await cache.getOrSet("k", () => "old", { tags: ["product 1"] });
    await pool.query("insert into products values (1, 'a')");
    await until("the change", async () => (await cache.getOrSet("k", () => "new", { tags: ["product 1"] })) === "new");
    expect(first.follower.stats()).toMatchObject({ role: "following", clears: 1 });
  });
});
