import { setTimeout as sleep } from "node:timers/promises";
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
import { OUTBOX } from "../shop.ts";
import {
  STEPS,
  type Change,
  type Read,
  type ShopHandlers,
  type ShopOptions,
  type Step,
  type Way,
} from "./shop-process.ts";

const ROWS = 5;
const TABLE = "products";
/** Others drop their copies within `maxStaleness`. */
const BOUND_MS = 2_500;
const WRITERS = 3;

export interface HistoryOptions {
  readonly way: Way;
  readonly changes: number;
  /** Of how many changes one kills its process. */
  readonly deaths?: number | undefined;
  /** @default any of them */
  readonly steps?: readonly Step[] | undefined;
  /** Whether Redis is killed and started meanwhile. */
  readonly redisDies?: boolean | undefined;
}

export interface HistoryReport {
  readonly reads: number;
  readonly commits: number;
  readonly rollbacks: number;
  readonly deaths: number;
  /** Reads that were older than the bound allows, and own reads after an own commit. */
  readonly late: readonly string[];
  /** Rows that were still old at the end. */
  readonly lost: readonly string[];
  /** Rows that are cached at the end. */
  readonly stored: number;
  /** Rows of the outbox that were left. */
  readonly left: number;
}

type Shop = ScriptProcess<ShopHandlers>;

/** Two processes that read, three that change rows in transactions and die at random steps. */
export async function history(seed: number, options: HistoryOptions): Promise<HistoryReport> {
  const random = new Random(seed);
  await using postgres = await startOwnPostgres();
  await using redis = await startOwnRedis();
  await postgres.query(`create table ${TABLE} (id int primary key, cents int not null)`);
  await postgres.query(`insert into ${TABLE} select i, 0 from generate_series(0, ${ROWS - 1}) i`);
  await postgres.query(OUTBOX);
  await using run = new Run({ postgres, redis });
  const readers = await Promise.all([run.start(true), run.start(true)]);
  // A key that is deleted by chance would hide a change that was lost.
  if (options.way === "after") await Promise.all(readers.map((reader) => reader.call("rest")));
  const writers = Array.from({ length: WRITERS }, (_, i) => run.change(random.fork(i), options));
  if (options.redisDies === true) {
    await sleep(random.below(1_500));
    await redis.kill();
    run.down.push(Date.now());
    await sleep(random.below(1_000));
    await redis.start();
    run.down.push(Date.now());
  }
  await Promise.all(writers);
  await Promise.all(readers.map((reader) => reader.call("rest")));
  const rows = async (): Promise<number> => (await postgres.query("select * from hotset_outbox")).length;
  if (options.way === "withTransaction") await until("an empty outbox", async () => (await rows()) === 0);
  await sleep(BOUND_MS);
  for (const reader of readers) for (const each of await reader.call("reads")) run.reads.push(each);
  const truth = await postgres.query(`select id, cents from ${TABLE}`);
  const lost: string[] = [];
  for (const reader of readers)
    for (const [id, , version] of await reader.call("all", ROWS)) {
      const { cents } = truth.find((row) => row["id"] === id)!;
      if (version !== cents) lost.push(`${id} is ${version}, not ${String(cents)}`);
    }
  const stored = await readers[0].call("stored", ROWS);
  const { commits, rollbacks, deaths, reads } = run;
  return {
    reads: reads.length,
    commits: commits.length,
    rollbacks,
    deaths,
    late: run.late(),
    lost,
    stored,
    left: await rows(),
  };
}

class Run implements AsyncDisposable {
  readonly reads: Read[] = [];
  readonly commits: (readonly [id: number, at: number, version: number])[] = [];
  readonly down: number[] = [];
  rollbacks = 0;
  deaths = 0;
  readonly #own: string[] = [];
  readonly #options: ShopOptions;
  readonly #shops = new Set<Shop>();

  constructor({ postgres, redis }: { readonly postgres: OwnPostgres; readonly redis: OwnRedis }) {
    this.#options = { redisUrl: redis.url, prefix: "h", postgresUrl: postgres.url, table: TABLE, rows: ROWS };
  }

  async start(isReader: boolean): Promise<Shop> {
    const shop = forkScript<ShopHandlers>(new URL("shop-process.ts", import.meta.url));
    this.#shops.add(shop);
    await shop.call("begin", this.#options, isReader);
    return shop;
  }

  /** One process after another, each until it dies. */
  async change(random: Random, { way, changes, deaths = 0, steps = STEPS }: HistoryOptions): Promise<void> {
    let shop = await this.start(false);
    for (let i = 0; i < changes; i += 1) {
      const change: Change = {
        id: random.below(ROWS),
        way,
        diesAt: deaths > 0 && random.oneIn(deaths) ? random.one(steps) : undefined,
        end: random.oneIn(4) ? "rollback" : "commit",
        undone: random.oneIn(4) ? random.below(ROWS) : undefined,
        isSerializable: random.oneIn(3),
        openMs: random.below(20),
      };
      const ended = await Promise.race([this.#changed(shop, change), shop.exited.then(() => "dead" as const)]);
      if (ended !== "dead") continue;
      this.deaths += 1;
      this.#shops.delete(shop);
      shop = await this.start(false);
    }
  }

  async #changed(shop: Shop, change: Change): Promise<"ended" | "dead"> {
    const { id } = change;
    const version = await shop.call("change", change).catch((error: unknown) => {
      if (change.diesAt !== undefined) return "dead" as const;
      throw error;
    });
    if (version === "dead") return "dead";
    if (version === undefined) {
      this.rollbacks += 1;
      return "ended";
    }
    this.commits.push([id, Date.now(), version]);
    const now = await shop.call("now", id);
    if (now < version) this.#own.push(`own read of ${id} is ${now}, after ${version}`);
    return "ended";
  }

  late(): readonly string[] {
    const isDown = (at: number): boolean => {
      const [from = Infinity, to = Infinity] = this.down;
      return at >= from && at <= to + 2 * BOUND_MS;
    };
    const late = this.reads.flatMap(([id, at, version]) => {
      const due = this.commits
        .filter((commit) => commit[0] === id && commit[1] + BOUND_MS < at)
        .map((commit) => commit[2]);
      const newest = Math.max(0, ...due);
      return version < newest && !isDown(at) ? [`read of ${id} is ${version}, long after ${newest}`] : [];
    });
    return [...this.#own, ...late];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#shops].map((shop) => shop.kill()));
  }
}
