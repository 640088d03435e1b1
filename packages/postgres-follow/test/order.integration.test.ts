import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { follow } from "@hotset/postgres-follow";
import { redis } from "@hotset/redis";
import { startOwnPostgres, startOwnRedis, until } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import pg from "pg";
import { afterAll, expect, it } from "vitest";

const server = await startOwnPostgres({ config: ["wal_level = logical", "max_slot_wal_keep_size = 64MB"] });
const store = await startOwnRedis();
const pool = new pg.Pool({ connectionString: server.url });
await pool.query("create table items (id int primary key, version int not null)");
await pool.query("create publication items for table items");
afterAll(async () => {
  await pool.end();
  await Promise.all([server.stop(), store.stop()]);
});

/** A process of its own, as far as caches know. */
function open(): Cache {
  const cache = createCache({ name: "order" })
    .tier(memory())
    .tier(redis(store.url).valueFormat(json()).build())
    .defaults({ ttl: "1h" })
    .build();
  return cache;
}

it.each([
  ["in the process that follows", 0],
  ["in another process", 1],
])("C643: a load that read before a commit and ends after its invalidation stores nothing, %s", async (_where, of) => {
  const name = `items:${of}`;
  await pool.query("insert into items values ($1, 1)", [of]);
  await using one = open();
  await using other = open();
  await Promise.all([one.connect(), other.connect()]);
  await using follower = await follow(pool, one, {
    publication: "items",
    tables: { items: ({ id }: { readonly id: number }) => ({ tags: [`items:${id}`] }) },
    logger: { warn: () => undefined },
  });
  await until("it follows", async () => follower.stats().role === "following");
  const loader = [one, other][of]!;
  const versionOf = async (client: Pick<pg.Pool, "query">): Promise<number> =>
    (await client.query<{ readonly version: number }>("select version from items where id = $1", [of])).rows[0]!
      .version;

  // Its snapshot is taken before the commit, and its value comes after the invalidation.
  const snapshot = await pool.connect();
  await snapshot.query("begin isolation level repeatable read");
  const held = gate();
  const overtaken = loader.getOrSet(
    name,
    async () => {
      const version = await versionOf(snapshot);
      await held.pass();
      return version;
    },
    { tags: [name] },
  );
  await held.arrived();
  const { calls } = follower.stats();
  await pool.query("update items set version = 2 where id = $1", [of]);
  await until("the invalidation", async () => follower.stats().calls > calls && follower.stats().lagMs === 0);
  held.open();
  expect(await overtaken).toBe(1);
  await snapshot.query("commit");
  snapshot.release();

  let loads = 0;
  const load = (): Promise<number> => {
    loads += 1;
    return versionOf(pool);
  };
  for (const cache of [loader, one, other]) expect(await cache.getOrSet(name, load, { tags: [name] })).toBe(2);
  expect(loads).toBe(1);
});
