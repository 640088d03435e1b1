import { randomPrefix, startPostgres, startProxy, until } from "@hotset/test-servers";
import type { Changes } from "@hotset/transactions";
/** The transactions of pg, Drizzle, Kysely, MikroORM, and of what Prisma's client looks like, on a real PostgreSQL. */
import { defineEntity, MikroORM, p } from "@mikro-orm/postgresql";
import { sql as drizzleSql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { CompiledQuery, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { OUTBOX, openShop } from "./shop.ts";

const prefix = randomPrefix();
const table = `products_${prefix.replaceAll(/\W/g, "")}`;
const postgres = await startPostgres();
const servers = { redisUrl: inject("redisUrl"), prefix, postgresUrl: postgres.url, table };
const here = openShop(servers, (pool) => ({ outbox: pool }));
const there = openShop(servers);
const { pool } = here;

const kysely = new Kysely<object>({
  dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: postgres.url }) }),
});
const product = defineEntity({
  name: "Product",
  tableName: table,
  properties: { id: p.integer().primary(), cents: p.integer() },
});
const orm = await MikroORM.init({ clientUrl: postgres.url, entities: [product], ensureDatabase: false });

/** The documented part of Prisma's client, over pg: its own needs an engine that is fetched from the network. */
class PrismaLike {
  readonly #client: pg.Pool | pg.PoolClient;

  constructor(client: pg.Pool | pg.PoolClient) {
    this.#client = client;
  }

  async $transaction<T>(
    body: (tx: PrismaLike) => Promise<T>,
    options?: { isolationLevel?: "Serializable" },
  ): Promise<T> {
    const client = await pool.connect();
    try {
      await client.query(options?.isolationLevel ? "begin isolation level serializable" : "begin");
      const result = await body(new PrismaLike(client));
      await client.query("commit");
      return result;
    } catch (error) {
      await client.query("rollback");
      const { code } = error as { code?: string };
      throw code === "40001" ? Object.assign(new Error("write conflict", { cause: error }), { code: "P2034" }) : error;
    } finally {
      client.release();
    }
  }

  async $executeRawUnsafe(text: string): Promise<number> {
    return (await this.#client.query(text)).rowCount ?? 0;
  }

  async $queryRawUnsafe(text: string): Promise<unknown> {
    return (await this.#client.query(text)).rows;
  }
}

beforeAll(async () => {
  await postgres.query(`create table ${table} (id int primary key, cents int not null check (cents >= 0))`);
  await postgres.query(OUTBOX);
});
beforeEach(async () => {
  await postgres.query(`insert into ${table} values (1, 100), (2, 100) on conflict (id) do update set cents = 100`);
  await here.cache.clear();
  await until("the other process sees the first price", async () => (await there.cents(1)) === 100);
  await Promise.all([here.cents(1), here.cents(2), there.cents(2)]);
});
afterAll(async () => {
  await Promise.all([here.end(), there.end(), kysely.destroy(), orm.close()]);
  await postgres.query(`drop table ${table}`);
  await postgres.stop();
});

const update = (id: number, cents: number): string => `update ${table} set cents = ${cents} where id = ${id}`;

type Run = (
  body: (query: (text: string) => Promise<unknown>, changes: Changes) => Promise<unknown>,
  options?: { readonly retries?: number; readonly isSerializable?: boolean },
) => Promise<unknown>;

const LIBRARIES: readonly (readonly [string, Run])[] = [
  [
    "pg",
    (body, { isSerializable, retries } = {}) =>
      here.withTransaction(pool, (tx, changes) => body((text) => tx.query(text), changes as Changes), {
        retries,
        ...(isSerializable && { transaction: { isolationLevel: "serializable" } }),
      }),
  ],
  [
    "Drizzle",
    (body, { isSerializable, retries } = {}) =>
      here.withTransaction(
        drizzle(pool),
        (tx, changes) => body((text) => tx.execute(drizzleSql.raw(text)), changes as Changes),
        {
          retries,
          ...(isSerializable && { transaction: { isolationLevel: "serializable" } }),
        },
      ),
  ],
  [
    "Kysely",
    (body, { isSerializable, retries } = {}) =>
      here.withTransaction(
        kysely,
        (tx, changes) => body((text) => tx.executeQuery(CompiledQuery.raw(text)), changes as Changes),
        {
          retries,
          ...(isSerializable && { transaction: { isolationLevel: "serializable" } }),
        },
      ),
  ],
  [
    "MikroORM",
    (body, { isSerializable, retries } = {}) =>
      here.withTransaction(orm.em.fork(), (em, changes) => body((text) => em.execute(text), changes as Changes), {
        retries,
        ...(isSerializable && { transaction: { isolationLevel: "serializable" } }),
      }),
  ],
  [
    "Prisma's interface",
    (body, { isSerializable, retries } = {}) =>
      here.withTransaction(
        new PrismaLike(pool),
        (tx, changes) => body((text) => tx.$executeRawUnsafe(text), changes as Changes),
        {
          retries,
          ...(isSerializable && { transaction: { isolationLevel: "Serializable" } }),
        },
      ),
  ],
];

describe.each(LIBRARIES)("with %s", (name, run) => {
  it("C745: a commit is seen in both processes, and a copy of a row that it has not changed stays", async () => {
    await run(async (query, changes) => {
      await query(update(1, 150));
      changes.delete("product:1");
    });
    expect(await here.cents(1)).toBe(150);
    await expect.poll(() => there.cents(1)).toBe(150);
    expect(await there.cache.get("product:2")).toBe(100);
  });

  it("C745: what a reader loads beside the open transaction is stored nowhere", async () => {
    await here.cache.delete("product:1");
    await run(async (query, changes) => {
      await query(update(1, 160));
      changes.delete("product:1");
      await expect.poll(() => there.isHeld("product:1")).toBe(true);
      expect([await there.cents(1), await here.cents(1)]).toEqual([100, 100]);
      expect([await there.cache.get("product:1"), await here.cache.get("product:1")]).toEqual([undefined, undefined]);
    });
    expect(await here.cents(1)).toBe(160);
    await expect.poll(() => there.cents(1)).toBe(160);
  });

  it("C745: an error rolls back, and nothing changes", async () => {
    const failed = run(async (query, changes) => {
      await query(update(1, 150));
      changes.delete("product:1");
      changes.invalidateTags("products");
      await query(update(2, -1));
    });
    await expect(failed).rejects.toThrow();
    expect([
      await here.cache.get("product:1"),
      await there.cache.get("product:2"),
      await here.centsInDatabase(1),
    ]).toEqual([100, 100, 100]);
    await here.cache.delete("product:1");
    expect([await here.cents(1), await here.cache.get("product:1")]).toEqual([100, 100]);
  });

  it("C745: a savepoint that is rolled back takes its changes with it", async () => {
    await run(async (query, changes) => {
      await query(update(1, 150));
      changes.delete("product:1");
      const undone = changes.savepoint(async (tx, inner) => {
        inner.delete("product:2");
        await executed(name, tx, update(2, 170));
        await executed(name, tx, update(2, -1));
      });
      await expect(undone).rejects.toThrow();
      await changes.savepoint((tx) => executed(name, tx, update(2, 101)));
    });
    expect([await here.cents(1), await here.cache.get("product:2"), await here.centsInDatabase(2)]).toEqual([
      150, 100, 101,
    ]);
  });

  it("C745: one that loses to another is retried, and its changes are those of the last attempt", async () => {
    let attempts = 0;
    await run(
      async (query, changes) => {
        attempts += 1;
        await query(`select cents from ${table} where id = 1`);
        if (attempts === 1) await postgres.query(update(1, 130));
        changes.delete(`product:${attempts}`);
        await query(`update ${table} set cents = cents + 1 where id = 1`);
      },
      { retries: 2, isSerializable: true },
    );
    expect([attempts, await here.centsInDatabase(1)]).toEqual([2, 131]);
    expect([await here.cache.get("product:1"), await here.cache.get("product:2")]).toEqual([100, undefined]);
  });

  it("C745: the row of the outbox is written with the transaction, and deleted once its changes are acknowledged", async () => {
    const rows = async (): Promise<number> => (await postgres.query("select * from hotset_outbox")).length;
    let isThere = 0;
    await run(async (query, changes) => {
      await query(update(1, 150));
      changes.delete("product:1");
      isThere = await rows();
    });
    expect(isThere).toBe(0);
    await expect.poll(rows).toBe(0);
    const stopped = run(async (_query, changes) => {
      changes.delete("product:1");
      throw new Error("no");
    });
    await expect(stopped).rejects.toThrow("no");
    expect(await rows()).toBe(0);
  });
});

/** In the transaction of a savepoint, which is the library's own where it has one. */
async function executed(name: string, tx: unknown, text: string): Promise<unknown> {
  const any = tx as Record<string, (given: unknown) => Promise<unknown>>;
  if (name === "pg") return any["query"]!(text);
  if (name === "Drizzle") return any["execute"]!(drizzleSql.raw(text));
  if (name === "Kysely") return any["executeQuery"]!(CompiledQuery.raw(text));
  return any[name === "MikroORM" ? "execute" : "$executeRawUnsafe"]!(text);
}

it("pg: a failed statement whose error was caught makes the commit a rollback, which is an error", async () => {
  const swallowed = here.withTransaction(
    pool,
    async (tx, changes) => {
      await tx.query(update(2, -1)).catch(() => undefined);
      changes.delete("product:2");
    },
    { outbox: false },
  );
  await expect(swallowed).rejects.toThrow("the transaction was rolled back, because one of its statements had failed");
  expect(await here.cache.get("product:2")).toBe(100);
});

it("pg: a client that is not of a pool", async () => {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await here.withTransaction(client, async (tx, changes) => {
    await tx.query(update(1, 177));
    changes.delete("product:1");
  });
  expect(await here.cents(1)).toBe(177);
  await expect(
    here.withTransaction(client, async () => 1, { transaction: { isolationLevel: "serializable; drop table x" } }),
  ).rejects.toThrow("isolationLevel must be serializable, repeatable read or read committed");
  await client.end();
});

it("pg: a begin that was not answered in time leaves no transaction open in the pool", async () => {
  await using proxy = await startProxy(Number(new URL(postgres.url).port));
  const own = new URL(postgres.url);
  own.port = String(proxy.port);
  const late = new pg.Pool({ connectionString: own.href, max: 1, query_timeout: 200 });
  late.on("error", () => undefined);
  await late.query("select 1");
  proxy.stall("toClient");
  await expect(here.withTransaction(late, async () => 1)).rejects.toThrow("timeout");
  await proxy.pass();
  await late.query(update(1, 166));
  expect(await here.centsInDatabase(1)).toBe(166);
  await late.end();
});

it("MikroORM: a flush at the end of the body is part of the transaction", async () => {
  await here.withTransaction(orm.em.fork(), async (em, changes) => {
    const found = await em.findOneOrFail(product, 1);
    found.cents = 188;
    changes.delete("product:1");
  });
  expect(await here.cents(1)).toBe(188);
});
