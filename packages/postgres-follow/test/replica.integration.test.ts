import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { follow, type Follower } from "@hotset/postgres-follow";
import { startOwnPostgres, until } from "@hotset/test-servers";

const DELAY_MS = 1_500;
const server = await startOwnPostgres({
  config: ["wal_level = logical", "max_slot_wal_keep_size = 64MB", "max_wal_senders = 10"],
});
const primary = new pg.Pool({ connectionString: server.url });
await primary.query("create table items (id int primary key, version int not null)");
await primary.query("insert into items values (1, 1), (2, 1)");
await primary.query("create publication items for table items");
const standby = await server.standby({ config: [`recovery_min_apply_delay = ${DELAY_MS}`] });
const replica = new pg.Pool({ connectionString: standby.url });
afterAll(async () => {
  await Promise.all([primary.end(), replica.end()]);
  await standby.stop();
  await server.stop();
});

it.each([
  ["without it, the old row comes back", 1, undefined, 1],
  ["more than its lag: the row that was committed is loaded", 2, 2 * DELAY_MS, 2],
])("C649: settleAfter and a loader that reads a streaming replica: %s", async (_how, id, settleAfter, last) => {
  await using cache = createCache({ name: `replica-${id}` })
    .tier(memory())
    .defaults({ ttl: "1h" })
    .build();
  await using follower = await follow(primary, cache, {
    publication: "items",
    tables: { items: (row: { readonly id: number }) => ({ tags: [`items:${row.id}`] }) },
    settleAfter,
    logger: { warn: () => undefined },
  });
  const versionAt = async (pool: pg.Pool): Promise<number> =>
    (await pool.query<{ readonly version: number }>("select version from items where id = $1", [id])).rows[0]!.version;
  const read = (): Promise<number> =>
    cache.getOrSet(`items:${id}`, () => versionAt(replica), { tags: [`items:${id}`] });
  await until("the replica is level", async () => (await versionAt(replica)) === 1);

  expect(await read()).toBe(1);
  const { calls } = follower.stats();
  await primary.query("update items set version = 2 where id = $1", [id]);
  await until("the invalidation", async () => follower.stats().calls > calls);
  // The replica is late: a load after the invalidation brings the old row back.
  expect([await versionAt(replica), await read()]).toEqual([1, 1]);
  await until("the replica has the commit", async () => (await versionAt(replica)) === 2);
  await until("all is done", async () => isDone(follower));
  expect(await read()).toBe(last);
});

const isDone = (follower: Follower): boolean => follower.stats().lagMs === 0;
