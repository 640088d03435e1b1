import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis, type RedisOptions } from "@hotset/redis-toolkit";
import { queue, type Queue } from "@hotset/redis-toolkit/queue";
import {
  forkScript,
  Random,
  startCluster,
  startOwnRedis,
  type OwnRedis,
  type ScriptProcess,
} from "@hotset/test-servers";
import type { Hunt } from "./hunt.ts";

const WORKERS = 5;
const KILL_EACH_MS = 200;
const SCRIPT = new URL("./queue-worker.ts", import.meta.url);
/** Each command is on the disk before its reply: what Redis has confirmed it has after it was killed. */
const CONFIG = ["appendonly yes", "appendfsync always"];

interface Place extends AsyncDisposable {
  readonly name: string;
  /** For `createRedis`. */
  readonly address: RedisOptions;
  /** The server that has the queue. */
  readonly server: OwnRedis;
}

/**
 * A56: 10,000 jobs, workers killed at random every 200 ms, Redis killed twice. Every job that `add` has confirmed is
 * done, by the files of the workers. Then a fifth of it in a cluster.
 */
export const hunt: Hunt = async ({ minutes, seed }) => {
  const random = new Random(seed);
  const ms = minutes * 60_000;
  return [
    await round({ jobCount: 10_000, random, endAt: performance.now() + ms * 0.75 }, await oneServer()),
    await round({ jobCount: 2_000, random, endAt: performance.now() + ms * 0.25 }, await aCluster()),
  ].join("; ");
};

async function oneServer(): Promise<Place> {
  const server = await startOwnRedis({ config: CONFIG });
  return {
    name: "one server",
    address: { url: server.url },
    server,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

async function aCluster(): Promise<Place> {
  const cluster = await startCluster({ replicas: 0, config: CONFIG });
  const server = await cluster.ownerOf("queue:{hunt}:jobs");
  return {
    name: "a cluster",
    address: { cluster: [...cluster.urls] },
    server,
    [Symbol.asyncDispose]: () => cluster.stop(),
  };
}

interface Round {
  readonly jobCount: number;
  readonly random: Random;
  readonly endAt: number;
}

async function round({ jobCount, random, endAt }: Round, place: Place): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const { name, address, server } = stack.use(place);
  const directory = await mkdtemp(join(tmpdir(), "hotset-queue-hunt-"));
  const options = { ...address, env: false, commandTimeout: "2s", backoff: { base: 20, max: 200 } } as const;
  const redis = stack.use(createRedis(options));
  const jobs = queue<number>(redis, "hunt", { attempts: 1_000_000 });
  const crew = new Crew(JSON.stringify(address), directory);
  let kills = 0;
  let isProducing = true;
  try {
    const produced = produce(jobs, jobCount, endAt).finally(() => (isProducing = false));
    const restarts = restartAt(server, [jobCount * 0.2, jobCount * 0.6], () => crew.done());
    for (;;) {
      crew.fill();
      await sleep(KILL_EACH_MS);
      await crew.killOne(random);
      kills += 1;
      const done = await crew.done();
      if (!isProducing && done >= jobCount) break;
      if (performance.now() > endAt) throw new Error(`${jobCount - done} of ${jobCount} jobs were not done in time`);
    }
    await Promise.all([produced, restarts]);
    // The last ones may have been done by a worker that was killed before it reported.
    crew.fill();
    await settled(jobs, endAt);
  } finally {
    await crew.end();
  }
  const { lines, different } = await crew.count();
  await rm(directory, { recursive: true });
  if (different !== jobCount) throw new Error(`${jobCount - different} of ${jobCount} jobs were lost`);
  const again = lines - different;
  return `${name}: ${jobCount} jobs, none lost, ${again} runs more than that, ${kills} workers killed, Redis twice`;
}

/** Adds every job, again if its reply is lost: the dedup id admits one. */
async function produce(jobs: Queue<number>, jobCount: number, endAt: number): Promise<void> {
  const add = async (data: number): Promise<void> => {
    for (;;)
      try {
        await jobs.add(data, { dedupId: String(data), dedupFor: "1h" });
        return;
      } catch (error) {
        if (performance.now() > endAt) throw error;
        await sleep(50);
      }
  };
  for (let i = 0; i < jobCount; i += 20) await Promise.all(Array.from({ length: 20 }, (_, j) => add(i + j)));
}

async function restartAt(server: OwnRedis, marks: readonly number[], done: () => Promise<number>): Promise<void> {
  for (const mark of marks) {
    while ((await done()) < mark) await sleep(50);
    await server.kill();
    await sleep(200);
    await server.start();
  }
}

async function settled(jobs: Queue<number>, endAt: number): Promise<void> {
  for (;;) {
    const { waiting, delayed, active, dead } = await jobs.counts();
    if (dead > 0) throw new Error(`${dead} jobs are dead letters`);
    if (waiting + delayed + active === 0) return;
    if (performance.now() > endAt) throw new Error(`${waiting} jobs wait, ${active} are active`);
    await sleep(50);
  }
}

class Crew {
  readonly #address: string;
  readonly #directory: string;
  readonly #workers: ScriptProcess<Record<never, never>>[] = [];
  #hired = 0;

  constructor(address: string, directory: string) {
    this.#address = address;
    this.#directory = directory;
  }

  fill(): void {
    while (this.#workers.length < WORKERS) {
      const file = join(this.#directory, `${(this.#hired += 1)}.txt`);
      this.#workers.push(forkScript(SCRIPT, { args: [this.#address, file] }));
    }
  }

  async killOne(random: Random): Promise<void> {
    const [worker] = this.#workers.splice(random.below(this.#workers.length), 1);
    await worker?.kill();
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.kill()));
  }

  async done(): Promise<number> {
    return (await this.count()).different;
  }

  async count(): Promise<{ readonly lines: number; readonly different: number }> {
    const texts = await Promise.all(
      (await readdir(this.#directory)).map((file) => readFile(join(this.#directory, file), "utf8")),
    );
    const lines = texts.join("").split("\n").filter(Boolean);
    return { lines: lines.length, different: new Set(lines).size };
  }
}
