import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { follow } from "@hotset/postgres-follow";
import { startOwnPostgres, until } from "@hotset/test-servers";
import pg from "pg";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import type { Finding } from "../src/doctor/finding.ts";
import { hotset, inProcess, json } from "./hotset.ts";

interface Report {
  readonly servers: readonly object[];
  readonly tables: readonly string[];
  readonly slots: readonly { readonly name: string; readonly isActive: boolean; readonly wal: string }[];
  readonly counts: object;
  readonly findings: readonly Finding[];
}

const [server, plain] = await Promise.all([
  startOwnPostgres({ config: ["wal_level = logical", "max_slot_wal_keep_size = 64MB"] }),
  startOwnPostgres(),
]);
afterAll(() => Promise.all([server.stop(), plain.stop()]));

let databases = 0;

/** A database, with these statements run, and its URL. */
async function database(...statements: readonly string[]): Promise<{ readonly url: string; readonly pool: pg.Pool }> {
  const name = `db${(databases += 1)}`;
  await server.query(`create database ${name}`);
  const url = server.url.replace(/postgres$/, name);
  const pool = new pg.Pool({ connectionString: url });
  pool.on("error", () => undefined);
  onTestFinished(() => pool.end());
  for (const statement of statements) await pool.query(statement);
  return { url, pool };
}

const doctor = (url: string, ...words: readonly string[]) => json<Report>(["doctor", "--url", url, ...words], {});

const TABLE = "create table products (id int primary key, name text)";
const PUBLICATION = "create publication hotset for table products";

const followed = ({ pool }: { readonly pool: pg.Pool }, slot: string) => {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  onTestFinished(() => cache.close());
  return follow(pool, cache, { publication: "hotset", slot, tables: { products: () => ({ tags: ["products"] }) } });
};

describe("C650: hotset doctor of a PostgreSQL", () => {
  it("finds nothing where a process follows", async () => {
    const shop = await database(TABLE, PUBLICATION);
    await using _ = await followed(shop, "fine");
    const report = await doctor(shop.url, "--fail-on", "warning");
    expect(report).toMatchObject({
      exitCode: 0,
      version: 1,
      servers: [{ name: "PostgreSQL", wal_level: "logical", max_slot_wal_keep_size: "64MB" }],
      publication: "hotset",
      tables: ["products"],
      slots: [{ name: expect.stringMatching(/^fine_[a-z0-9]{10}_t1$/) as string, isActive: true, wal: "reserved" }],
      findings: [],
    });
    const { stdout } = await inProcess(["doctor", "--url", shop.url]);
    expect(stdout).toMatch(
      /^server {7}PostgreSQL .+\n.+\npublication {2}hotset\ntables {7}products\nslot {9}fine_\w{10}_t1 {2}followed, .+ behind, .+ of log kept\n\nerrors: 0/,
    );
  });

  it("a slot that no process follows, and one that is lost, each with its statement", async () => {
    const shop = await database(TABLE, PUBLICATION);
    await (await followed(shop, "left")).close();
    await until("a free slot", async () => (await doctor(shop.url)).slots[0]?.isActive === false);
    const report = await doctor(shop.url);
    const { name } = report.slots[0]!;
    expect(name).toMatch(/^left_/);
    expect(report).toMatchObject({ exitCode: 1, findings: [{ check: "slots", severity: "error" }] });
    expect(report.findings[0]).toMatchObject({
      found: `no process follows the slot ${name}: changes of other programs are not seen, and their log is kept`,
      evidence: { slot: name, walStatus: "reserved", maxSlotWalKeepSize: "64MB", lagBytes: expect.any(Number) },
      fix: `start a process that calls follow(), or, if none is to: SELECT pg_drop_replication_slot('${name}');`,
    });
    await shop.pool.query("alter system set max_slot_wal_keep_size = '1MB'");
    await shop.pool.query("select pg_reload_conf()");
    for (let i = 0; i < 5; i += 1)
      await shop.pool.query("select pg_switch_wal(), pg_logical_emit_message(false, 'x', 'y')");
    await shop.pool.query("checkpoint");
    const lost = await doctor(shop.url);
    expect(lost.slots).toMatchObject([{ name, wal: "lost" }]);
    expect(lost.findings.map(({ found }) => found)).toEqual([
      `the log of the slot ${name} is lost: the next process that follows clears the cache`,
    ]);
    await shop.pool.query("alter system reset max_slot_wal_keep_size");
    await shop.pool.query("select pg_reload_conf()");
    await shop.pool.query(String(/SELECT.*?;/.exec(lost.findings[0]!.fix)));
    expect((await doctor(shop.url)).slots).toEqual([]);
  });

  it.each<[what: string, statements: readonly string[], found: string, fix: string]>([
    [
      "no publication",
      [TABLE],
      "the publication hotset does not exist",
      'CREATE PUBLICATION "hotset" FOR TABLE <tables>;',
    ],
    [
      "a publication without tables",
      [TABLE, "create publication hotset"],
      "the publication hotset has no table",
      'ALTER PUBLICATION "hotset" ADD TABLE <tables>;',
    ],
    [
      "kinds of changes",
      [TABLE, `${PUBLICATION} with (publish = 'insert')`],
      "the publication hotset leaves out some kinds of changes",
      "ALTER PUBLICATION \"hotset\" SET (publish = 'insert, update, delete, truncate');",
    ],
    [
      "no replica identity",
      [TABLE.replace(" primary key", ""), PUBLICATION],
      '"public"."products" has no replica identity, so the log does not say which row was changed',
      "ALTER TABLE products REPLICA IDENTITY FULL;",
    ],
    [
      "partitions under their own names",
      [
        "create table products (id int primary key) partition by range (id)",
        "create table products_1 partition of products for values from (0) to (10)",
        PUBLICATION,
      ],
      '"public"."products" is partitioned, and its changes are published under the names of partitions',
      'ALTER PUBLICATION "hotset" SET (publish_via_partition_root = true);',
    ],
  ])("%s, with the statement that mends it", async (_, statements, found, fix) => {
    const { url, pool } = await database(...statements);
    const ofPublication = async () => (await doctor(url)).findings.filter(({ check }) => check === "publication");
    expect(await ofPublication()).toMatchObject([{ severity: "error", found, fix }]);
    await pool.query(fix.replace("<tables>", "products"));
    expect(await ofPublication()).toEqual([]);
  });

  it.each<[what: string, statements: readonly string[], found: string, fix: string]>([
    [
      "a row filter",
      [TABLE, `${PUBLICATION} where (id > 1)`],
      'the publication hotset has a row filter for "public"."products", and rows outside of it are not in the log',
      'ALTER PUBLICATION "hotset" DROP TABLE "public"."products"; ALTER PUBLICATION "hotset" ADD TABLE "public"."products";',
    ],
    [
      "a table that inherits and is not published",
      [TABLE, PUBLICATION, "create table special (primary key (id)) inherits (products)"],
      'the publication hotset lacks "public"."special", which inherits from "public"."products"',
      'ALTER PUBLICATION "hotset" ADD TABLE "public"."special";',
    ],
    [
      "partitions of different identities",
      [
        "create table products (id int primary key, name text) partition by range (id)",
        "create table products_1 partition of products for values from (0) to (10)",
        "create table products_2 partition of products for values from (10) to (20)",
        "alter table products_1 replica identity full",
        `${PUBLICATION} with (publish_via_partition_root = true)`,
      ],
      'the partitions of "public"."products", or the tables that inherit from it, have different replica identities',
      "ALTER TABLE products_2 REPLICA IDENTITY FULL;",
    ],
  ])("a condition that may begin while a process follows: %s", async (_, statements, found, fix) => {
    const { url, pool } = await database(...statements);
    const ofLog = async () => (await doctor(url)).findings.filter(({ check }) => check !== "slots");
    expect(await ofLog()).toMatchObject([{ found, fix }]);
    await pool.query(fix);
    expect(await ofLog()).toEqual([]);
  });

  it("no room for a further slot", async () => {
    const own = await startOwnPostgres({
      config: [
        "wal_level = logical",
        "max_slot_wal_keep_size = 64MB",
        "max_replication_slots = 1",
        "max_wal_senders = 1",
      ],
    });
    onTestFinished(() => own.stop());
    await own.query(TABLE);
    await own.query(PUBLICATION);
    await own.query("select pg_create_logical_replication_slot('other', 'test_decoding')");
    const { findings } = await doctor(own.url, "--ignore", "slots");
    expect(findings.map(({ found, fix }) => [found, fix])).toEqual([
      [
        "all replication slots are in use, so no further process can follow",
        "ALTER SYSTEM SET max_replication_slots = '2'; and restart PostgreSQL",
      ],
    ]);
  });

  it("a transaction that was forgotten", async () => {
    // As if it had begun eleven minutes earlier: the role finds this view before that of the system.
    const shop = await database(
      TABLE,
      PUBLICATION,
      "create schema earlier",
      "create view earlier.pg_stat_activity as select backend_type, backend_xid, xact_start - interval '11 minutes' as xact_start from pg_catalog.pg_stat_activity",
    );
    const url = `${shop.url}?options=${encodeURIComponent("-c search_path=earlier,public,pg_catalog")}`;
    const ofRoom = async () => (await doctor(url)).findings.filter(({ check }) => check === "room");
    expect(await ofRoom()).toEqual([]);
    const client = await shop.pool.connect();
    try {
      await client.query("begin");
      await client.query("insert into products values (1, 'a')");
      expect(await ofRoom()).toEqual([
        {
          check: "room",
          severity: "warning",
          found:
            "a transaction has been open for 11 minutes: a slot that must be made waits for it, and the cache is cleared every few seconds until then",
          evidence: { seconds: expect.closeTo(660, -2) },
          fix: "end it: SELECT pid, state, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start; SELECT gid FROM pg_prepared_xacts;",
        },
      ]);
      await client.query("rollback");
      expect(await ofRoom()).toEqual([]);
    } finally {
      client.release();
    }
  });

  it("a slot whose position lies after the end of the log, as the files of the server were set back", async () => {
    const own = await startOwnPostgres({ config: ["wal_level = logical", "max_slot_wal_keep_size = 1GB"] });
    onTestFinished(() => own.stop());
    await own.query(TABLE);
    await own.query(PUBLICATION);
    const pool = new pg.Pool({ connectionString: own.url });
    pool.on("error", () => undefined);
    onTestFinished(() => pool.end());
    await (await followed({ pool }, "ahead")).close();
    await until("a free slot", async () => (await doctor(own.url)).slots[0]?.isActive === false);
    const [{ slot_name: name }] = (await own.query("select slot_name from pg_replication_slots")) as [
      { slot_name: string },
    ];
    const data = `${own.directory}/data`;
    await own.kill();
    // With the owner of each file.
    execFileSync("cp", ["-a", data, `${data}.older`]);
    await own.start();
    await own.query("insert into products select id, 'a' from generate_series(1, 20000) as id");
    await own.query(`select pg_replication_slot_advance('${name}', pg_current_wal_lsn())`);
    await own.query("checkpoint");
    await own.kill();
    execFileSync("rm", ["-r", `${data}.older/pg_replslot`]);
    execFileSync("cp", ["-a", `${data}/pg_replslot`, `${data}.older/pg_replslot`]);
    execFileSync("rm", ["-r", data]);
    execFileSync("cp", ["-a", `${data}.older`, data]);
    await own.start();
    expect(
      (await doctor(own.url)).findings.map(({ check, severity, found, fix }) => [check, severity, found, fix]),
    ).toEqual([
      [
        "slots",
        "error",
        `the position of the slot ${name} lies after the end of the log, as if the files of the server were set back: the next process that follows clears the cache`,
        `start a process that calls follow(), or, if none is to: SELECT pg_drop_replication_slot('${name}');`,
      ],
    ]);
  });

  it("a server that writes no logical log, and keeps it without a bound", async () => {
    const { findings } = await doctor(plain.url, "--ignore", "slots", "--publication", "of_mine");
    expect(findings.map(({ severity, found, fix }) => [severity, found, fix])).toEqual([
      ["error", "wal_level is not logical", "ALTER SYSTEM SET wal_level = 'logical'; and restart PostgreSQL"],
      ["error", "the publication of_mine does not exist", 'CREATE PUBLICATION "of_mine" FOR TABLE <tables>;'],
      [
        "warning",
        "nothing bounds the log that is kept while no process follows",
        "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();",
      ],
    ]);
  });

  it("a role without any right but to connect sees all of it", async () => {
    const shop = await database(TABLE, PUBLICATION, "create role nobody_there login password 'its-secret'");
    const url = shop.url.replace(/:\/\/[^@]*@/, "://nobody_there@");
    const { stdout, stderr } = await hotset(["doctor", "--url", url], { PGPASSWORD: "its-secret" });
    expect(stderr).toBe("");
    expect(stdout).toContain("user         nobody_there");
    expect(stdout).toContain("warning  slots: no process has followed this database");
    expect(stdout).not.toContain("its-secret");
  });

  it("is bounded where nothing answers, and says what is wrong with words", async () => {
    const silent = createServer(() => undefined).listen(0, "127.0.0.1");
    await once(silent, "listening");
    onTestFinished(() => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const url = `postgres://me@127.0.0.1:${port}/shop`;
    expect(await inProcess(["doctor", "--url", url, "--timeout", "200ms"])).toMatchObject({
      exitCode: 3,
      stderr: expect.stringMatching(/^hotset: PostgreSQL could not be looked at: .*timeout/),
    });
    for (const [words, said] of [
      [["--url", url, "--sample", "3"], "--sample is for a Redis"],
      [["--url", url, "--publication", "a b"], "--publication must be letters, digits"],
      [["--publication", "hotset"], "--publication is for a PostgreSQL"],
      [["--url", "postgres://me:secret@h/shop"], "or PGPASSWORD for PostgreSQL"],
      [["--url", "postgres://h/shop?user=me&password=secret"], "or PGPASSWORD for PostgreSQL"],
    ] as const) {
      const ended = await inProcess(["doctor", ...words]);
      expect(ended).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(said) });
      expect(ended.stderr).not.toContain("secret");
    }
  });
});
