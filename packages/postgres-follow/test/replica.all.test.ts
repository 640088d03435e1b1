import { chown, cp, readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { follow, type Follower } from "@hotset/postgres-follow";
import { startOwnPostgres, until } from "@hotset/test-servers";
import pg from "pg";
import { afterAll, expect, it } from "vitest";

const DELAY_MS = 1_500;
const server = await startOwnPostgres({
  config: ["wal_level = logical", "max_slot_wal_keep_size = 64MB", "max_wal_senders = 10"],
});
const primary = new pg.Pool({ connectionString: server.url });
await primary.query("create table items (id int primary key, version int not null)");
await primary.query("insert into items values (1, 1), (2, 1)");
await primary.query("create publication items for table items");
const standby = await startOwnPostgres({
  config: [
    `primary_conninfo = 'host=127.0.0.1 port=${server.port} user=hotset'`,
    `recovery_min_apply_delay = ${DELAY_MS}`,
  ],
  fill: (data) => baseBackup(data),
});
const replica = new pg.Pool({ connectionString: standby.url });
afterAll(async () => {
  await Promise.all([primary.end(), replica.end()]);
  await standby.stop();
  await server.stop();
});

/** As `pg_basebackup` does, which the programs of npm lack. */
async function baseBackup(data: string): Promise<void> {
  const client = await primary.connect();
  await client.query("select pg_backup_start('standby', true)");
  const own = /\/data\/(?:postmaster\.(?:pid|opts)|pg_replslot\/.+)$/;
  await cp(join(server.directory, "data"), data, { recursive: true, filter: (path) => !own.test(path) });
  const { rows } = await client.query<{ readonly label: string }>("select labelfile as label from pg_backup_stop()");
  client.release();
  await writeFile(join(data, "backup_label"), rows[0]!.label);
  await writeFile(join(data, "standby.signal"), "");
  // The server runs as the owner of the folder.
  const { uid, gid } = await stat(dirname(data));
  const paths = await readdir(data, { recursive: true });
  for (const path of ["", ...paths]) await chown(join(data, path), uid, gid);
}

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
