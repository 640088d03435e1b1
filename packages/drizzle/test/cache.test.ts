import { join } from "node:path";
import { createCache, json, type Cache } from "@hotset/core";
import { drizzleCache, type DrizzleCacheOptions } from "@hotset/drizzle";
import { memory } from "@hotset/memory";
import { sqlite } from "@hotset/sqlite";
import { temporaryDirectory } from "@hotset/test-servers";
import { flush, gate, TestClock, type Gate } from "@hotset/testing";
import { eq } from "drizzle-orm";
import { int, mysqlSchema } from "drizzle-orm/mysql-core";
import { alias, integer, jsonb, pgSchema, pgTable, pgTableCreator, text } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/pg-proxy";
import { afterAll, expect, it, vi } from "vitest";
import { ALL_KNOWN } from "../src/watched.ts";

const users = pgTable("users", { id: integer().primaryKey(), name: text() });
const posts = pgTable("posts", { id: integer().primaryKey(), userId: integer(), seen: jsonb() });

const open: Cache[] = [];
afterAll(async () => {
  await Promise.all(open.map((cache) => cache.close()));
});

/** A table with one row, whose selects may wait after they have read it. */
class Source {
  name = "Ada";
  selects = 0;
  leaves: Gate | undefined;

  readonly answer = async (text: string): Promise<{ rows: never[] }> => {
    if (!text.startsWith("select")) return { rows: [] };
    this.selects += 1;
    const rows = [[1, this.name]] as never[];
    await this.leaves?.pass();
    return { rows };
  };
}

interface Given extends DrizzleCacheOptions {
  readonly source?: Source;
  readonly file?: string;
}

function newDatabase({ source = new Source(), file, ...options }: Given = {}) {
  const clock = new TestClock();
  const local = createCache({ name: "shop", clock }).tier(memory());
  // Windows of the cache must not reach the rows.
  const cache = (file === undefined ? local : local.tier(sqlite(file, { format: json() })))
    .defaults({ ttl: "1m", staleWhileRevalidate: "1h", staleIfError: "1h" })
    .build();
  open.push(cache);
  const rows = drizzleCache(cache, { clock, ...options });
  return { db: rows.watch(drizzle(source.answer, { cache: rows })), source, clock, cache, rows };
}
const nameOf = async ({ db }: ReturnType<typeof newDatabase>): Promise<string | null | undefined> =>
  (await db.select().from(users).$withCache())[0]?.name;
const folder = await temporaryDirectory("drizzle");
let files = 0;
const newFile = (): string => join(folder, `${(files += 1)}.db`);

it("caches selects with $withCache, and with the strategy all those without $withCache(false)", async () => {
  const { db, source } = newDatabase();
  for (let i = 0; i < 3; i += 1) await db.select().from(users);
  expect(source.selects).toBe(3);
  for (let i = 0; i < 3; i += 1) expect(await db.select().from(users).$withCache()).toEqual([{ id: 1, name: "Ada" }]);
  expect(source.selects).toBe(4);
  const all = newDatabase({ strategy: "all" });
  for (let i = 0; i < 3; i += 1) expect(await all.db.select().from(users)).toEqual([{ id: 1, name: "Ada" }]);
  expect(all.source.selects).toBe(1);
  await all.db.select().from(users).$withCache(false);
  expect(all.source.selects).toBe(2);
});

it("C595: a write ends the rows of its tables, joined ones included, and no others", async () => {
  const { db, source, clock } = newDatabase({ strategy: "all" });
  const queries = [
    () => db.select().from(users),
    () => db.select().from(users).where(eq(users.id, 1)),
    () => db.select({ id: users.id, name: users.name }).from(posts).leftJoin(users, eq(users.id, posts.userId)),
    () => db.select({ id: posts.id, seen: posts.userId }).from(posts),
    () => db.select().from(users).$withCache({ autoInvalidate: false }),
    () => db.select().from(users).$withCache({ tag: "all-users" }),
  ];
  /** The indexes of the queries that reach the database. */
  const asked = async (): Promise<number[]> => {
    const those: number[] = [];
    for (const [index, query] of queries.entries()) {
      const before = source.selects;
      await query();
      if (source.selects > before) those.push(index);
    }
    return those;
  };
  expect(await asked()).toEqual([0, 1, 2, 3, 4, 5]);
  expect(await asked()).toEqual([]);
  await db.update(users).set({ name: "Bob" });
  clock.advance("2s");
  await flush();
  expect(await asked()).toEqual([0, 1, 2, 5]);
  await db.insert(posts).values({ id: 2, userId: 1 });
  clock.advance("2s");
  await flush();
  expect(await asked()).toEqual([2, 3]);
  expect(await asked()).toEqual([]);
});

it("C586: rows that a select read before a write was reported, and brings after it, are stored nowhere", async () => {
  const source = new Source();
  const file = newFile();
  const [here, there] = [newDatabase({ source, file, settleAfter: 0 }), newDatabase({ source, file })];
  const leaves = (source.leaves = gate());
  const crossing = [nameOf(here), nameOf(there)];
  await leaves.arrived(2);
  source.name = "Bob";
  await here.db.update(users).set({ name: "Bob" });
  leaves.open();
  source.leaves = undefined;
  expect(await Promise.all(crossing)).toEqual(["Ada", "Ada"]);
  expect([await nameOf(there), await nameOf(here)]).toEqual(["Bob", "Bob"]);
});

it("C595: rows that a select reads during a write are not those of this process, and end everywhere after settleAfter", async () => {
  const source = new Source();
  const file = newFile();
  const [here, there] = [newDatabase({ source, file }), newDatabase({ source, file })];
  // Drizzle reports the update while it runs.
  await here.db.update(users).set({ name: "Bob" });
  expect([await nameOf(here), await nameOf(there)]).toEqual(["Ada", "Ada"]);
  source.name = "Bob";
  expect([await nameOf(here), await nameOf(there)]).toEqual(["Bob", "Ada"]);
  here.clock.advance(1_999);
  await flush();
  expect([await nameOf(here), await nameOf(there)]).toEqual(["Bob", "Ada"]);
  // One that takes longer than that.
  source.name = "Ada";
  const leaves = (source.leaves = gate());
  const slow = nameOf(here);
  await leaves.arrived();
  source.name = "Bob";
  here.clock.advance(1);
  await flush();
  leaves.open();
  source.leaves = undefined;
  expect(await slow).toBe("Ada");
  await expect.poll(() => nameOf(there)).toBe("Bob");
  await expect
    .poll(async () => {
      const { selects } = source;
      return [await nameOf(here), source.selects - selects];
    })
    .toEqual(["Bob", 0]);
});

it("C595: settle invalidates without the wait, and nothing is left to do", async () => {
  const source = new Source();
  const file = newFile();
  const [here, there] = [newDatabase({ source, file, settleAfter: "1h" }), newDatabase({ source, file })];
  await here.db.update(users).set({ name: "Bob" });
  expect([await nameOf(there), await nameOf(here)]).toEqual(["Ada", "Ada"]);
  source.name = "Bob";
  expect([await nameOf(there), await nameOf(here)]).toEqual(["Ada", "Bob"]);
  await here.rows.settle();
  await expect.poll(() => nameOf(there)).toBe("Bob");
  expect(await nameOf(here)).toBe("Bob");
  await here.cache.close();
  here.clock.advance("1h");
  await flush();
});

it("a later write begins settleAfter again", async () => {
  const { db, source, clock } = newDatabase();
  /** Whether a second select is answered without the database. */
  const isCached = async (): Promise<boolean> => {
    await db.select().from(users).$withCache();
    const { selects } = source;
    await db.select().from(users).$withCache();
    return source.selects === selects;
  };
  await db.update(users).set({ name: "Bob" });
  clock.advance(1_500);
  await db.update(users).set({ name: "Eve" });
  const seen: boolean[] = [];
  for (const waitMs of [500, 1_499, 1]) {
    clock.advance(waitMs);
    await flush();
    seen.push(await isCached());
  }
  expect(seen).toEqual([false, false, true]);
});

it("settleAfter: 0 invalidates once, and reads from the cache at once", async () => {
  const { db, source } = newDatabase({ settleAfter: 0 });
  await db.update(users).set({ name: "Bob" });
  for (let i = 0; i < 2; i += 1) await db.select().from(users).$withCache();
  expect(source.selects).toBe(1);
});

it("a tag ends its query, by $cache.invalidate; one with autoInvalidate: false ends by nothing else", async () => {
  const { db, source, clock, rows } = newDatabase();
  const kept = () => db.select().from(users).$withCache({ tag: "kept", autoInvalidate: false });
  const ended = () => db.select().from(users).$withCache({ tag: "kept" });
  await kept();
  await ended();
  expect(source.selects).toBe(2);
  await db.update(users).set({ name: "Bob" });
  await rows.settle();
  source.name = "Bob";
  expect([(await kept())[0]?.name, (await ended())[0]?.name]).toEqual(["Ada", "Bob"]);
  await db.$cache.invalidate({ tags: "kept" });
  clock.advance("2s");
  await flush();
  source.name = "Eve";
  expect([(await kept())[0]?.name, (await ended())[0]?.name]).toEqual(["Eve", "Eve"]);
});

it("tables are named, or given as Drizzle defines them", async () => {
  const { db, source, rows } = newDatabase();
  for (const tables of ["users", ["users"], users, [posts, users]]) {
    const { selects } = source;
    await db.select().from(users).$withCache();
    await db.$cache.invalidate({ tables });
    await rows.settle();
    expect(source.selects).toBe(selects + 1);
  }
});

it.each([
  ["of a schema", pgSchema("shop").table("users", { id: integer() })],
  ["of a table creator", pgTableCreator((name) => `shop_${name}`)("users", { id: integer() })],
  ["with an alias", alias(users, "u")],
])("a table %s ends its rows, which Drizzle names in its own way", async (_, table) => {
  const { db, source, rows } = newDatabase({ strategy: "all" });
  await db.select().from(table);
  await db.$cache.invalidate({ tables: table });
  await rows.settle();
  await db.select().from(table);
  expect(source.selects).toBe(2);
});

it("a table of MySQL ends its rows, which Drizzle names without its schema", async () => {
  const { db, rows } = newDatabase();
  await rows.put("select", [[1]], [ALL_KNOWN, "users"], false);
  await db.$cache.invalidate({ tables: mysqlSchema("shop").table("users", { id: int() }) });
  await rows.settle();
  expect(await rows.get("select", [ALL_KNOWN, "users"], false, true)).toBeUndefined();
});

it.each([
  [{ ex: 2 }, 2_000],
  [{ px: 1_500 }, 1_500],
  [{ exat: 1_700_000_003 }, 3_000],
  [{ pxat: 1_700_000_000_700 }, 700],
  [{ hexOptions: "NX" as const }, 60_000],
])("rows with %j end after %s ms, and are not served after it", async (config, lifeMs) => {
  const { db, source, clock } = newDatabase();
  const select = () => db.select().from(users).$withCache({ config });
  await select();
  clock.advance(lifeMs - 1);
  await select();
  expect(source.selects).toBe(1);
  clock.advance(1);
  await select();
  expect(source.selects).toBe(2);
});

it("rows that end in the past are not cached, and ttl is for those without an end", async () => {
  const { db, source, clock } = newDatabase({ ttl: "1h" });
  for (let i = 0; i < 2; i += 1)
    await db
      .select()
      .from(users)
      .$withCache({ config: { pxat: 1 } });
  expect(source.selects).toBe(2);
  await db.select().from(users).$withCache();
  clock.advance("59m");
  await db.select().from(users).$withCache();
  expect(source.selects).toBe(3);
});

it.each([
  ["node-postgres", { rows: [[1]], fields: [new (class Field {})()], _parsers: [String] }, { rows: [[1]] }],
  [
    "mysql2",
    [
      [[1]],
      [
        new (class {
          columnType = 3;
          _buf = new Uint8Array(9);
        })(),
      ],
    ],
    [[[1]]],
  ],
  ["postgres.js", Object.assign([[1], [2]], { statement: () => 1 }), [[1], [2]]],
  ["libSQL", [Object.defineProperties({}, { 0: { value: 7 }, length: { value: 1 } })], [[7]]],
  ["rows of objects", [[{ columnType: 1 }], [{ columnType: 2 }]], [[{ columnType: 1 }], [{ columnType: 2 }]]],
  ["no row", undefined, undefined],
])("of an answer of %s, what Drizzle reads is kept", async (_, answer, kept) => {
  const { rows } = newDatabase({ file: newFile() });
  await rows.put("key", answer, [ALL_KNOWN, "users"], false);
  expect(await rows.get("key", [ALL_KNOWN, "users"], false, true)).toEqual(kept);
});

it("a select whose rows the format cannot write is answered, and a warning says why", async () => {
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
  const source = new Source();
  const { db } = newDatabase({ source, file: newFile() });
  source.name = 1n as never;
  for (let i = 0; i < 2; i += 1) expect((await db.select().from(users).$withCache())[0]?.id).toBe(1);
  expect(source.selects).toBe(2);
  expect(warned.mock.calls.map(([text]) => text)).toEqual([
    expect.stringMatching(/^drizzle: rows are not cached: json: .* rows\[0\]\[1\] is a bigint$/),
  ]);
  warned.mockRestore();
});

it("a tag of any length is cached, and ends its rows; a select that has run never fails", async () => {
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
  const source = new Source();
  const { cache, db } = newDatabase({ source });
  const [tag, other] = ["a", "b"].map((last) => JSON.stringify({ filter: "x".repeat(2_000) + last }));
  const select = () => db.select().from(users).$withCache({ tag: tag! });
  for (let i = 0; i < 2; i += 1) await select();
  expect(source.selects).toBe(1);
  await db.$cache.invalidate({ tags: other! });
  await select();
  expect(source.selects).toBe(1);
  await db.$cache.invalidate({ tags: tag! });
  await select();
  expect(source.selects).toBe(2);
  await cache.close();
  await drizzleCache(cache).put("late", [1], [ALL_KNOWN, "users"], false);
  expect(warned.mock.calls).toEqual([
    [expect.stringMatching(/^drizzle: rows are not cached: .*closed/), "HotsetWarning"],
  ]);
  warned.mockRestore();
});

it("a select whose rows another copy of the package refuses is answered, too", async () => {
  vi.resetModules();
  const copy = await import("@hotset/core");
  expect(copy.createCache).not.toBe(createCache);
  const stores = await import("@hotset/sqlite");
  const cache = copy
    .createCache({ name: "shop" })
    .tier(stores.sqlite(newFile(), { format: json() }))
    .build();
  open.push(cache);
  const source = new Source();
  source.name = 1n as never;
  const rows = drizzleCache(cache, { strategy: "all" });
  const db = rows.watch(drizzle(source.answer, { cache: rows }));
  expect((await db.select().from(users))[0]?.id).toBe(1);
});

it("refuses bad options, and says what it takes", async () => {
  const { cache, db } = newDatabase();
  expect(() => drizzleCache({} as never)).toThrow(/^drizzleCache: cache must be .* got an object$/);
  expect(() => drizzleCache(cache, { stratgy: "all" } as never)).toThrow("did you mean strategy");
  expect(() => drizzleCache(cache, { strategy: "global" as never })).toThrow('"explicit" or "all", got global');
  expect(() => drizzleCache(cache, { settleAfter: Infinity })).toThrow("settleAfter must be 0 or a finite duration");
  expect(() => drizzleCache(cache, { ttl: "1 day" as never })).toThrow("ttl");
  const select = db
    .select()
    .from(users)
    .$withCache({ config: { ex: 0 } });
  await expect(select).rejects.toThrow("config.ex must be a number above 0, got 0");
});
