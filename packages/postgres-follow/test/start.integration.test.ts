import { emitted, follow, type FollowOptions } from "@hotset/postgres-follow";
import { startOwnPostgres } from "@hotset/test-servers";
import pg from "pg";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { Recorder } from "./recorder.ts";

const server = await startOwnPostgres({ config: ["wal_level = logical", "max_replication_slots = 40"] });
afterAll(() => server.stop());

type Row = Readonly<Record<string, unknown>>;
type Rows = Readonly<Record<string, Row>>;

const byId = ({ id }: Row) => ({ tags: [`row ${String(id)}`] });
let databases = 0;

async function database(setup: string, user = "hotset"): Promise<pg.Pool> {
  const name = `start${(databases += 1)}`;
  await server.query(`create database ${name}`);
  const url = server.url.replace(/postgres$/, name);
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  await admin.query(setup);
  await admin.end();
  const pool = new pg.Pool({ connectionString: url.replace("hotset@", `${user}@`) });
  onTestFinished(() => pool.end());
  return pool;
}

async function started(pool: pg.Pool, options: Partial<FollowOptions<Rows>> = {}): Promise<string> {
  const slot = `start${databases}`;
  const logger = { warn: () => undefined };
  const tables = { goods: byId };
  try {
    await using follower = await follow<Rows>(pool, new Recorder(), {
      publication: "p",
      slot,
      tables,
      logger,
      ...options,
    });
    return follower.stats().role;
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

const GOODS = "create table goods (id int primary key, shelf int)";

describe("the start", () => {
  it.each([
    {
      lacks: "the publication",
      setup: GOODS,
      says: 'the publication p does not exist; run: CREATE PUBLICATION "p" FOR TABLE "public"."goods";',
    },
    {
      lacks: "a table of the publication",
      setup: `${GOODS}; create publication p`,
      says: 'the publication p lacks "public"."goods"; run: ALTER PUBLICATION "p" ADD TABLE "public"."goods";',
    },
    {
      lacks: "kinds of changes",
      setup: `${GOODS}; create publication p for table goods with (publish = 'insert, update')`,
      says: "the publication p leaves out some kinds of changes; run: ALTER PUBLICATION \"p\" SET (publish = 'insert, update, delete, truncate');",
    },
    {
      lacks: "a replica identity",
      setup: "create table goods (id int, shelf int); create publication p for table goods",
      says: '"public"."goods" has no replica identity, so the log does not say which row was changed; run: ALTER TABLE goods REPLICA IDENTITY FULL;',
    },
    {
      lacks: "the column of a rule in deleted rows",
      setup: `${GOODS}; insert into goods values (1, 2); create publication p for table goods`,
      says: 'the rule of "public"."goods" reads the column "shelf", which the log does not have of a deleted row; run: ALTER TABLE goods REPLICA IDENTITY FULL;',
      rule: ({ shelf }: Row) => ({ tags: [`shelf ${String(shelf)}`] }),
    },
    {
      lacks: "the root of partitions",
      setup:
        "create table goods (id int primary key) partition by range (id); create table goods_1 partition of goods for values from (0) to (9); create publication p for table goods",
      says: '"public"."goods" is partitioned, and its changes are published under the names of partitions; run: ALTER PUBLICATION "p" SET (publish_via_partition_root = true);',
    },
    {
      lacks: "a row filter's rows",
      setup: `${GOODS}; create publication p for table goods where (id > 1)`,
      says: 'the publication p has a row filter for "public"."goods", and rows outside of it are not in the log; run: ALTER PUBLICATION "p" DROP TABLE "public"."goods"; ALTER PUBLICATION "p" ADD TABLE "public"."goods";',
    },
    {
      lacks: "a log of the table",
      setup: `create unlogged ${GOODS.slice(7)}; create publication p for all tables`,
      says: '"public"."goods" is unlogged, so its changes are in no log; run: ALTER TABLE "public"."goods" SET LOGGED;',
    },
    {
      lacks: "a table that inherits",
      setup: `${GOODS}; create publication p for table goods; create table more () inherits (goods); alter table more add primary key (id)`,
      says: 'the publication p lacks "public"."more", which inherits from "public"."goods"; run: ALTER PUBLICATION "p" ADD TABLE "public"."more";',
    },
    {
      lacks: "the column of a rule in updated rows, which the first row does not show",
      setup: `${GOODS}; insert into goods values (1, null), (2, 3); create publication p for table goods`,
      says: 'the rule of "public"."goods" reads the column "shelf", which the log does not have of a deleted row; run: ALTER TABLE goods REPLICA IDENTITY FULL;',
      rule: (row: Row) => ({ tags: [row["id"] === 1 ? "one" : `shelf ${String(row["shelf"])}`] }),
    },
    {
      lacks: "the right to replicate",
      setup: `${GOODS}; create publication p for table goods; grant select on goods to reader`,
      user: "reader",
      says: "the role of the pool may not read the log; run: ALTER ROLE reader REPLICATION;",
    },
  ])(
    "C646: without $lacks is refused, with the statement that mends it",
    async ({ setup, says, user, rule = byId }) => {
      if (user !== undefined) await server.query(`create role ${user} login`);
      const pool = await database(setup, user);
      const options = { tables: { goods: rule } };
      expect(await started(pool, options)).toBe(`ConfigurationError: follow: ${says}`);
      const [, statement] = says.split("; run: ");
      if (user === undefined) await pool.query(statement!);
      else await server.query(statement!);
      expect(await started(pool, options)).toBe("following");
    },
  );

  it("C646: an unknown table is refused", async () => {
    const pool = await database(`${GOODS}; create publication p for table goods`);
    expect(await started(pool, { tables: { good: byId } })).toBe(
      "ConfigurationError: follow: the table good does not exist in this database; create it, or correct its name in tables",
    );
  });

  it("C646: a rule that fails for a row of the table is refused", async () => {
    const pool = await database(`${GOODS}; insert into goods values (1, 2); create publication p for table goods`);
    const tables = { goods: ({ id }: Row) => ({ tags: [id as string] }) };
    expect(await started(pool, { tables })).toBe(
      'ConfigurationError: follow: the rule of "public"."goods" failed for a row of the table: InvalidArgumentError: tags must be a list of strings of 1 to 1,024 characters',
    );
  });

  it.each([
    {
      what: "a generated column",
      setup:
        "create table goods (id int primary key, shelf int generated always as (id + 1) stored); insert into goods values (1); alter table goods replica identity full; create publication p for table goods",
    },
    {
      what: "a column that is not in the list of the publication",
      setup: `${GOODS}; insert into goods values (1, 2); create publication p for table goods (id)`,
    },
  ])("C646: a rule over $what is refused", async ({ setup }) => {
    const tables = { goods: ({ shelf }: Row) => ({ tags: [`shelf ${String(shelf)}`] }) };
    expect(await started(await database(setup), { tables })).toBe(
      'ConfigurationError: follow: the rule of "public"."goods" reads the column "shelf", which the log does not have, as it is generated or not in the column list of the publication; let the rule read others, or publish all columns',
    );
  });

  it.each<[what: string, rule: (row: Row) => unknown, says: string]>([
    [
      "is async",
      async ({ id }) => ({ tags: [String(id)] }),
      "targets must be { tags, keys, clear } or undefined, got a promise; a rule must not be async",
    ],
    [
      "gives a text",
      ({ id }) => String(id),
      "targets must be { tags, keys, clear } or undefined, got text of 1 character",
    ],
    ["gives a list", ({ id }) => [String(id)], "targets must be { tags, keys, clear } or undefined, got an array"],
    ["has a wrong name", ({ id }) => ({ tag: [String(id)] }), 'unknown option "targets.tag"; did you mean tags?'],
  ])("C646: a rule that %s is refused", async (_what, rule, says) => {
    const pool = await database(`${GOODS}; insert into goods values (1, 2); create publication p for table goods`);
    const tables = { goods: rule as typeof byId };
    expect(await started(pool, { tables })).toContain(says);
  });

  it("C646: a rule that fails is refused in every process, not in the first alone", async () => {
    const pool = await database(`${GOODS}; insert into goods values (1, 2); create publication p for table goods`);
    await using _ = await follow<Rows>(pool, new Recorder(), {
      publication: "p",
      slot: "every",
      tables: { goods: byId },
      logger: { warn: () => undefined },
    });
    const tables = { goods: ({ id }: Row) => ({ tags: [id as string] }) };
    expect(await started(pool, { slot: "every", tables })).toContain("failed for a row of the table");
  });

  it("C646: a slot of another database is refused", async () => {
    const setup = `${GOODS}; create publication p for table goods`;
    expect(await started(await database(setup), { slot: "shared" })).toBe("following");
    const of = `start${databases}`;
    expect(await started(await database(setup), { slot: "shared" })).toMatch(
      RegExp(
        `^ConfigurationError: follow: the slot shared_[a-z0-9]{10}_t1 belongs to the database ${of}; give the option slot another name$`,
      ),
    );
  });

  it("C646: a wal_level that is not logical is refused; so is a server that does not answer", async () => {
    const own = await startOwnPostgres({ config: ["wal_level = replica"] });
    const pool = new pg.Pool({ connectionString: own.url });
    pool.on("error", () => undefined);
    onTestFinished(() => pool.end());
    expect(await started(pool)).toBe(
      "ConfigurationError: follow: wal_level is not logical; run: ALTER SYSTEM SET wal_level = 'logical'; and restart PostgreSQL",
    );
    await own.stop();
    expect(await started(pool)).toBe("BackendUnavailableError: follow: PostgreSQL could not be reached");
  });

  it("C646: a log that nothing bounds is a warning", async () => {
    const pool = await database(`${GOODS}; create publication p for table goods`);
    const said: string[] = [];
    await started(pool, { logger: { warn: (text) => said.push(text) } });
    expect(said[0]).toBe(
      "hotset: follow: nothing bounds the log that is kept while no process follows; run: ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();",
    );
  });

  it.each([
    [{ publication: "" }, "publication must be the name of a publication: letters, digits, _, $ and -"],
    [{ slot: "Shop" }, "slot must be 1 to 40 lower-case letters, digits and _"],
    [{ tables: {} }, "tables must be an object of rules by table, with at least one"],
    [{ tables: { goods: {} } }, "tables.goods must be a function of a row, or { changed, truncated }"],
    [{ silence: "10ms" }, "silence must be from 1000 to 300000 ms"],
    [{ settleAfter: -1 }, "settleAfter must be from 0 to 3600000 ms"],
    [{ messages: "" }, "messages must be a prefix of messages, or false"],
    [{ logger: {} }, "logger must be an object with warn(message)"],
    [
      { publications: "p" },
      'unknown option "publications"; did you mean publication?; accepted: publication, slot, silence, tables, messages, settleAfter, logger',
    ],
  ])("refuses %o", async (options, says) => {
    const pool = new pg.Pool();
    expect(await started(pool, options as unknown as Partial<FollowOptions<Rows>>)).toContain(`: follow: ${says}`);
    await pool.end();
  });

  it("needs the name of a slot for a namespace, and targets that a cache takes", async () => {
    const cache = Object.assign(new Recorder(), { name: undefined });
    const options = { publication: "p", tables: { goods: byId } };
    await expect(follow<Rows>(new pg.Pool(), cache, options)).rejects.toThrow(
      "follow: slot must be given for a namespace, such as a name for it",
    );
    await expect(follow<Rows>(new pg.Pool(), {} as never, options)).rejects.toThrow("follow: cache must be a cache");
    expect(() => emitted({ tags: [""] })).toThrow("tags must be a list of strings of 1 to 1,024 characters");
  });
});
