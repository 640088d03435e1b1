import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { queue, type Queue, type Worker } from "@hotset/redis-toolkit/queue";
import { consumer, streams, type Consumer, type Stream } from "@hotset/redis-toolkit/streams";
import { startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { ALONE } from "./servers.ts";

/** `HOTSET_HISTORY_SECONDS=600` for a long one. */
const SECONDS = Number(process.env["HOTSET_HISTORY_SECONDS"] ?? 20);
const ATTEMPTS = 3;
/** What is left when the faults end takes long on a busy machine. */
const AT_THE_END = { timeout: 240_000, interval: 500 };
const TIMEOUT_MS = SECONDS * 1_000 + 300_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const silent = { error: () => 0, warn: () => 0, info: () => 0 };

interface Scene extends AsyncDisposable {
  readonly server: OwnRedis;
  readonly proxy: FaultProxy;
  /** Near the server. */
  readonly near: Redis;
  /** Through the proxy. */
  open(): Redis;
}

async function scene(): Promise<Scene> {
  const server = await startOwnRedis();
  const proxy = await startProxy(server.port);
  const near = createRedis({ ...ALONE, url: server.url, logger: silent });
  const opened: Redis[] = [near];
  return {
    server,
    proxy,
    near,
    open: () => {
      const far = createRedis({ ...ALONE, url: proxy.url, logger: silent, commandTimeout: "400ms", patience: "30s" });
      opened.push(far);
      return far;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(opened.map((redis) => redis.disconnect()));
      await proxy.close();
      await server.stop();
    },
  };
}

/** One fault after another: cuts, stalls in either direction, and a server that stands still. */
async function faults({ server, proxy }: Scene, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await sleep(50 + Math.random() * 250);
    const dice = Math.random();
    if (dice < 0.4) proxy.cut();
    else if (dice < 0.7) {
      proxy.stall(dice < 0.55 ? "toClient" : "toServer");
      await sleep(Math.random() * 700);
      if (Math.random() < 0.5) proxy.cut();
      await proxy.pass();
    } else {
      server.pause();
      await sleep(Math.random() * 900);
      server.resume();
    }
  }
}

/** What handlers have begun and ended, by the number of a job or an entry. */
class History {
  readonly begun = new Map<number, number>();
  readonly handled = new Set<number>();
  readonly ids = new Map<number, Set<string>>();

  begin(n: number, id: string): void {
    this.begun.set(n, (this.begun.get(n) ?? 0) + 1);
    this.ids.set(n, (this.ids.get(n) ?? new Set<string>()).add(id));
  }

  /** Large ones fill replies; some fail. */
  async handle(n: number, id: string): Promise<void> {
    this.begin(n, id);
    await sleep(Math.random() * 20);
    if (n % 17 === 0 || Math.random() < 0.05) throw new Error("no");
    this.handled.add(n);
  }
}

const dataOf = (n: number): { readonly n: number; readonly text: string } => ({
  n,
  text: "x".repeat(n % 5 === 0 ? 100_000 : 10),
});

it(
  "A100 A101 A105: under cuts, stalls and freezes each job runs, or has used its attempts, and is there once",
  async () => {
    await using parts = await scene();
    const history = new History();
    const options = { attempts: ATTEMPTS, backoff: { type: "fixed", base: 50 }, keep: { failed: 100_000 } } as const;
    const opened = (redis: Redis): Queue<ReturnType<typeof dataOf>> => queue(redis, "history", options);
    const begin = (): Worker =>
      opened(parts.open()).worker(({ data, id }) => history.handle(data.n, id), {
        ...{ concurrency: 5, visibility: "2s", grace: "1s", onError: () => undefined },
      });
    const workers = [begin(), begin(), begin()];
    const producer = opened(parts.open());
    const near = opened(parts.near);
    const added = new Map<number, string>();
    let isOver = false;
    const producing = (async () => {
      for (let n = 1; !isOver; n += 1)
        try {
          added.set(n, (await producer.add(dataOf(n))).id);
        } catch (error) {
          // Its patience has ended: the job may be there, once.
          expect(error).toMatchObject({ code: "BACKEND_UNAVAILABLE" });
        }
    })();
    const replacing = (async () => {
      while (!isOver) {
        await sleep(1_000);
        await workers.shift()!.stop();
        workers.push(begin());
      }
    })();
    const failing = faults(parts, () => isOver);
    await sleep(SECONDS * 1_000);
    isOver = true;
    await Promise.all([failing, producing, replacing]);
    await expect
      .poll(async () => {
        const { waiting, delayed, active } = await near.counts();
        return waiting + delayed + active;
      }, AT_THE_END)
      .toBe(0);
    const dead = new Map<number, number>();
    for (let offset = 0; ; offset += 1_000) {
      const some = await near.deadLetters().list({ offset, count: 1_000 });
      for (const job of some) dead.set(job.data!.n, job.attempt);
      if (some.length < 1_000) break;
    }
    expect([...added.keys()].filter((n) => !history.handled.has(n) && !dead.has(n))).toEqual([]);
    expect([...dead].filter(([n]) => history.begun.get(n)! < ATTEMPTS)).toEqual([]);
    expect([...history.ids].filter(([, ids]) => ids.size > 1)).toEqual([]);
    expect([...added].filter(([n, id]) => history.ids.get(n)?.has(id) !== true)).toEqual([]);
    await Promise.all(workers.map((worker) => worker.stop()));
  },
  TIMEOUT_MS,
);

it(
  "A100 A101: under cuts, stalls and freezes each entry is handled, or its handlers have used its deliveries",
  async () => {
    await using parts = await scene();
    const history = new History();
    type Fields = Readonly<Record<"n" | "text", string>>;
    const opened = (redis: Redis): Stream<Fields> => streams(redis).stream<Fields>("history");
    let i = 0;
    const begin = (): Consumer<Fields> => {
      i += 1;
      const shape = i % 2 === 0 ? { concurrency: 5 } : { concurrency: 2, count: 20 };
      const options = { ...shape, minIdle: 1_000, block: 200, maxDeliveries: ATTEMPTS, stopTimeout: 500 };
      return consumer(opened(parts.open()), "g", { ...options, onError: () => undefined }, ({ id, fields }) =>
        history.handle(Number(fields.n), id),
      );
    };
    const near = opened(parts.near);
    await near.group("g").ensure("0");
    const consumers = [begin(), begin(), begin()];
    const appended: number[] = [];
    let isOver = false;
    const producing = (async () => {
      for (let n = 1; !isOver; n += 1) {
        await near.append({ n: String(n), text: dataOf(n).text });
        appended.push(n);
        await sleep(8);
      }
    })();
    let stops = 0;
    const replacing = (async () => {
      while (!isOver) {
        await sleep(1_500);
        await consumers.shift()!.stop();
        stops += 1;
        consumers.push(begin());
      }
    })();
    const failing = faults(parts, () => isOver);
    await sleep(SECONDS * 1_000);
    isOver = true;
    await Promise.all([failing, producing, replacing]);
    await expect
      .poll(async () => {
        const info = (await near.group("g").info())!;
        return info.pending + info.lag!;
      }, AT_THE_END)
      .toBe(0);
    const dead = (await near.dead.range()).map(({ fields }) => Number(fields.n));
    expect(appended.filter((n) => !history.handled.has(n) && !dead.includes(n))).toEqual([]);
    // A repetition is counted just before its handler begins: it counts if its consumer stops then and cannot reach Redis.
    const short = dead.filter((n) => history.begun.get(n)! < ATTEMPTS);
    expect(short.filter((n) => history.begun.get(n)! < ATTEMPTS - 1)).toEqual([]);
    expect(short.length).toBeLessThanOrEqual(stops);
    await Promise.all(consumers.map((each) => each.stop()));
  },
  TIMEOUT_MS,
);
