import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { emitted, follow, type Follower, type FollowOptions } from "@hotset/postgres-follow";
import { startOwnPostgres, until, type OwnPostgres } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import pg from "pg";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { Recorder } from "./recorder.ts";

const CONFIG = [
  "wal_level = logical",
  "max_slot_wal_keep_size = 64MB",
  "max_wal_senders = 40",
  "max_replication_slots = 40",
];

const server = await startOwnPostgres({ config: CONFIG });
afterAll(() => server.stop());

type Product = { readonly id: number; readonly shelf: string; readonly text: string | null };
type Rows = { readonly products: Product };

const byId = ({ id }: Product) => ({ tags: [`product ${id}`] });
const byShelf = ({ id, shelf }: Product) => ({ tags: [`product ${id}`, `shelf ${shelf}`] });

let databases = 0;

/** A database with a table `products` and a publication of it. */
async function shop(of: OwnPostgres = server): Promise<pg.Pool> {
  const name = `shop${(databases += 1)}`;
  await of.query(`create database ${name}`);
  const pool = new pg.Pool({ connectionString: of.url.replace(/postgres$/, name), max: 5 });
  pool.on("error", () => undefined);
  onTestFinished(() => pool.end());
  await pool.query("create table products (id int primary key, shelf text not null, text text)");
  await pool.query("create publication hotset for table products");
  return pool;
}

const warnings: string[] = [];
const logger = { warn: (text: string): void => void warnings.push(text) };

async function following(
  pool: pg.Pool,
  cache: Recorder,
  options: Partial<FollowOptions<Rows>> = {},
): Promise<Follower> {
  const slot = `hotset_${String(pool.options.connectionString).split("/").at(-1)}`;
  const tables = { products: byId };
  const follower = await follow<Rows>(pool, cache, { publication: "hotset", slot, tables, logger, ...options });
  cache.isDone = () => follower.stats().lagMs === 0;
  onTestFinished(() => follower.close());
  return follower;
}

/** A commit that queries do not see yet is invalidated again once they do (C643), so each clear may come twice. */
function expectClears(cache: Recorder, before: number, count: number): void {
  expect(cache.clears - before).toBeGreaterThanOrEqual(count);
  expect(cache.clears - before).toBeLessThanOrEqual(2 * count);
}

let marks = 0;

/** The tags and keys that the statements end. */
async function ended(pool: pg.Pool, cache: Recorder, ...statements: readonly string[]): Promise<readonly string[]> {
  for (const statement of statements) await pool.query(statement);
  // A new one each time: after a crash older ones arrive again.
  const mark = `mark ${(marks += 1)}`;
  await pool.query(emitted({ tags: [mark] }));
  return cache.until(mark);
}

describe("rules", () => {
  it("C640: rows that another program inserts, updates and deletes end their tags and keys", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await following(pool, cache, {
      tables: { products: ({ id }, _old, kind) => ({ tags: [`${kind} ${id}`], keys: [`products/${id}`] }) },
    });
    expect(await ended(pool, cache, "insert into products values (1, 'a')")).toEqual(["insert 1", "key products/1"]);
    expect(await ended(pool, cache, "update products set shelf = 'b'")).toEqual(["update 1", "key products/1"]);
    expect(await ended(pool, cache, "delete from products")).toEqual(["delete 1", "key products/1"]);
    expect(await ended(pool, cache, "begin; insert into products values (2, 'a'); rollback")).toEqual([]);
  });

  it("C640: a changed primary key ends the entries of both, and its rule gets the older one", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    const olds: unknown[] = [];
    await following(pool, cache, { tables: { products: (row, old) => (olds.push(old), byId(row)) } });
    await ended(pool, cache, "insert into products values (1, 'a')");
    olds.splice(0);
    expect(await ended(pool, cache, "update products set id = 2")).toEqual(["product 2", "product 1"]);
    expect(olds).toEqual([{ id: 1 }, undefined]);
  });

  it("C640: under REPLICA IDENTITY FULL a row that moves ends the tags of both places", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await pool.query("alter table products replica identity full");
    await following(pool, cache, { tables: { products: byShelf } });
    await ended(pool, cache, "insert into products values (1, 'a')");
    expect((await ended(pool, cache, "update products set shelf = 'b'")).toSorted()).toEqual([
      "product 1",
      "shelf a",
      "shelf b",
    ]);
    expect(await ended(pool, cache, "delete from products")).toEqual(["product 1", "shelf b"]);
  });

  it("C640: TRUNCATE clears, or ends the tags that its table names", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    const follower = await following(pool, cache);
    const before = cache.clears;
    await ended(pool, cache, "truncate products");
    expectClears(cache, before, 1);
    await follower.close();
    await following(pool, cache, {
      tables: { products: { changed: byId, truncated: { tags: ["all products"] } } },
    });
    const after = cache.clears;
    expect(await ended(pool, cache, "truncate products")).toEqual(["all products"]);
    expect(cache.clears).toBe(after);
  });

  it("C640: a large column that did not change is not taken for an empty one", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await pool.query("alter table products alter column text set storage external");
    await following(pool, cache, { tables: { products: ({ id, text }) => ({ tags: [`${id} ${text?.length}`] }) } });
    await ended(pool, cache, "insert into products values (1, 'a', repeat('x', 9000))");
    const before = cache.clears;
    expect(await ended(pool, cache, "update products set shelf = 'b'")).toEqual([]);
    expectClears(cache, before, 1);
    expect(warnings.at(-1)).toContain(
      'the rule of public.products failed, so everything is cleared: MissingColumnError: the log does not have the column "text"',
    );
    const cleared = cache.clears;
    await pool.query("alter table products replica identity full");
    // A condition that changed while it follows is a gap.
    await until("the clear of the new identity", async () => cache.clears === cleared + 1);
    expect(await ended(pool, cache, "update products set shelf = 'c'")).toEqual(["1 9000"]);
    expect(cache.clears).toBe(cleared + 1);
  });

  it("C640: rows of partitions are those of their table, also if they move", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await pool.query(
      "create table parts (id int, region int, primary key (id, region)) partition by list (region); create table parts_1 partition of parts for values in (1); create table parts_2 partition of parts for values in (2); create publication parts for table parts with (publish_via_partition_root = true)",
    );
    const follower = await follow(pool, cache, {
      publication: "parts",
      slot: `parts${databases}`,
      tables: {
        parts: ({ id, region }: { readonly id: number; readonly region: number }) => ({ tags: [`${id}/${region}`] }),
      },
      logger,
    });
    onTestFinished(() => follower.close());
    expect(await ended(pool, cache, "insert into parts values (1, 1)")).toEqual(["1/1"]);
    expect((await ended(pool, cache, "update parts set region = 2")).toSorted()).toEqual(["1/1", "1/2"]);
  });

  it("C641: a message commits with its transaction, and needs no table", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await following(pool, cache, { messages: "shop" });
    const client = await pool.connect();
    for (const end of ["rollback", "commit"]) {
      await client.query("begin");
      await client.query(emitted({ tags: [`prices ${end}`], keys: ["page"] }, "shop"));
      await client.query(emitted({ tags: ["of another program"] }));
      await client.query(end);
    }
    client.release();
    await pool.query(emitted({ tags: ["mark"] }, "shop"));
    expect(await cache.until("mark")).toEqual(["prices commit", "key page"]);
  });

  it("C641: a message that is none, and a rule that throws, clear everything and say so", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await following(pool, cache, {
      tables: {
        products: ({ id }) => {
          if (id === 7) throw new Error("seven");
          return { tags: [`product ${id}`] };
        },
      },
    });
    const before = cache.clears;
    await ended(pool, cache, "select pg_logical_emit_message(true, 'hotset', '[\"a\"]')");
    expect(warnings.at(-1)).toContain("a message with the prefix hotset failed, so everything is cleared");
    expect(await ended(pool, cache, "insert into products values (7, 'a')")).toEqual([]);
    expect(warnings.at(-1)).toContain("the rule of public.products failed, so everything is cleared: Error");
    expect(warnings.at(-1)).not.toContain("seven");
    expectClears(cache, before, 2);
  });

  it("C640: a table that was renamed, or made again, keeps its rule", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await following(pool, cache);
    await pool.query("alter table products rename to goods");
    expect(await ended(pool, cache, "insert into goods values (1, 'a')")).toEqual(["product 1"]);
    await pool.query(
      "drop table goods; create table products (id int primary key, shelf text); alter publication hotset add table products",
    );
    expect(await ended(pool, cache, "insert into products values (2, 'a')")).toEqual(["product 2"]);
  });
});

describe("exact", () => {
  const positionIn = async (pool: pg.Pool): Promise<string> => {
    const { rows } = await pool.query<{ readonly at: string }>(
      "select confirmed_flush_lsn::text as at from pg_replication_slots where database = current_database()",
    );
    return rows[0]!.at;
  };
  const isBefore = async (pool: pg.Pool, at: string, other: string): Promise<boolean> =>
    (await pool.query<{ readonly is: boolean }>("select $1::pg_lsn < $2::pg_lsn as is", [at, other])).rows[0]!.is;
  const here = async (pool: pg.Pool): Promise<string> =>
    (await pool.query<{ readonly at: string }>("select pg_current_wal_lsn()::text as at")).rows[0]!.at;

  it("C642: a position is confirmed after the invalidation was acknowledged, not while it is pending", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    const follower = await following(pool, cache);
    await ended(pool, cache);
    cache.answers = () => false;
    const before = await here(pool);
    await pool.query("insert into products values (1, 'a')");
    await until("three calls", async () => cache.tags.length >= 3);
    await pool.query("insert into products values (2, 'a')");
    // Signs of life of the server, which ask for the position.
    await until("the lag", async () => (follower.stats().lagBytes ?? 0) > 0);
    expect(await isBefore(pool, await positionIn(pool), await here(pool))).toBe(true);
    expect(follower.stats().lagMs).toBeGreaterThan(0);
    const after = await here(pool);
    cache.answers = () => true;
    await until("the position", async () => !(await isBefore(pool, await positionIn(pool), after)));
    expect(await isBefore(pool, before, await positionIn(pool))).toBe(true);
    expect(follower.stats().lagMs).toBe(0);
  });

  it("C642: what was not acknowledged is replayed by the next follower", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    const follower = await following(pool, cache);
    await ended(pool, cache);
    cache.answers = () => false;
    await pool.query("insert into products values (1, 'a')");
    await until("a call", async () => cache.tags.length > 0);
    await follower.close();
    await pool.query("insert into products values (2, 'a')");
    const next = new Recorder();
    await following(pool, next);
    expect((await ended(pool, next)).toSorted()).toEqual(["product 1", "product 2"]);
    expect(next.clears).toBe(0);
  });

  it("C642: of two commits side by side in the log, confirming one leaves the other", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    const follower = await following(pool, cache);
    await ended(pool, cache);
    const [one, other] = [await pool.connect(), await pool.connect()];
    await one.query("begin; insert into products values (1, 'a')");
    await other.query("begin; insert into products values (2, 'a')");
    await one.query("commit");
    const at = await here(pool);
    await until("the position", async () => !(await isBefore(pool, await positionIn(pool), at)));
    // Nothing was written since: this commit begins where the other one ended.
    cache.answers = () => false;
    await other.query("commit");
    one.release();
    other.release();
    await until("a call", async () => cache.tags.includes("product 2"));
    await follower.close();
    const next = new Recorder();
    await following(pool, next);
    expect(await ended(pool, next)).toEqual(["product 2"]);
  });

  it("C642: the log of tables without rules is confirmed, too", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await following(pool, cache);
    await pool.query("create table other (id int)");
    await pool.query("insert into other select generate_series(1, 10000)");
    const at = await here(pool);
    expect(await isBefore(pool, await positionIn(pool), at)).toBe(true);
    await until("the position", async () => !(await isBefore(pool, await positionIn(pool), at)));
  });

  it("C643: a commit that others do not see yet is invalidated again once they do", async () => {
    const own = await startOwnPostgres({
      config: [...CONFIG, "synchronous_standby_names = 'nowhere'", "synchronous_commit = local"],
    });
    onTestFinished(() => own.stop());
    const [pool, cache] = [await shop(own), new Recorder()];
    await following(pool, cache);
    await ended(pool, cache);
    const client = await pool.connect();
    await client.query("set synchronous_commit = on");
    // It waits for a replica that does not exist: written to the log, and seen by no other session.
    const commit = client.query("insert into products values (1, 'a')");
    await until("the first", async () => cache.tags.length === 1);
    expect((await pool.query("select id from products")).rows).toEqual([]);
    expect(cache.tags).toEqual(["product 1"]);
    await own.query("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
    await commit;
    client.release();
    await until("the second", async () => cache.tags.length === 2);
    expect(cache.tags).toEqual(["product 1", "product 1"]);
  });

  it("C643: settleAfter invalidates again, and confirms after that", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await following(pool, cache, { settleAfter: 700 });
    const before = performance.now();
    await pool.query("insert into products values (1, 'a')");
    const at = await here(pool);
    await until("the first", async () => cache.tags.length === 1);
    expect(await isBefore(pool, await positionIn(pool), at)).toBe(true);
    // A connection that is made again brings the first once more.
    const isSettled = (): boolean => cache.tagsAt.some((taggedAt) => taggedAt - before >= 700);
    await until("the second", async () => isSettled());
    await until("the position", async () => !(await isBefore(pool, await positionIn(pool), at)));
    expect(new Set(cache.tags)).toEqual(new Set(["product 1"]));
  });
});

describe("gaps", () => {
  it("C644: a slot that was dropped is a clear, said in a warning, and no change after it is missed", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    const follower = await following(pool, cache);
    await follower.close();
    const drop = `select pg_drop_replication_slot('${follower.stats().slot}')`;
    await until("the slot, which the server frees a little later", () => pool.query(drop));
    await pool.query("insert into products values (1, 'a')");
    const next = new Recorder();
    await following(pool, next);
    expect(next.clears).toBe(1);
    expect(warnings.at(-1)).toBe(
      `hotset: follow: everything is cleared, as changes may have been missed: the slot ${follower.stats().slot} does not exist`,
    );
    expect(await ended(pool, next, "insert into products values (2, 'a')")).toEqual(["product 2"]);
  });

  it("C644: a follower that ends before its clear is acknowledged leaves no slot", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    const held = gate();
    cache.clear = async () => {
      await held.pass();
      return { status: "done" };
    };
    const client = await pool.connect();
    const started = following(pool, cache).catch(() => undefined);
    await until("the clear", async () => held.waiting > 0);
    const temporary = await client.query(
      "select temporary from pg_replication_slots where database = current_database()",
    );
    expect(temporary.rows).toEqual([{ temporary: true }]);
    // Waits until it has ended: its slot goes with it.
    await client.query(
      "select pg_terminate_backend(active_pid, 60000) from pg_replication_slots where database = current_database()",
    );
    held.open();
    await started;
    expect((await client.query("select 1 from pg_replication_slots where database = current_database()")).rows).toEqual(
      [],
    );
    client.release();
  });

  it("C644: a follower that stops fills no disk: beyond max_slot_wal_keep_size its return is a clear", async () => {
    const own = await startOwnPostgres({
      config: [...CONFIG, "max_slot_wal_keep_size = 1MB", "max_wal_size = 32MB", "min_wal_size = 32MB"],
    });
    onTestFinished(() => own.stop());
    const [pool, cache] = [await shop(own), new Recorder()];
    const follower = await following(pool, cache);
    await follower.close();
    for (let segment = 0; segment < 6; segment += 1)
      await pool.query(`insert into products values (${segment}, 'a'); select pg_switch_wal(); checkpoint`);
    const { rows } = await pool.query("select wal_status from pg_replication_slots");
    expect(rows).toEqual([{ wal_status: "lost" }]);
    const next = new Recorder();
    await following(pool, next);
    expect(next.clears).toBe(1);
    expect(warnings.at(-1)).toContain(`the log after the position of the slot ${follower.stats().slot} is lost`);
    expect(await ended(pool, next, "insert into products values (20, 'a')")).toEqual(["product 20"]);
  });

  it("C644: a server that was promoted is a clear, though it has the slot", async () => {
    const own = await startOwnPostgres({ config: CONFIG });
    onTestFinished(() => own.stop());
    const [pool, cache] = [await shop(own), new Recorder()];
    const follower = await following(pool, cache);
    expect(follower.stats().slot).toMatch(/_t1$/);
    await follower.close();
    // As a replica that has the slots of its primary.
    await writeFile(join(own.directory, "data/standby.signal"), "");
    await own.restart();
    await own.query("select pg_promote()");
    const next = new Recorder();
    const other = await following(pool, next);
    expect(other.stats().slot).toBe(follower.stats().slot?.replace(/_t1$/, "_t2"));
    expect(next.clears).toBe(1);
    expect(warnings.at(-1)).toContain("the server is on another timeline, as after a failover");
    const { rows } = await pool.query("select slot_name from pg_replication_slots");
    expect(rows).toEqual([{ slot_name: other.stats().slot }]);
  });

  it("C644: a publication that was missing while the log was written is a clear, and nothing waits for ever", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    const follower = await following(pool, cache);
    await ended(pool, cache);
    await pool.query("drop publication hotset");
    await pool.query("insert into products values (1, 'a')");
    await until("the loss", async () => follower.stats().role === "connecting");
    await until("the sentence", async () =>
      String(follower.stats().error).includes(
        'the publication hotset does not exist; run: CREATE PUBLICATION "hotset" FOR TABLE "public"."products";',
      ),
    );
    const before = cache.clears;
    await pool.query('CREATE PUBLICATION "hotset" FOR TABLE "public"."products"');
    await until("it follows", async () => follower.stats().role === "following");
    expectClears(cache, before, 1);
    expect(await ended(pool, cache, "insert into products values (2, 'a')")).toEqual(["product 2"]);
  });
});

describe("one of the fleet", () => {
  it("C645: one process follows, and another takes over when it ends", async () => {
    const pool = await shop();
    const [first, second] = [new Recorder(), new Recorder()];
    const follower = await following(pool, first);
    const other = await following(pool, second);
    expect([follower.stats().role, other.stats().role]).toEqual(["following", "waiting"]);
    expect(await ended(pool, first, "insert into products values (1, 'a')")).toEqual(["product 1"]);
    expect(second.calls).toBe(0);
    await follower.close();
    expect(await ended(pool, second, "insert into products values (2, 'a')")).toEqual(["product 2"]);
    expect(other.stats()).toMatchObject({ role: "following", clears: 0, error: undefined });
    expect([first.clears, second.clears]).toEqual([1, 0]);
  });

  it("C645: it follows again after a restart of PostgreSQL, and loses nothing", async () => {
    const own = await startOwnPostgres({ config: CONFIG });
    onTestFinished(() => own.stop());
    const [pool, cache] = [await shop(own), new Recorder()];
    await following(pool, cache);
    await ended(pool, cache);
    for (const crash of [() => own.restart(), () => own.kill().then(() => own.start())]) {
      await crash();
      expect(await ended(pool, cache, "delete from products", "insert into products values (3, 'a')")).toContain(
        "product 3",
      );
    }
    expect(cache.clears).toBe(1);
  });

  it("C645: a process whose cache is closed leaves the slot to others", async () => {
    const pool = await shop();
    const cache = createCache({ name: "closed" }).tier(memory()).build();
    const options = { publication: "hotset", tables: { products: byId }, logger };
    const follower = await follow<Rows>(pool, cache, options);
    onTestFinished(() => follower.close());
    await cache.close();
    await pool.query("insert into products values (1, 'a')");
    await until("a free slot", async () => {
      const { rows } = await pool.query("select active from pg_replication_slots where slot_name = $1", [
        follower.stats().slot,
      ]);
      return rows[0].active === false;
    });
    await pool.query(`select pg_drop_replication_slot('${follower.stats().slot}')`);
    // Without a slot it begins with a clear.
    await expect(follow<Rows>(pool, cache, options)).rejects.toMatchObject({ code: "CACHE_CLOSED" });
  });

  it("C645: ten thousand targets at most wait here, the rest in the log", async () => {
    const [pool, cache] = [await shop(), new Recorder()];
    await following(pool, cache);
    await ended(pool, cache);
    const held = gate();
    cache.answers = () => held.pass().then(() => true);
    await pool.query("insert into products select id, 'a' from generate_series(1, 60000) as id");
    await until("a call", async () => cache.calls > 1);
    held.open();
    expect(new Set(await ended(pool, cache)).size).toBe(60_000);
  });
});
