/** One process with a cache, which follows, and reads without a pause. history.ts starts it. */
import { setTimeout as sleep } from "node:timers/promises";
import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { follow, type Follower, type FollowerStats } from "@hotset/postgres-follow";
import { redis } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";
import pg from "pg";

export interface ShopOptions {
  readonly redisUrl: string;
  readonly postgresUrl: string;
  readonly silence: number;
  /** Rows of each table. */
  readonly rows: number;
  readonly shelves: number;
}

/** A read: of which entry, when it began, and the version that it gave. */
export type Read = readonly [name: string, at: number, version: number];

let cache: Cache;
let pool: pg.Pool;
let follower: Follower | undefined;
const reads: Read[] = [];
let isReading = true;
let [rows, shelves] = [0, 0];

async function load(name: string): Promise<number> {
  const [table = "", id] = name.split(":");
  // A `bigint` comes as a text.
  const answer = await pool.query<{ readonly version: number | string }>(`select version from ${table} where id = $1`, [
    id,
  ]);
  return Number(answer.rows[0]!.version);
}

async function read(name: string, into: Read[] = reads): Promise<void> {
  const at = Date.now();
  const version = await cache.getOrSet(name, () => load(name), { tags: [name] }).catch(() => undefined);
  if (version !== undefined) into.push([name, at, version]);
}

async function readOn(): Promise<void> {
  for (let i = 0; isReading; i = (i + 7) % rows) {
    await Promise.all([read(`items:${i}`), read(`notes:${i}`), read(`shelves:${i % shelves}`)]);
    await sleep(2);
  }
}

/** Tries until both servers are up. */
async function followOn(silence: number): Promise<void> {
  while (follower === undefined && isReading)
    follower = await follow(pool, cache, {
      publication: "history",
      silence,
      tables: {
        items: ({ id, shelf }: { readonly id: number; readonly shelf: number }) => ({
          tags: [`items:${id}`, `shelves:${shelf}`],
        }),
      },
      logger: { warn: () => undefined },
    }).catch(() => sleep(200, undefined));
}

const handlers = {
  begin: (options: ShopOptions): void => {
    [rows, shelves] = [options.rows, options.shelves];
    cache = createCache({ name: "history", logger: { error: () => 0, warn: () => 0, info: () => 0 } })
      .tier(memory())
      .tier(redis(options.redisUrl).valueFormat(json()).build())
      .defaults({ ttl: "1h" })
      .build();
    pool = new pg.Pool({
      connectionString: options.postgresUrl,
      max: 6,
      query_timeout: 2_000,
      connectionTimeoutMillis: 2_000,
    });
    pool.on("error", () => undefined);
    void followOn(options.silence);
    for (let reader = 0; reader < 2; reader += 1) void readOn();
  },
  stats: (): FollowerStats | undefined => follower?.stats(),
  /** The reads since the last call. */
  reads: (): readonly Read[] => reads.splice(0),
  /** A read of each entry. */
  all: async (): Promise<readonly Read[]> => {
    isReading = false;
    await sleep(50);
    // Not the list that is collected meanwhile.
    const last: Read[] = [];
    for (const table of ["items", "notes"]) for (let i = 0; i < rows; i += 1) await read(`${table}:${i}`, last);
    for (let i = 0; i < shelves; i += 1) await read(`shelves:${i}`, last);
    return last;
  },
  close: async (): Promise<void> => {
    isReading = false;
    await follower?.close();
    await cache.close();
    await pool.end();
  },
};

export type ShopHandlers = typeof handlers;

answerCalls(handlers);
