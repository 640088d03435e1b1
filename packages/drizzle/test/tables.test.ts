import { createCache } from "@hotset/core";
import { drizzleCache, type DrizzleCache } from "@hotset/drizzle";
import { memory } from "@hotset/memory";
import { count, eq, exists, inArray, sql } from "drizzle-orm";
import * as mysql from "drizzle-orm/mysql-core";
import { drizzle as mysqlProxy } from "drizzle-orm/mysql-proxy";
import * as pg from "drizzle-orm/pg-core";
import { drizzle as pgProxy } from "drizzle-orm/pg-proxy";
import * as sqlite from "drizzle-orm/sqlite-core";
import { drizzle as sqliteProxy } from "drizzle-orm/sqlite-proxy";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { tablesOf } from "../src/tables.ts";

const users = pg.pgTable("users", { id: pg.integer().primaryKey(), name: pg.text() });
const posts = pg.pgTable("posts", { id: pg.integer().primaryKey(), userId: pg.integer() });
const shop = pg.pgTableCreator((name) => `shop_${name}`);
const orders = shop("orders", { id: pg.integer().primaryKey(), userId: pg.integer() });
const audit = pg.pgSchema("audit").table("posts", { id: pg.integer() });

const rowsOfCache = (): DrizzleCache => {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  onTestFinished(() => cache.close());
  return drizzleCache(cache, { strategy: "all", settleAfter: 0 });
};

function database() {
  const sent: string[] = [];
  const rows = rowsOfCache();
  const query = async (text: string) => {
    if (/^\(?(?:select|with)/.test(text)) sent.push(text);
    return { rows: [] };
  };
  return { db: rows.watch(pgProxy(query, { cache: rows })), rows, sent };
}
type Db = ReturnType<typeof database>["db"];

const { id } = users;
/** Each reads `users` first, and another table as Drizzle does not report to a cache. */
const SELECTS: readonly (readonly [string, pg.PgTable, (db: Db) => PromiseLike<unknown>])[] = [
  [
    "the second table of a union",
    posts,
    (db) =>
      db
        .select({ id })
        .from(users)
        .union(db.select({ id: posts.id }).from(posts)),
  ],
  [
    "a table joined in the second select of a union",
    posts,
    (db) => {
      const other = db.select({ id }).from(users).innerJoin(posts, eq(posts.userId, id));
      return db.select({ id }).from(users).unionAll(other);
    },
  ],
  [
    "inArray",
    posts,
    (db) =>
      db
        .select()
        .from(users)
        .where(inArray(id, db.select({ id: posts.userId }).from(posts))),
  ],
  [
    "exists",
    posts,
    (db) =>
      db
        .select()
        .from(users)
        .where(exists(db.select().from(posts).where(eq(posts.userId, id)))),
  ],
  [
    "exists of a join without a column of it",
    posts,
    (db) => {
      const inner = db
        .select({ one: sql`1` })
        .from(users)
        .crossJoin(posts);
      return db.select().from(users).where(exists(inner));
    },
  ],
  ["$count as a column", posts, (db) => db.select({ id, all: db.$count(posts, eq(posts.userId, id)) }).from(users)],
  ["a subquery as a column", posts, (db) => db.select({ id, all: sql`(select count(*) from ${posts})` }).from(users)],
  ["a subquery in from", posts, (db) => db.select().from(db.select({ id: posts.id }).from(posts).as("p"))],
  [
    "a common table expression",
    posts,
    (db) => {
      const recent = db.$with("recent").as(db.select({ id: posts.id }).from(posts));
      return db.with(recent).select({ id }).from(users).innerJoin(recent, eq(recent.id, id));
    },
  ],
  ["a view", posts, (db) => db.select().from(pg.pgView("v").as((each) => each.select({ id: posts.id }).from(posts)))],
  [
    "an alias",
    posts,
    (db) => {
      const p = pg.alias(posts, "p");
      return db
        .select()
        .from(users)
        .where(exists(db.select().from(p).where(eq(p.userId, id))));
    },
  ],
  [
    "a table of a table creator",
    orders,
    (db) =>
      db
        .select()
        .from(users)
        .where(inArray(id, db.select({ id: orders.userId }).from(orders))),
  ],
  [
    "a table of a schema",
    audit,
    (db) =>
      db
        .select()
        .from(users)
        .where(inArray(id, db.select({ id: audit.id }).from(audit))),
  ],
  [
    "a join on a list of values, before columns that are ordered by",
    posts,
    (db) =>
      db
        .select({ id, year: sql`extract(year from ${posts.userId})`, one: sql`1` })
        .from(users)
        .innerJoin(posts, sql`${posts.userId} in ${[1, 2, 3]} and coalesce(${id}, 1) = ${id}`)
        .orderBy(id, posts.id),
  ],
  [
    "order by and having",
    posts,
    (db) =>
      db
        .select({ id })
        .from(users)
        .groupBy(id)
        .having(exists(db.select().from(posts)))
        .orderBy(sql`${id} is distinct from ${1}`),
  ],
];

describe("C595: a write ends rows of", () => {
  it.each(SELECTS)("%s, which are cached until then", async (_, table, select) => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const { db, sent } = database();
    for (let i = 0; i < 2; i += 1) await select(db);
    expect([sent.length, warn.mock.calls]).toEqual([1, []]);
    await db.delete(table);
    await select(db);
    expect(sent.length).toBe(2);
    warn.mockRestore();
  });

  it("all statements of a prepared select", async () => {
    const { db, sent } = database();
    const one = db
      .select()
      .from(users)
      .where(
        inArray(
          id,
          db
            .select({ id: posts.userId })
            .from(posts)
            .where(eq(posts.id, sql.placeholder("id"))),
        ),
      );
    const prepared = one.prepare("one");
    for (const each of [1, 2, 1, 2]) await prepared.execute({ id: each });
    expect(sent.length).toBe(2);
    await db.update(posts).set({ userId: 2 });
    for (const each of [1, 2, 1, 2]) await prepared.execute({ id: each });
    expect(sent.length).toBe(4);
  });

  it("a subquery in SQLite", async () => {
    let selects = 0;
    const rows = rowsOfCache();
    const query = async (text: string) => {
      selects += Number(text.startsWith("select"));
      return { rows: [] };
    };
    const db = rows.watch(sqliteProxy(query, { cache: rows }));
    const a = sqlite.sqliteTable("a", { id: sqlite.integer() });
    const b = sqlite.sqliteTable("b", { id: sqlite.integer() });
    const select = () =>
      db
        .select()
        .from(a)
        .where(inArray(a.id, db.select().from(b)));
    for (let i = 0; i < 2; i += 1) await select();
    expect(selects).toBe(1);
    await db.delete(b);
    for (let i = 0; i < 2; i += 1) await select();
    expect(selects).toBe(2);
  });

  it("a subquery in MySQL", () => {
    // No driver of MySQL that is installed takes a cache.
    const db = mysqlProxy(async () => ({ rows: [] }));
    const [a, b] = [mysql.mysqlTable("a", { id: mysql.int() }), mysql.mysqlTable("b", { id: mysql.int() })];
    const select = db
      .select()
      .from(a)
      .leftJoin(b, eq(a.id, b.id))
      .where(exists(db.select().from(b)));
    expect(tablesOf(select.getSQL(), ["a", "b"])).toEqual({ tables: ["a", "b"] });
  });
});

describe("C595: not cached, which a warning says, is a select", () => {
  it.each<readonly [string, (db: Db) => PromiseLike<unknown>, string]>([
    [
      "whose raw SQL names a table",
      (db) =>
        db
          .select()
          .from(users)
          .where(sql`exists (select 1 from posts)`),
      "raw SQL of it names a table",
    ],
    [
      "whose raw SQL lists tables",
      (db) => db.select({ one: sql`(select 1 from ${users}, posts)` }).from(users),
      "raw SQL of it names a table",
    ],
    ["from raw SQL", (db) => db.select({ id: sql`id` }).from(sql`posts`), "raw SQL of it names a table"],
    [
      "whose raw SQL lists a table behind a join",
      (db) => db.select({ one: sql`(select 1 from ${users} join ${users} u on true, posts)` }).from(users),
      "raw SQL of it names a table",
    ],
    [
      "whose raw SQL has a quoted table right behind from",
      (db) => db.select({ one: sql`(select 1 from"posts")` }).from(users),
      "raw SQL of it names a table",
    ],
    [
      "whose raw SQL has a comment behind from",
      (db) => db.select({ one: sql`(select 1 from/* all */posts)` }).from(users),
      "raw SQL of it names a table",
    ],
    [
      "whose raw SQL takes a whole table",
      (db) => db.select({ one: sql`exists (table posts)` }).from(users),
      "raw SQL of it names a table",
    ],
    [
      "with an identifier",
      (db) =>
        db
          .select()
          .from(users)
          .where(sql`exists (select 1 from ${sql.identifier("posts")})`),
      "an identifier of it names a table",
    ],
    [
      "from a view of the database",
      (db) => db.select().from(pg.pgView("v", { id: pg.integer() }).existing()),
      "a view of it has tables that Drizzle does not know",
    ],
    [
      "from a materialized view",
      (db) => db.select().from(pg.pgMaterializedView("v").as((each) => each.select({ id }).from(users))),
      "a view of it has tables that Drizzle does not know",
    ],
    ["that locks rows", (db) => db.select().from(users).for("update"), "it changes or locks rows"],
  ])("%s", async (_, select, why) => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const { db, sent } = database();
    for (let i = 0; i < 2; i += 1) await select(db);
    expect(sent.length).toBe(2);
    expect(warn.mock.calls).toEqual([
      [`drizzle: a select is not cached: ${why}; add $withCache(false) to it`, "HotsetWarning"],
    ]);
    warn.mockRestore();
  });

  it("of a database that is not watched", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const rows = rowsOfCache();
    let selects = 0;
    const db = pgProxy(async () => ({ rows: [(selects += 1)] as never[] }), { cache: rows });
    for (let i = 0; i < 2; i += 1) await db.select({ all: count() }).from(users);
    expect([selects, warn.mock.calls.length]).toEqual([2, 1]);
    expect(warn.mock.calls[0]![0]).toContain("drizzle: selects are not cached: const db = rows.watch(");
    warn.mockRestore();
  });
});

it("watch refuses what is no database over this cache", () => {
  const query = async () => ({ rows: [] });
  for (const db of [undefined, {}, pgProxy(query), pgProxy(query, { cache: rowsOfCache() })])
    expect(() => rowsOfCache().watch(db as object)).toThrow(
      "drizzleCache.watch: db must be what drizzle(..., { cache }) gives, with this cache",
    );
});
