/** One process of a shop, which reads without a pause, changes prices, and dies where it is told to. history.ts starts it. */
import { setTimeout as sleep } from "node:timers/promises";
import { answerCalls } from "@hotset/test-servers";
import type pg from "pg";
import { openShop } from "../shop.ts";

export interface ShopOptions {
  readonly redisUrl: string;
  readonly prefix: string;
  readonly postgresUrl: string;
  readonly table: string;
  readonly rows: number;
}

/** Where a process is killed. */
export const STEPS = ["noted", "written", "committing", "committed", "changing"] as const;
export type Step = (typeof STEPS)[number];

/** How the cache is told. By hand: `before` the commit, or `after` it. */
export type Way = "withTransaction" | "before" | "after";

export interface Change {
  readonly id: number;
  readonly way: Way;
  readonly diesAt: Step | undefined;
  readonly end: "commit" | "rollback";
  /** Another row, in a savepoint that is rolled back. */
  readonly undone: number | undefined;
  readonly isSerializable: boolean;
  /** How long it is open. */
  readonly openMs: number;
}

/** A read: of which row, when it began, and the version that it gave. */
export type Read = readonly [id: number, at: number, version: number];

let shop: ReturnType<typeof openShop>;
let table: string;
let isReading = true;
let isDeleting = true;
const reads: Read[] = [];

async function read(id: number, into: Read[] = reads): Promise<void> {
  const at = Date.now();
  const version = await shop.cents(id).catch(() => undefined);
  if (version !== undefined) into.push([id, at, version]);
}

async function readOn(rows: number): Promise<void> {
  for (let i = 0; isReading; i = (i + 1) % rows) {
    await read(i);
    // Or nothing is ever loaded beside a transaction.
    if (i === 0 && isDeleting) await shop.cache.delete(`product:${Math.floor(Math.random() * rows)}`);
    await sleep(1);
  }
}

/** Never goes on. */
function die(): Promise<never> {
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => undefined);
}

/** The pool, with a client that dies at a step of its commit. */
function dyingAt(step: Step | undefined) {
  const connect = async () => {
    const client = await shop.pool.connect();
    const query = async (text: string, values?: unknown[]): Promise<pg.QueryResult> => {
      if (text !== "commit") return client.query(text, values);
      const answer = client.query<object>(text);
      if (step === "committing") {
        await new Promise((resolve) => setImmediate(resolve));
        await die();
      }
      const result = await answer;
      if (step === "committed") await die();
      if (step === "changing") setImmediate(() => void die());
      return result;
    };
    return { query, release: (error?: Error) => client.release(error) };
  };
  return { totalCount: 0, connect, query: (text: string) => shop.pool.query(text) };
}

type Query = (text: string, values?: unknown[]) => Promise<{ readonly rows: readonly unknown[] }>;

async function update(query: Query, id: number): Promise<number> {
  const { rows } = await query(`update ${table} set cents = cents + 1 where id = $1 returning cents`, [id]);
  return (rows as readonly { readonly cents: number }[])[0]!.cents;
}

class Undone extends Error {}

async function inTransaction(change: Change): Promise<number> {
  const { id, diesAt, end, undone, isSerializable, openMs } = change;
  const db = dyingAt(diesAt);
  return shop.withTransaction(
    db as never as pg.Pool,
    async (tx, changes) => {
      changes.delete(`product:${id}`);
      if (diesAt === "noted") await die();
      const version = await update(tx.query.bind(tx) as Query, id);
      if (undone !== undefined)
        await changes
          .savepoint(async (inner, innerChanges) => {
            await update(inner.query.bind(inner) as Query, undone);
            innerChanges.delete(`product:${undone}`);
            throw new Undone();
          })
          .catch((error: unknown) => {
            if (!(error instanceof Undone)) throw error;
          });
      await sleep(openMs);
      if (diesAt === "written") await die();
      if (end === "rollback") throw new Undone();
      return version;
    },
    { retries: 5, ...(isSerializable && { transaction: { isolationLevel: "serializable" } }) },
  );
}

/** As it is often written. */
async function byHand({ id, way, diesAt, end, openMs }: Change): Promise<number> {
  const client = await dyingAt(diesAt).connect();
  try {
    await client.query("begin");
    const version = await update(client.query as Query, id);
    if (way === "before") await shop.cache.delete(`product:${id}`);
    await sleep(openMs);
    if (end === "rollback") throw new Undone();
    await client.query("commit");
    if (way === "after") await shop.cache.delete(`product:${id}`);
    return version;
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}

const handlers = {
  begin: (options: ShopOptions, isReader: boolean): void => {
    ({ table } = options);
    shop = openShop(options, (pool) => ({ outbox: pool, outboxEvery: 300, holdFor: "2s" }));
    if (isReader) for (let reader = 0; reader < 2; reader += 1) void readOn(options.rows);
  },
  /** @returns the version that is committed, `undefined` after a rollback. */
  change: async (change: Change): Promise<number | undefined> => {
    try {
      const version = await (change.way === "withTransaction" ? inTransaction(change) : byHand(change));
      return version;
    } catch (error) {
      if (error instanceof Undone || ["40001", "40P01"].includes((error as { code: string }).code)) return undefined;
      throw error;
    }
  },
  /** A read of this process, which has just changed the row. */
  now: (id: number): Promise<number> => shop.cents(id),
  /** The reads since the last call. */
  reads: (): readonly Read[] => reads.splice(0),
  /** Deletes nothing any more: what is old stays so. */
  rest: (): void => void (isDeleting = false),
  /** A read of each row. */
  all: async (rows: number): Promise<readonly Read[]> => {
    isReading = false;
    await sleep(50);
    const last: Read[] = [];
    for (let i = 0; i < rows; i += 1) await read(i, last);
    return last;
  },
  /** Rows whose loads are stored: no transaction holds them any more. */
  stored: async (rows: number): Promise<number> => {
    let count = 0;
    for (let i = 0; i < rows; i += 1) {
      await shop.cents(i);
      if ((await shop.cache.get(`product:${i}`)) !== undefined) count += 1;
    }
    return count;
  },
  close: async (): Promise<void> => {
    isReading = false;
    await shop.end();
  },
};

export type ShopHandlers = typeof handlers;

answerCalls(handlers);
