import type { OwnRedis } from "@hotset/test-servers";
import { setTimeout as sleep } from "node:timers/promises";
import type { DemoArguments } from "./arguments.ts";
import { temporaryCatalogue } from "./catalogue.ts";
import type { DemoRedis } from "./demo-redis.ts";
import { short, type Restart } from "./incidents.ts";
import { Progress } from "./progress.ts";
import { seconds, whole } from "./report.ts";
import type { ShopRun, Seen } from "./shop-report.ts";
import { ShopProcess } from "./shops.ts";
import { Till } from "./till.ts";
import { uniformFrom } from "./traffic.ts";

const SEED = 20_251;
const PRODUCTS = Array.from({ length: 150 }, (_, i) => `product-${i}`);
/** Concurrent visitors of each process. */
const VISITORS = 4;
/** One of this many changes removes a product. */
const REMOVAL_EVERY = 8;
const OUTAGE_MS = 1_000;
/** A change that is not seen by then counts as never seen. */
const PATIENCE_MS = 15_000;

/**
 * Starts the processes over one Redis, sends requests to all of them, changes prices through each in turn, and kills
 * Redis meanwhile:
 *
 *     cold ──▶ changes ──▶ Redis is killed ──▶ changes ──▶ Redis is back, empty ──▶ all receive changes ──▶ changes ──▶
 *     end
 *
 * @throws the reason of `signal` when it is aborted; then the processes are ended.
 */
export async function driveShops(
  args: Pick<DemoArguments, "seconds" | "requests" | "processes">,
  { redis, signal }: { readonly redis: DemoRedis; readonly signal: AbortSignal },
): Promise<ShopRun> {
  await using catalogue = await temporaryCatalogue(PRODUCTS);
  const shops = await ShopProcess.start(
    args.processes,
    { redisUrl: redis.url, keyPrefix: redis.keyPrefix, folder: catalogue.folder },
    VISITORS + 2,
  );
  await using _processes = {
    [Symbol.asyncDispose]: async () => void (await Promise.all(shops.map((shop) => shop[Symbol.asyncDispose]()))),
  };
  const till = new Till(shops.length);
  const startedAt = performance.now();
  const since = (): string => seconds(performance.now() - startedAt).padStart(7);
  const seen: Seen[] = [];
  using progress = new Progress(process.stdout, () => `${since()}  ${soFar(till, seen)}`);
  const say = (text: string): void => progress.say(`${since()}  ${text}`);

  say(
    `${shops.length} processes (${shops.map(({ pid }) => pid).join(", ")}), each with ${VISITORS} visitors of ${whole(PRODUCTS.length)} prices`,
  );
  let isOver = false;
  const visits = visit(shops, till, { perSecond: args.requests / args.seconds, isOver: () => isOver });
  const owner = new Owner(shops, till, seen, signal);
  const share = (part: number): number => startedAt + part * args.seconds * 1_000;
  const restarts: Restart[] = [];
  let inOutage = 0;
  try {
    await until(async () => till.requests >= PRODUCTS.length, signal, PATIENCE_MS);
    // At least one of them is a removal.
    await owner.changeUntil(() => performance.now() >= share(0.4) && seen.length >= REMOVAL_EVERY);
    say(slowest(seen));
    if (redis.own !== undefined) {
      // A price that a process does not hold when Redis is killed, it would have to load itself.
      await warm(shops, till);
      const before = await unansweredBy(shops);
      restarts.push(await outage(redis.own, shops, owner, till, { say, signal }));
      inOutage = (await unansweredBy(shops)) - before;
    }
    const enough = seen.length + shops.length;
    await owner.changeUntil(
      () => performance.now() >= share(1) && till.requests >= args.requests && seen.length >= enough,
    );
  } finally {
    isOver = true;
    await visits;
  }
  const counts = await countsOf(shops);
  await Promise.all(shops.map((shop) => shop.close()));
  return {
    till,
    processes: shops.length,
    products: PRODUCTS.length,
    leastRequests: args.requests,
    tookMs: performance.now() - startedAt,
    seen,
    ...counts,
    unanswered: counts.unanswered - inOutage,
    restarts: redis.own && restarts,
  };
}

/** Requests, changes and failures until now. */
const soFar = (till: Till, seen: readonly Seen[]): string =>
  `${whole(till.requests)} requests, ${seen.length} changes seen by all${till.failed === 0 ? "" : `, ${whole(till.failed)} FAILED (${till.failures[0]})`}`;

async function countsOf(shops: readonly ShopProcess[]): Promise<Pick<ShopRun, "loads" | "overtaken" | "unanswered">> {
  const stats = await Promise.all(shops.map((shop) => shop.stats()));
  return {
    loads: stats.map(({ loads }) => loads),
    overtaken: stats.reduce((sum, { fenced }) => sum + fenced, 0),
    unanswered: await unansweredBy(shops),
  };
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
    const isRemoval = turn % REMOVAL_EVERY === REMOVAL_EVERY - 1;
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
async function warm(shops: readonly ShopProcess[], till: Till): Promise<void> {
  await Promise.all(
    shops.map(async (shop, process) => {
      for (const product of PRODUCTS) {
        const askedAt = performance.now();
        till.answered(process, product, await shop.price(product), askedAt);
      }
    }),
  );
}

/** The number of calls that Redis refused or did not answer in time, in all processes. */
async function unansweredBy(shops: readonly ShopProcess[]): Promise<number> {
  return (await Promise.all(shops.map((shop) => shop.stats()))).reduce(
    (sum, { tiers }) => sum + tiers.at(-1)!.errors,
    0,
  );
}

/** All processes go on without Redis, and with changes; then Redis is back, empty. */
async function outage(
  redis: OwnRedis,
  shops: readonly ShopProcess[],
  owner: Owner,
  till: Till,
  { say, signal }: { readonly say: (text: string) => void; readonly signal: AbortSignal },
): Promise<Restart> {
  const killed = await redis.runId();
  const { pid } = redis;
  const before = till.requests;
  await redis.kill();
  say(`killed Redis (SIGKILL to ${pid}): each process goes on with its copies`);
  let backAt = Infinity;
  const waits: (() => Promise<void>)[] = [];
  // Enough for each process to make one, and for one of them to remove a product.
  for (let i = 0; i < REMOVAL_EVERY; i += 1) {
    waits.push(await owner.change(() => backAt));
    await sleep(OUTAGE_MS / REMOVAL_EVERY, undefined, { signal });
  }
  const meanwhile = till.requests - before;
  await redis.start();
  backAt = performance.now();
  const started = await redis.runId();
  say(
    `started Redis again (run_id ${short(killed)} is now ${short(started)}); ${whole(meanwhile)} requests were answered meanwhile`,
  );
  await until(
    async () => (await Promise.all(shops.map((shop) => shop.isInStep()))).every(Boolean),
    signal,
    PATIENCE_MS,
  );
  till.settled();
  say(`all processes receive changes again, ${Math.round(performance.now() - backAt)} ms after that`);
  await Promise.all(waits.map((wait) => wait()));
  return { runIds: [killed, started], keysSince: Number(await redis.command("DBSIZE")) };
}

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
          const product = PRODUCTS[Math.floor(uniform() ** 2 * PRODUCTS.length)]!;
          const askedAt = performance.now();
          try {
            till.answered(process, product, await shop.price(product), askedAt);
          } catch (error) {
            till.failedWith(`${product}: ${error instanceof Error ? error.message : String(error)}`);
          }
          const aheadMs = dueAt + everyMs - performance.now();
          if (aheadMs > 1) await sleep(aheadMs);
        }
      }),
    ),
  );
}

const slowest = (seen: readonly Seen[]): string =>
  `${seen.length} changes were seen by all processes, the slowest after ${Math.max(...seen.map(({ slowestMs }) => slowestMs)).toFixed(1)} ms`;

/** Returns at the deadline, too: the checks show what did not happen. */
async function until(happened: () => Promise<boolean>, signal: AbortSignal, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await happened()) && performance.now() < deadline) await sleep(20, undefined, { signal });
}
