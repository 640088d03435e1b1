import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, startOwnRedis, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { spread } from "../measure.ts";
import { SIDES } from "./price-sides.ts";
import type { PriceWorker } from "./price-worker.ts";

const WORKER = new URL("price-worker.ts", import.meta.url);
const OURS = "hotset";

/** The price of one call next to that of the cheapest other package. */
export interface PriceRow {
  readonly what: string;
  /** Of the process, and of Redis: ours by theirs. A ratio below 1 is cheaper here. */
  readonly value: string;
  readonly target: string;
  readonly isMet: boolean;
}

interface Work {
  readonly side: keyof typeof SIDES;
  readonly what: string;
  readonly operations: number;
  /** The most of the process, and of Redis. */
  readonly target: readonly [process: number, redis: number];
  run(worker: ScriptProcess<PriceWorker>, operations: number): Promise<number>;
}

const oneAtATime = (worker: ScriptProcess<PriceWorker>, operations: number): Promise<number> =>
  worker.call("run", operations, 1);
const consuming =
  (count: number): Work["run"] =>
  (worker, operations) =>
    worker.call("consume", operations, count);

const WORKS: readonly Work[] = [
  { side: "lock", what: "a free lock, taken and released", operations: 4_000, target: [1.3, 1.3], run: oneAtATime },
  { side: "session", what: "a request that changes its session", operations: 2_000, target: [1.2, 2], run: oneAtATime },
  { side: "limit", what: "a decision of a fixed window", operations: 5_000, target: [1.1, 1.1], run: oneAtATime },
  { side: "add", what: "`add` of one job", operations: 5_000, target: [1, 1], run: oneAtATime },
  {
    side: "consumer",
    what: "an entry of a stream, `count` 1",
    operations: 2_000,
    target: [1.3, 1.3],
    run: consuming(1),
  },
  {
    side: "consumer",
    what: "an entry of a stream, `count` 100",
    operations: 4_000,
    target: [1.3, 1.3],
    run: consuming(100),
  },
];

/** Each package in a process of its own, in turn on one server; the least of some rounds, as others only add to it. */
export async function prices({
  rounds,
  isShort,
}: {
  readonly rounds: number;
  readonly isShort: boolean;
}): Promise<readonly PriceRow[]> {
  await using server = await startOwnRedis();
  const rows: PriceRow[] = [];
  for (const work of WORKS) rows.push(await compared(server, work, isShort ? 1 : Math.max(3, rounds), isShort));
  rows.push(await crowd(server, isShort ? 300 : 5_000), await idle(isShort ? 1_000 : 60_000));
  return rows;
}

interface Price {
  readonly processUs: number;
  readonly redisUs: number;
}

async function compared(server: OwnRedis, work: Work, rounds: number, isShort: boolean): Promise<PriceRow> {
  const { side, what, target, run } = work;
  const operations = isShort ? 50 : work.operations;
  const taken = new Map<string, Price[]>();
  await server.command("FLUSHALL");
  await withSides(server, side, async (workers) => {
    const first = workers[0]![1];
    if (side === "consumer") await first.call("run", operations, 50);
    for (let round = -1; round < rounds; round += 1)
      for (const [name, worker] of workers) {
        const before = await cpuUsOf(server);
        const processUs = await run(worker, operations);
        const redisUs = ((await cpuUsOf(server)) - before) / operations;
        // The first one warms up.
        if (round >= 0) taken.set(name, [...(taken.get(name) ?? []), { processUs, redisUs }]);
      }
  });
  const least = (name: string, of: keyof Price): number => spread(taken.get(name)!.map((price) => price[of])).least;
  const others = [...taken.keys()].filter((name) => name !== OURS);
  const best = (of: keyof Price): string => others.toSorted((a, b) => least(a, of) - least(b, of))[0]!;
  const ratio = (of: keyof Price): number => least(OURS, of) / least(best(of), of);
  const [process, redis] = [ratio("processUs"), ratio("redisUs")];
  const written = (of: keyof Price, by: number): string =>
    `${by.toFixed(2)} (${least(OURS, of).toFixed(0)} by ${least(best(of), of).toFixed(0)} µs, ${best(of)})`;
  return {
    what,
    value: `process ${written("processUs", process)}; Redis ${written("redisUs", redis)}`,
    target: `${target[0]}; ${target[1]}`,
    isMet: process <= target[0] && redis <= target[1],
  };
}

/** Five processes with ten callers each want one lock. */
async function crowd(server: OwnRedis, ms: number): Promise<PriceRow> {
  const holds = async (name: string): Promise<readonly number[]> => {
    await server.command("FLUSHALL");
    const workers = Array.from({ length: 5 }, () => forkScript<PriceWorker>(WORKER, { execArgv: ["--no-warnings"] }));
    try {
      await Promise.all(workers.map((worker) => worker.call("open", "lock", name, server.url)));
      return await Promise.all(workers.map((worker) => worker.call("loop", 10, ms)));
    } finally {
      await Promise.all(workers.map((worker) => worker.kill()));
    }
  };
  const [ours, theirs] = [await holds(OURS), await holds("redlock")];
  const sum = (all: readonly number[]): number => all.reduce((a, b) => a + b, 0);
  const [part, unfairness] = [sum(ours) / sum(theirs), Math.max(...ours) / Math.max(1, Math.min(...ours))];
  return {
    what: "one lock, 5 processes with 10 callers each: holds; the process with most by that with least",
    value: `${part.toFixed(2)} of redlock's (${sum(ours)} by ${sum(theirs)}); ${unfairness.toFixed(1)}`,
    target: "at least 0.9; 1.5",
    isMet: part >= 0.9 && unfairness <= 1.5,
  };
}

async function idle(ms: number): Promise<PriceRow> {
  const counts: Record<string, number> = {};
  for (const name of Object.keys(SIDES["idle"]!)) {
    await using server = await startOwnRedis();
    await withSides(
      server,
      "idle",
      async () => {
        await sleep(Math.min(ms, 3_000));
        const before = await commandsOf(server);
        await sleep(ms);
        counts[name] = (((await commandsOf(server)) - before) / ms) * 60_000;
      },
      [name],
    );
  }
  const { hotset = NaN, BullMQ = NaN } = counts;
  return {
    what: "an idle worker for a minute: commands",
    value: `${hotset.toFixed(0)} by ${BullMQ.toFixed(0)}, BullMQ`,
    target: "12",
    isMet: hotset <= 12,
  };
}

type Opened = readonly (readonly [name: string, worker: ScriptProcess<PriceWorker>])[];

async function withSides(
  server: OwnRedis,
  side: keyof typeof SIDES,
  act: (workers: Opened) => Promise<void>,
  names: readonly string[] = Object.keys(SIDES[side]!),
): Promise<void> {
  const workers = names.map(
    (name) => [name, forkScript<PriceWorker>(WORKER, { execArgv: ["--no-warnings"] })] as const,
  );
  try {
    for (const [name, worker] of workers) await worker.call("open", side, name, server.url);
    await act(workers);
  } finally {
    await Promise.all(workers.map(([, worker]) => worker.kill()));
  }
}

async function cpuUsOf(server: OwnRedis): Promise<number> {
  const cpu = await server.info("cpu");
  return (Number(cpu["used_cpu_user"]) + Number(cpu["used_cpu_sys"])) * 1e6;
}

/** Those that clients send: commands inside scripts have other names. */
const SENT = ["evalsha", "eval", "ping", "bzpopmin", "bzmpop", "brpop", "subscribe", "ssubscribe", "client", "hello"];

async function commandsOf(server: OwnRedis): Promise<number> {
  const stats = await server.info("commandstats");
  return Object.entries(stats).reduce((sum, [name, figures]) => {
    const [, command = ""] = /^cmdstat_([a-z]+)/.exec(name) ?? [];
    return SENT.includes(command) ? sum + Number(/calls=(\d+)/.exec(figures)?.[1]) : sum;
  }, 0);
}
