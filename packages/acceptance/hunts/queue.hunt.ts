import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis } from "@hotset/redis-toolkit";
import { queue, type Queue } from "@hotset/redis-toolkit/queue";
import { forkScript, startOwnRedis, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import type { Hunt } from "./hunt.ts";

const JOBS = 10_000;
const WORKERS = 5;
const KILL_EACH_MS = 200;
const SCRIPT = new URL("./queue-worker.ts", import.meta.url);

/**
 * A56: 10,000 jobs, workers killed at random every 200 ms, Redis killed twice, with an append-only file that is written
 * at each command. Every job that `add` has confirmed is done, by the files of the workers.
 */
export const hunt: Hunt = async ({ minutes, seed }) => {
  const random = randomOf(seed);
  const directory = await mkdtemp(join(tmpdir(), "hotset-queue-hunt-"));
  await using server = await startOwnRedis({ config: ["appendonly yes", "appendfsync always"] });
  await using redis = createRedis({
    env: false,
    url: server.url,
    commandTimeout: "2s",
    backoff: { base: 20, max: 200 },
  });
  const jobs = queue<number>(redis, "hunt", { attempts: 1_000_000 });
  const endAt = performance.now() + minutes * 60_000;
  const crew = new Crew(server.url, directory);
  let kills = 0;
  let isProducing = true;
  try {
    const produced = produce(jobs, endAt).finally(() => (isProducing = false));
    const restarts = restartAt(server, [JOBS * 0.2, JOBS * 0.6], () => crew.done());
    for (;;) {
      crew.fill();
      await sleep(KILL_EACH_MS);
      await crew.killOne(random);
      kills += 1;
      if (!isProducing && (await crew.done()) >= JOBS) break;
      if (performance.now() > endAt)
        throw new Error(`${JOBS - (await crew.done())} of ${JOBS} jobs were not done in time`);
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
  if (different !== JOBS) throw new Error(`${JOBS - different} of ${JOBS} jobs were lost`);
  return `${JOBS} jobs done, none lost, ${lines - different} of them twice or more; ${kills} workers killed, Redis twice`;
};

/** Adds every job, again if its reply is lost: the dedup id admits one. */
async function produce(jobs: Queue<number>, endAt: number): Promise<void> {
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
  for (let i = 0; i < JOBS; i += 20) await Promise.all(Array.from({ length: 20 }, (_, j) => add(i + j)));
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
  readonly #url: string;
  readonly #directory: string;
  readonly #workers: ScriptProcess<Record<never, never>>[] = [];
  #hired = 0;

  constructor(url: string, directory: string) {
    this.#url = url;
    this.#directory = directory;
  }

  fill(): void {
    while (this.#workers.length < WORKERS) {
      const file = join(this.#directory, `${(this.#hired += 1)}.txt`);
      this.#workers.push(forkScript(SCRIPT, { args: [this.#url, file] }));
    }
  }

  async killOne(random: () => number): Promise<void> {
    const [worker] = this.#workers.splice(Math.floor(random() * this.#workers.length), 1);
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

/** The same numbers for the same seed: mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
