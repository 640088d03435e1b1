import { setTimeout as sleep } from "node:timers/promises";
import type { OwnPostgres, OwnRedis } from "@hotset/test-servers";
import type { DemoArguments } from "./arguments.ts";
import { temporaryCatalogue } from "./catalogue.ts";
import { IN_DATABASE, startDatabase } from "./database.ts";
import { Progress } from "./progress.ts";
import { ms, seconds, short, slowestOf, whole, type Frozen, type Restart, type Run, type Seen } from "./report.ts";
import type { ShopOptions } from "./shop.ts";
import { ShopProcess, type Counts } from "./shops.ts";
import type { DemoStore } from "./store.ts";
import { Till } from "./till.ts";

const SEED = 20_251;
const PRODUCTS = Array.from({ length: 150 }, (_, i) => `product-${i}`);
/** Concurrent visitors of each process. */
const VISITORS = 4;
/** Concurrent first requests of each process, for one price. */
const CROWD = 100;
/** One of this many changes removes a product: the first one, too. */
const REMOVAL_EVERY = 8;
const OUTAGE_MS = 1_000;
const SQL_CHANGES = 20;
const FREEZE_MS = 3_000;
/** A change that is not seen by then counts as never seen. */
const PATIENCE_MS = 15_000;

/** The stage of one run. */
interface Stage {
  readonly shops: readonly ShopProcess[];
  readonly till: Till;
  readonly seen: Seen[];
  readonly owner: Owner;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Starts the processes over one store, sends requests to all of them and changes prices through each in turn:
 *
 *     a crowd misses one price ──▶ a delete ──▶ changes ──▶ Redis is killed, and back, empty ──▶ changes ──▶
 *     Redis is frozen ──▶ each process is replaced by one that writes msgpack ──▶ changes ──▶ end
 *
 * Only a Redis that the demo started is killed and frozen.
 *
 * @throws the reason of `signal` when it is aborted; then the processes are ended.
 */
export async function drive(
  args: Pick<DemoArguments, "seconds" | "requests" | "processes">,
  { store, signal }: { readonly store: DemoStore; readonly signal: AbortSignal },
): Promise<Run> {
  await using catalogue = await temporaryCatalogue(PRODUCTS);
  // Where a Redis could be started, a PostgreSQL usually can.
  await using database = store.own === undefined ? undefined : await startDatabase();
  const options: ShopOptions = {
    store: store.options,
    format: "json",
    folder: catalogue.folder,
    postgresUrl: database?.url,
  };
  const shops = await ShopProcess.start(args.processes, options, CROWD);
  await using _processes = {
    [Symbol.asyncDispose]: async () => void (await Promise.all(shops.map((shop) => shop[Symbol.asyncDispose]()))),
  };
  const till = new Till(shops.length);
  const startedAt = performance.now();
  const since = (): string => seconds(performance.now() - startedAt).padStart(7);
  const seen: Seen[] = [];
  using progress = new Progress(process.stdout, () => `${since()}  ${soFar(till, seen)}`);
  const say = (text: string): void => progress.say(`${since()}  ${text}`);
  const stage: Stage = { shops, till, seen, owner: new Owner(shops, till, seen, signal), say, signal };

  const crowd = await gather(stage);
  await (
    await stage.owner.change()
  )();
  say(`a product deleted through one process: gone from the others after ${slowestOf(seen)}`);
  let isOver = false;
  const visits = visit(shops, till, { perSecond: args.requests / args.seconds, isOver: () => isOver });
  let incidents: Incidents;
  try {
    incidents = await causeIncidents(args, { own: store.own, options, startedAt }, stage);
  } finally {
    isOver = true;
    await visits;
  }
  const { inOutage, ...results } = incidents;
  const counts = await countsOf(shops);
  const bySql = database === undefined ? {} : { bySql: await changeBySql(database, stage) };
  await Promise.all(shops.map((shop) => shop.close()));
  return {
    ...results,
    ...counts,
    ...bySql,
    till,
    seen,
    crowd,
    processes: shops.length,
    products: PRODUCTS.length,
    leastRequests: args.requests,
    tookMs: performance.now() - startedAt,
    unanswered: counts.unanswered - inOutage,
  };
}

interface Cause {
  /** The Redis that may be killed and frozen. */
  readonly own: OwnRedis | undefined;
  readonly options: ShopOptions;
  readonly startedAt: number;
}

interface Incidents extends Pick<Run, "swap" | "restart" | "frozen"> {
  /** Calls that Redis did not answer while it was down or frozen. */
  readonly inOutage: number;
}

async function causeIncidents(
  { seconds: least, requests }: Pick<DemoArguments, "seconds" | "requests">,
  { own, options, startedAt }: Cause,
  stage: Stage,
): Promise<Incidents> {
  const { shops, till, seen, owner, say, signal } = stage;
  const share = (part: number): number => startedAt + part * least * 1_000;
  await until(async () => till.requests >= PRODUCTS.length, { signal, withinMs: PATIENCE_MS });
  await owner.changeUntil(() => performance.now() >= share(0.25) && seen.length >= REMOVAL_EVERY);
  say(`${seen.length} changes were seen by all, the slowest after ${slowestOf(seen)}`);
  const before = await countsOf(shops);
  const faults = own === undefined ? {} : { restart: await outage(own, stage), frozen: await freeze(own, stage) };
  const inOutage = own === undefined ? 0 : (await countsOf(shops)).unanswered - before.unanswered;
  const inJson = await formatsOf(shops);
  await redeploy({ ...options, format: "msgpack" }, stage);
  const enough = seen.length + shops.length;
  await owner.changeUntil(() => performance.now() >= share(1) && till.requests >= requests && seen.length >= enough);
  return { ...faults, inOutage, swap: { before: inJson, after: await formatsOf(shops) } };
}

/** Requests, changes and failures until now. */
const soFar = (till: Till, seen: readonly Seen[]): string =>
  `${whole(till.requests)} requests, ${seen.length} changes seen by all${till.failed === 0 ? "" : `, ${whole(till.failed)} FAILED (${till.failures[0]})`}`;

async function countsOf(shops: readonly ShopProcess[]): Promise<Counts> {
  const counts = await Promise.all(shops.map((shop) => shop.counts()));
  const sum = (of: (each: Counts) => number): number => counts.reduce((total, each) => total + of(each), 0);
  return {
    loads: sum(({ loads }) => loads),
    overtaken: sum(({ overtaken }) => overtaken),
    unanswered: sum(({ unanswered }) => unanswered),
  };
}

/** Every process gets many requests for one price that none of them has. */
async function gather({ shops, till, say }: Stage): Promise<Run["crowd"]> {
  const product = PRODUCTS.at(-1)!;
  await Promise.all(
    shops.flatMap((shop, process) => Array.from({ length: CROWD }, () => visitOf(shop, till, process, product))),
  );
  const { loads } = await countsOf(shops);
  const callers = CROWD * shops.length;
  say(
    `${callers} callers of ${shops.length} processes missed one price together: ${loads} ${loads === 1 ? "load" : "loads"}`,
  );
  return { callers, loads };
}

/** Changes prices, through one process after the other, and waits each time until every process shows the change. */
class Owner {
  readonly #shops: readonly ShopProcess[];
  readonly #till: Till;
  readonly #seen: Seen[];
  readonly #signal: AbortSignal;
  readonly #removed = new Set<string>();
  #turn = 0;

  constructor(shops: readonly ShopProcess[], till: Till, seen: Seen[], signal: AbortSignal) {
    this.#shops = shops;
    this.#till = till;
    this.#seen = seen;
    this.#signal = signal;
  }

  async changeUntil(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await (
        await this.change()
      )();
      await sleep(50, undefined, { signal: this.#signal });
    }
  }

  /** Makes the next change. @returns a function that waits until all processes have shown it. */
  async change(sinceWhen = (): number => performance.now()): Promise<() => Promise<void>> {
    const turn = this.#turn++;
    const through = turn % this.#shops.length;
    const product = this.#next(turn);
    const shop = this.#shops[through]!;
    const isRemoval = turn % REMOVAL_EVERY === 0;
    if (isRemoval) {
      this.#removed.add(product);
      this.#till.leaves(product);
    }
    const { version, isPending } = isRemoval
      ? { version: undefined, ...(await shop.remove(product)) }
      : await shop.change(product, 1_000 + turn);
    this.#till.done(product, version, through, isPending);
    const at = sinceWhen();
    return async () => {
      const delays = await Promise.all(this.#shops.map((each, i) => this.#delayAt(each, i, product, version)));
      this.#seen.push({
        isRemoval,
        wasPending: isPending,
        slowestMs: Math.max(...delays) - (isPending ? sinceWhen() : at),
      });
    };
  }

  /**
   * Reads until this process shows the change.
   *
   * @returns when the last answer without it was asked for; Infinity: no answer shows it.
   */
  async #delayAt(shop: ShopProcess, index: number, product: string, version: number | undefined): Promise<number> {
    let lastAskedAt = performance.now();
    const deadline = lastAskedAt + PATIENCE_MS;
    while (performance.now() < deadline) {
      this.#signal.throwIfAborted();
      const askedAt = performance.now();
      const price = await shop.price(product);
      this.#till.answered(index, product, price, askedAt);
      if (version === undefined ? price === undefined : price !== undefined && price.version >= version)
        return lastAskedAt;
      lastAskedAt = askedAt;
    }
    return Infinity;
  }

  #next(turn: number): string {
    for (let i = turn; ; i += 1) {
      const product = PRODUCTS[(i * 7) % PRODUCTS.length]!;
      if (!this.#removed.has(product)) return product;
    }
  }
}

/** Makes each process hold every price. */
async function warm({ shops, till }: Stage): Promise<void> {
  await Promise.all(
    shops.map(async (shop, process) => {
      for (const product of PRODUCTS) await visitOf(shop, till, process, product);
    }),
  );
}

/** All processes continue without Redis, and with changes; then Redis is back, empty. */
async function outage(redis: OwnRedis, stage: Stage): Promise<Restart> {
  const { shops, owner, till, say, signal } = stage;
  // A price that a process does not hold when Redis is killed, it would have to load itself.
  await warm(stage);
  const killed = await redis.runId();
  const { pid } = redis;
  const before = till.requests;
  await redis.kill();
  say(`killed Redis (SIGKILL to ${pid})`);
  let backAt = Infinity;
  const waits: (() => Promise<void>)[] = [];
  // Enough for each process to make one, and for one of them to remove a product.
  for (let i = 0; i < REMOVAL_EVERY; i += 1) {
    waits.push(await owner.change(() => backAt));
    await sleep(OUTAGE_MS / REMOVAL_EVERY, undefined, { signal });
  }
  const answered = till.requests - before;
  await redis.start();
  backAt = performance.now();
  const started = await redis.runId();
  say(`started it again, empty (run_id ${short(killed)} is now ${short(started)})`);
  await inStep(shops, signal);
  till.settled();
  say(`all receive changes again, ${Math.round(performance.now() - backAt)} ms after that`);
  await Promise.all(waits.map((wait) => wait()));
  return { runIds: [killed, started], answered, keysSince: Number(await redis.command("DBSIZE")) };
}

/** Redis keeps its connections, and answers nothing. */
async function freeze(redis: OwnRedis, stage: Stage): Promise<Frozen> {
  const { shops, till, say, signal } = stage;
  await warm(stage);
  const before = till.requests;
  till.watch();
  redis.pause();
  say(`froze Redis (SIGSTOP): it answers nothing for ${FREEZE_MS / 1_000} s`);
  try {
    await sleep(FREEZE_MS, undefined, { signal });
  } finally {
    redis.resume();
  }
  await inStep(shops, signal);
  const frozen = { answered: till.requests - before, longestMs: till.watch() };
  say(`it answers again; ${whole(frozen.answered)} requests were answered, the slowest in ${ms(frozen.longestMs)}`);
  return frozen;
}

/** Replaces each process in turn, under load. */
async function redeploy(options: ShopOptions, { shops, say }: Stage): Promise<void> {
  for (const shop of shops) await shop.redeploy(options, CROWD);
  say(`replaced the ${shops.length} processes in turn: the new ones write msgpack, and read JSON`);
}

/**
 * Changes a price as `psql` does: no process is notified.
 *
 * @returns for each change how long after its commit the last process showed it; Infinity: never.
 */
async function changeBySql(database: OwnPostgres, { shops, say, signal }: Stage): Promise<readonly number[]> {
  const delays: number[] = [];
  for (let change = 0; change < SQL_CHANGES; change += 1) {
    await Promise.all(shops.map((shop) => shop.price(IN_DATABASE)));
    const [row] = await database.query("update prices set cents = cents + 1, version = version + 1 returning version");
    const committedAt = performance.now();
    let isSeen = false;
    await until(
      async () => {
        const prices = await Promise.all(shops.map((shop) => shop.price(IN_DATABASE)));
        isSeen = prices.every((price) => price?.version === row!["version"]);
        return isSeen;
      },
      { signal, withinMs: PATIENCE_MS, everyMs: 1 },
    );
    delays.push(isSeen ? performance.now() - committedAt : Infinity);
  }
  say(`${SQL_CHANGES} changes by SQL were seen by all, the slowest after ${ms(Math.max(...delays))}`);
  return delays;
}

async function formatsOf([shop]: readonly ShopProcess[]): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (const format of await shop!.formats(PRODUCTS))
    if (format !== undefined) counts[format] = (counts[format] ?? 0) + 1;
  return counts;
}

const inStep = (shops: readonly ShopProcess[], signal: AbortSignal): Promise<void> =>
  until(async () => (await Promise.all(shops.map((shop) => shop.isInStep()))).every(Boolean), {
    signal,
    withinMs: PATIENCE_MS,
  });

/** Visitors of every process: most request one of the first products. */
async function visit(
  shops: readonly ShopProcess[],
  till: Till,
  { perSecond, isOver }: { readonly perSecond: number; readonly isOver: () => boolean },
): Promise<void> {
  const everyMs = 1_000 / (perSecond / (shops.length * VISITORS));
  await Promise.all(
    shops.flatMap((shop, process) =>
      Array.from({ length: VISITORS }, async (_, visitor) => {
        const uniform = uniformFrom(SEED + process * VISITORS + visitor);
        for (let dueAt = performance.now(); !isOver(); dueAt = Math.max(dueAt + everyMs, performance.now() - everyMs)) {
          await visitOf(shop, till, process, PRODUCTS[Math.floor(uniform() ** 2 * PRODUCTS.length)]!);
          const aheadMs = dueAt + everyMs - performance.now();
          if (aheadMs > 1) await sleep(aheadMs);
        }
      }),
    ),
  );
}

async function visitOf(shop: ShopProcess, till: Till, process: number, product: string): Promise<void> {
  const askedAt = performance.now();
  try {
    till.answered(process, product, await shop.price(product), askedAt);
  } catch (error) {
    till.failedWith(`${product}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function uniformFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns at the deadline, too: the checks show what did not happen. */
async function until(
  happened: () => Promise<boolean>,
  {
    signal,
    withinMs,
    everyMs = 20,
  }: { readonly signal: AbortSignal; readonly withinMs: number; readonly everyMs?: number },
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await happened()) && performance.now() < deadline) await sleep(everyMs, undefined, { signal });
}
