import { execFileSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { follow } from "@hotset/postgres-follow";
import { startOwnPostgres, until } from "@hotset/test-servers";
import pg from "pg";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { byId, database, ended, following, FULL, PUBLISH, startShopServer, TABLE, type Shop } from "./own-shop.ts";
import { Recorder } from "./recorder.ts";

const server = await startShopServer();
afterAll(() => server.stop());

const PARTITIONED = `create table products (id int, shelf text not null, primary key (id)) partition by range (id);
  create table products_1 partition of products for values from (0) to (100);
  alter table products replica identity full; alter table products_1 replica identity full;
  create publication hotset for table products with (publish_via_partition_root = true)`;

const shop = async (setup: string): Promise<Shop> => following((await database(server, setup)).pool, { silence: "1s" });

/** Longer than two looks. */
const LOOKED_MS = 5_000;

describe("C644 a condition that changes while it follows is a gap", () => {
  it.each<[what: string, setup: string, statements: readonly string[], reason: string]>([
    [
      "a table that leaves the publication for a moment",
      `${TABLE}; ${FULL}; create table other (id int primary key); ${PUBLISH}, other`,
      [
        "alter publication hotset set table other",
        "update products set shelf = 'b'",
        "alter publication hotset set table products, other",
      ],
      "the publication of products was changed",
    ],
    [
      "kinds of changes that are left out for a moment",
      `${TABLE}; ${FULL}; ${PUBLISH}`,
      [
        "alter publication hotset set (publish = 'insert')",
        "alter publication hotset set (publish = 'insert, update, delete, truncate')",
      ],
      "the publication was changed",
    ],
    [
      "a table that is replaced by another of its name",
      `${TABLE}; ${FULL}; ${PUBLISH}`,
      [
        "create table next (like products including all); alter table next replica identity full; alter table products rename to former; alter table next rename to products; alter publication hotset add table products",
      ],
      "the table products was changed",
    ],
    [
      "a partition with rows",
      PARTITIONED,
      [
        "create table products_2 (id int not null, shelf text not null); alter table products_2 replica identity full; insert into products_2 values (100, 'a'); alter table products attach partition products_2 for values from (100) to (200)",
      ],
      "the table products_2 of products is new",
    ],
    [
      "a partition that leaves",
      PARTITIONED,
      ["alter table products detach partition products_1"],
      "the table products_1 of products is no longer there",
    ],
    [
      "a replica identity that is set back",
      `${TABLE}; ${FULL}; ${PUBLISH}`,
      ["alter table products replica identity default"],
      "the table products of products was changed",
    ],
    [
      "another type",
      `${TABLE}; ${FULL}; ${PUBLISH}`,
      ["alter table products alter column shelf type char(9) using upper(shelf)"],
      "the column shelf of products was changed",
    ],
    [
      "another expression for the same type",
      `${TABLE}; ${FULL}; ${PUBLISH}`,
      ["alter table products alter column shelf type text using upper(shelf)"],
      "the column shelf of products was changed",
    ],
    [
      "another expression for the same type of a partitioned table",
      PARTITIONED,
      ["alter table products alter column shelf type text using upper(shelf)"],
      "the column shelf of products was changed",
    ],
    [
      "a column with a default",
      `${TABLE}; ${FULL}; ${PUBLISH}`,
      ["alter table products add column size int default 7"],
      "the column size of products is new",
    ],
    [
      "a renamed enum value",
      `create type colour as enum ('red', 'blue'); ${TABLE}; alter table products add column c colour; ${FULL}; ${PUBLISH}`,
      ["alter type colour rename value 'red' to 'pink'"],
      "the value red of colour was changed",
    ],
  ])("%s", async (_what, setup, statements, reason) => {
    const place = await shop(setup);
    await ended(place);
    const before = place.cache.clears;
    for (const statement of statements) await place.pool.query(statement);
    await until("a clear", async () => place.cache.clears > before);
    expect(place.warnings.find((text) => text.includes(reason))).toMatch(
      /^hotset: follow: everything is cleared, as changes may have been missed: /,
    );
    await until("it follows", async () => place.follower.stats().role === "following");
  });

  it("what brings no value is none: an empty partition, a column without a default, another enum value", async () => {
    const place = await shop(
      `create type colour as enum ('red'); create table products (id int primary key, shelf text not null, c colour) partition by range (id); alter table products replica identity full; create publication hotset for table products with (publish_via_partition_root = true)`,
    );
    await ended(place);
    const before = place.cache.clears;
    await place.pool.query("alter table products add column size int");
    await place.pool.query("alter type colour add value 'blue'");
    await place.pool.query("create table products_1 partition of products for values from (0) to (100)");
    await place.pool.query("alter table products_1 replica identity full");
    await sleep(LOOKED_MS);
    expect(await ended(place, "insert into products values (1, 'a')")).toEqual(["product 1", "shelf a"]);
    expect(place.cache.clears).toBe(before);
  });

  it("what is lacking is a gap for as long as it lacks, and a finding", async () => {
    const place = await shop(`${TABLE}; ${FULL}; ${PUBLISH}`);
    await ended(place);
    const before = place.cache.clears;
    await place.pool.query("alter publication hotset set (publish = 'insert')");
    await until("three clears", async () => place.cache.clears >= before + 3);
    expect(place.follower.stats()).toMatchObject({
      role: "following",
      error: expect.stringContaining("the publication hotset leaves out some kinds of changes; run: ALTER") as string,
    });
    await place.pool.query("alter publication hotset set (publish = 'insert, update, delete, truncate')");
    await until("no finding", async () => place.follower.stats().error === undefined);
    const after = place.cache.clears;
    await sleep(LOOKED_MS);
    expect(place.cache.clears).toBe(after);
  });

  it("a child by INHERITS has the rules of its parent, and must be published", async () => {
    const place = await shop(`${TABLE}; ${FULL}; ${PUBLISH}`);
    await ended(place);
    await place.pool.query("create table special () inherits (products)");
    await until("the finding", async () =>
      String(place.follower.stats().error).includes(
        'the publication hotset lacks "public"."special", which inherits from "public"."products"; run: ALTER PUBLICATION "hotset" ADD TABLE "public"."special";',
      ),
    );
    await place.pool.query("alter table special replica identity full; alter publication hotset add table special");
    await until("no finding", async () => place.follower.stats().error === undefined);
    expect(await ended(place, "insert into special values (1, 'a')")).toEqual(["product 1", "shelf a"]);
  });

  it("files of the server that were set back", async () => {
    const own = await startOwnPostgres({ config: ["wal_level = logical", "max_slot_wal_keep_size = 64MB"] });
    onTestFinished(() => own.stop());
    await own.query(`${TABLE}; ${PUBLISH}`);
    const pool = new pg.Pool({ connectionString: own.url });
    pool.on("error", () => undefined);
    onTestFinished(() => pool.end());
    const cache = new Recorder();
    const warnings: string[] = [];
    const logger = { warn: (text: string) => warnings.push(text) };
    const tables = { products: byId };
    await using follower = await follow(pool, cache, { publication: "hotset", slot: "files", tables, logger });
    cache.isDone = () => follower.stats().lagMs === 0;
    const data = `${own.directory}/data`;
    await own.kill();
    // With the owner of each file.
    execFileSync("cp", ["-a", data, `${data}.older`]);
    await own.start();
    await until("it follows", async () => follower.stats().role === "following");
    await own.query("insert into products select id, 'a' from generate_series(1, 20000) as id");
    await until("the rows", async () => cache.tags.includes("product 20000") && follower.stats().lagMs === 0);
    await own.kill();
    const before = cache.clears;
    await rm(data, { recursive: true });
    execFileSync("cp", ["-a", `${data}.older`, data]);
    await own.start();
    await until("a clear", async () => cache.clears > before);
    expect(
      warnings.some((text) => text.includes("the log of the server ends before a position that was written")),
    ).toBe(true);
  });
});
