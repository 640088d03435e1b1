import { setTimeout as sleep } from "node:timers/promises";
import { emitted } from "@hotset/postgres-follow";
import {
  forkScript,
  Random,
  startOwnPostgres,
  startOwnRedis,
  until,
  type OwnPostgres,
  type OwnRedis,
  type ScriptProcess,
} from "@hotset/test-servers";
import pg from "pg";
import { type Alteration, ALTERATIONS, Alterations, HALF, SCHEMA, SHELVES } from "./alterations.ts";
import type { Read, ShopHandlers } from "./shop-process.ts";

const ROWS = 2 * HALF;
const SILENCE_MS = 2_000;
/** As the guide says: `silence` and 5 s, once PostgreSQL and Redis answer. */
export const BOUND_MS = SILENCE_MS + 5_000;

export const FAULTS = [
  ...ALTERATIONS,
  "follower killed",
  "follower frozen",
  "another process frozen",
  "another process killed",
  "PostgreSQL restarted",
  "PostgreSQL killed",
  "PostgreSQL frozen",
  "Redis killed",
  "Redis frozen",
] as const;
type Fault = (typeof FAULTS)[number];

export interface HistoryReport {
  readonly reads: number;
  readonly commits: number;
  readonly faults: number;
  /** Reads that were older than the bound allows. */
  readonly late: readonly string[];
  /** Entries that were still old at the end. */
  readonly lost: readonly string[];
  /** The oldest read while no server was down and none had been for the bound. */
  readonly oldestMs: number;
}

type Commit = readonly [at: number, version: number];

/** Three processes with caches, two writers by SQL, and faults one after another. */
export async function history(
  seed: number,
  options: { readonly faults: readonly Fault[]; readonly everyMs: number },
): Promise<HistoryReport> {
  const random = new Random(seed);
  await using postgres = await startOwnPostgres({
    config: ["wal_level = logical", "max_slot_wal_keep_size = 1GB", "max_wal_senders = 20"],
  });
  await using redis = await startOwnRedis();
  await postgres.query(SCHEMA);
  await using fleet = new Fleet({ postgres, redis });
  await fleet.start();
  const writers = [new Writer(postgres, "items"), new Writer(postgres, "notes")] as const;
  const written = writers.map((writer) => writer.run(random.fork(1)));
  const alterations = new Alterations(postgres, (changed) => {
    for (const [name, version] of changed) writers[0].committed(name, version);
  });
  const collecting = fleet.collect();
  await until("a follower", async () => (await fleet.follower()) !== undefined);

  const down: (readonly [from: number, to: number])[] = [];
  for (const fault of options.faults) {
    await sleep(random.gap(options.everyMs / 2) + options.everyMs / 4);
    const from = Date.now();
    const isOfServer = isAlteration(fault)
      ? await alterations.make(fault, random).then(() => false)
      : await fleet.suffer(fault, random);
    if (isOfServer) down.push([from, Date.now()]);
  }
  await sleep(1_000);
  for (const writer of writers) writer.isEnding = true;
  await Promise.all(written);
  await sleep(BOUND_MS);
  const lost = await lostIn(fleet, postgres);
  fleet.isEnding = true;
  await collecting;
  const commits = new Map(writers.flatMap((writer) => [...writer.commits]));
  return { ...judged(fleet.reads, commits, down), faults: options.faults.length, lost };
}

const isAlteration = (fault: Fault): fault is Alteration => ALTERATIONS.some((each) => each === fault);

/** Changes rows as another program does: those of `items` by rows alone, those of `notes` with a message. */
class Writer {
  readonly commits = new Map<string, Commit[]>();
  isEnding = false;
  readonly #postgres: OwnPostgres;
  readonly #table: string;

  constructor(postgres: OwnPostgres, table: string) {
    this.#postgres = postgres;
    this.#table = table;
  }

  async run(random: Random): Promise<void> {
    while (!this.isEnding) {
      const client = new pg.Client({
        connectionString: this.#postgres.url,
        query_timeout: 2_000,
        connectionTimeoutMillis: 2_000,
      });
      client.on("error", () => undefined);
      try {
        await client.connect();
        while (!this.isEnding) {
          if (this.#table === "items" && random.oneIn(3)) await this.#move(client, random.below(ROWS));
          else await this.#change(client, random.below(ROWS));
          await sleep(random.gap(10));
        }
      } catch {
        // Whether it committed is unknown; later versions are of later commits.
        await sleep(50);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  async #change(client: pg.Client, id: number): Promise<void> {
    const name = `${this.#table}:${id}`;
    await client.query("begin");
    const { rows } = await client.query<{ readonly version: number }>(
      `update ${this.#table} set version = version + 1 where id = $1 returning version`,
      [id],
    );
    if (this.#table === "notes") await client.query(emitted({ tags: [name] }));
    await client.query("commit");
    this.committed(name, rows[0]!.version);
  }

  /** To another shelf: only the older row says which one it leaves. */
  async #move(client: pg.Client, id: number): Promise<void> {
    await client.query("begin");
    const { rows: items } = await client.query<{ readonly shelf: number; readonly version: number }>(
      `update items set version = version + 1, shelf = (shelf + 1) % ${SHELVES} where id = $1 returning shelf, version`,
      [id],
    );
    const [{ shelf, version }] = items as [(typeof items)[number]];
    const { rows: shelves } = await client.query<{ readonly id: number; readonly version: number }>(
      "update shelves set version = version + 1 where id = any($1) returning id, version",
      [[shelf, (shelf + SHELVES - 1) % SHELVES]],
    );
    await client.query("commit");
    this.committed(`items:${id}`, version);
    for (const each of shelves) this.committed(`shelves:${each.id}`, each.version);
  }

  committed(name: string, version: number | string): void {
    this.commits.set(name, [...(this.commits.get(name) ?? []), [Date.now(), Number(version)]]);
  }
}

class Fleet implements AsyncDisposable {
  readonly reads: Read[] = [];
  isEnding = false;
  readonly #servers: { readonly postgres: OwnPostgres; readonly redis: OwnRedis };
  readonly #shops: ScriptProcess<ShopHandlers>[] = [];
  readonly #frozen = new Set<ScriptProcess<ShopHandlers>>();

  constructor(servers: { readonly postgres: OwnPostgres; readonly redis: OwnRedis }) {
    this.#servers = servers;
  }

  async start(): Promise<void> {
    for (let i = 0; i < 3; i += 1) this.#shops.push(await this.#started());
  }

  get shops(): readonly ScriptProcess<ShopHandlers>[] {
    return this.#shops;
  }

  async collect(): Promise<void> {
    while (!this.isEnding) {
      await sleep(100);
      for (const shop of this.#shops.filter((each) => !this.#frozen.has(each)))
        // It may have been frozen or killed meanwhile.
        void shop.call("reads").then(
          (reads) => {
            for (const read of reads) this.reads.push(read);
          },
          () => undefined,
        );
    }
  }

  async follower(): Promise<number | undefined> {
    const roles = await Promise.all(this.#shops.map(async (shop) => (await shop.call("stats"))?.role));
    const found = roles.indexOf("following");
    return found < 0 ? undefined : found;
  }

  /** @returns whether a server was down meanwhile. */
  async suffer(fault: Exclude<Fault, Alteration>, random: Random): Promise<boolean> {
    const { postgres, redis } = this.#servers;
    switch (fault) {
      case "follower killed":
      case "another process killed": {
        await this.#kill(await this.#chosen(fault, random));
        return false;
      }
      case "follower frozen":
      case "another process frozen": {
        await this.#freeze(await this.#chosen(fault, random));
        return false;
      }
      case "PostgreSQL restarted":
        await postgres.restart();
        return true;
      case "PostgreSQL killed":
        await postgres.kill();
        await postgres.start();
        return true;
      case "PostgreSQL frozen":
        await postgres.pause();
        await sleep(3_000);
        await postgres.resume();
        return true;
      case "Redis killed":
        await redis.kill();
        await sleep(1_000);
        await redis.start();
        return true;
      case "Redis frozen":
        redis.pause();
        await sleep(3_000);
        redis.resume();
        return true;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#shops.map((shop) => shop[Symbol.asyncDispose]()));
  }

  async #chosen(fault: Fault, random: Random): Promise<number> {
    const follower = await until("a follower", () => this.follower());
    return fault.startsWith("follower") ? follower : (follower + 1 + random.below(2)) % 3;
  }

  async #kill(index: number): Promise<void> {
    await this.#shops[index]!.kill();
    this.#shops[index] = await this.#started();
  }

  /** For longer than its server waits for it. */
  async #freeze(index: number): Promise<void> {
    const shop = this.#shops[index]!;
    this.#frozen.add(shop);
    shop.pause();
    await sleep(SILENCE_MS + 3_000);
    shop.resume();
    this.#frozen.delete(shop);
  }

  async #started(): Promise<ScriptProcess<ShopHandlers>> {
    const { postgres, redis } = this.#servers;
    const shop = forkScript<ShopHandlers>(new URL("shop-process.ts", import.meta.url));
    await shop.call("begin", {
      redisUrl: redis.url,
      postgresUrl: postgres.url,
      silence: SILENCE_MS,
      rows: ROWS,
      shelves: SHELVES,
    });
    return shop;
  }
}

/** Entries of which any process does not have the last version. */
async function lostIn(fleet: Fleet, postgres: OwnPostgres): Promise<readonly string[]> {
  const versions = new Map<string, number>();
  for (const table of ["items", "notes", "shelves"])
    for (const { id, version } of await postgres.query(`select id, version from ${table}`))
      versions.set(`${table}:${Number(id)}`, Number(version));
  const reads = (await Promise.all(fleet.shops.map((shop) => shop.call("all")))).flat();
  if (reads.length !== 3 * (2 * ROWS + SHELVES)) return [`only ${reads.length} reads at the end`];
  return reads.flatMap(([name, , version]) =>
    version === versions.get(name) ? [] : [`${name}: ${version}, not ${versions.get(name)}`],
  );
}

function judged(
  reads: readonly Read[],
  commits: ReadonlyMap<string, readonly Commit[]>,
  down: readonly (readonly [from: number, to: number])[],
): Pick<HistoryReport, "reads" | "commits" | "late" | "oldestMs"> {
  const late: string[] = [];
  let oldestMs = 0;
  /** When a change of this instant is seen by all: a server that is down in the meantime begins the bound again. */
  const dueAt = (committedAt: number): number =>
    down.reduce(
      (due, [from, to]) => (from <= due && to >= committedAt ? Math.max(due, to + BOUND_MS) : due),
      committedAt + BOUND_MS,
    );
  for (const [name, at, version] of reads) {
    // The first commit that the read did not see.
    const missed = commits.get(name)?.find(([committedAt, committed]) => committed > version && committedAt < at);
    if (missed === undefined) continue;
    const [committedAt] = missed;
    if (dueAt(committedAt) === committedAt + BOUND_MS) oldestMs = Math.max(oldestMs, at - committedAt);
    if (at > dueAt(committedAt)) late.push(`${name}: ${version} at ${at}, ${at - committedAt} ms after ${missed[1]}`);
  }
  const count = [...commits.values()].reduce((sum, { length }) => sum + length, 0);
  return { reads: reads.length, commits: count, late: late.slice(0, 10), oldestMs };
}
