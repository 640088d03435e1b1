/**
 * Streams: processes append and handle entries while workers are killed at random, some are stopped, and Redis is
 * killed with an append-only file that is written always. The oracle is outside Redis: what `append` has confirmed, and
 * a file for each worker. Every confirmed entry must be handled or, if it is poison, be a dead letter; nothing stays
 * pending.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis } from "@hotset/redis-toolkit";
import { streams, type Stream } from "@hotset/redis-toolkit/streams";
import { forkScript, startOwnRedis, until, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { Random } from "../torture/random.ts";
import type { Hunt } from "./hunt.ts";
import type { Handlers } from "./stream-worker.ts";

const WORKERS = 3;
const KILL_EVERY_MS = 200;
/** Restarts of Redis, spread over the hunt. */
const REDIS_KILLS = 2;
const POISON_EVERY = 50;

type Fields = Record<string, string>;

export const hunt: Hunt = async ({ minutes, seed }) => {
  const directory = await mkdtemp(join(tmpdir(), "hotset-streams-"));
  await using server = await startOwnRedis({ config: ["appendonly yes", "appendfsync always"] });
  await using redis = createRedis({ env: false, url: server.url, backoff: { base: 10, max: 100 } });
  const stream = streams(redis).stream<Fields>("hunted");
  const workers = new Workers(server.url, directory, new Random(seed));
  try {
    const lengthMs = minutes * 60_000;
    const ended = sleep(lengthMs);
    const [confirmed, kills] = await Promise.all([
      appendUntil(stream, ended),
      workers.killUntil(ended),
      restarts(server, lengthMs),
    ]);
    await until("all entries are settled", 60_000, async () => {
      const info = await stream.group("processors").info();
      return info?.pending === 0 && info.lag === 0;
    });
    await workers.stop();
    const verdict = await judge(stream, confirmed, directory);
    return `${kills} workers and ${REDIS_KILLS} servers killed; ${verdict}`;
  } finally {
    await workers.end();
    await rm(directory, { recursive: true, force: true });
  }
};

/** @returns the numbers that Redis has confirmed */
async function appendUntil(stream: Stream<Fields>, ended: Promise<unknown>): Promise<readonly number[]> {
  const confirmed: number[] = [];
  let isOver = false;
  const over = ended.then(() => (isOver = true));
  for (let number = 1; !isOver; number += 1)
    try {
      await stream.append({ number: `${number}`, ...(number % POISON_EVERY === 0 ? { poison: "yes" } : {}) });
      confirmed.push(number);
      if (number % 10 === 0) await sleep(10);
    } catch {
      // It may be there all the same: then it may be handled, or not.
      await sleep(20);
    }
  await over;
  return confirmed;
}

async function restarts(server: OwnRedis, lengthMs: number): Promise<void> {
  for (let kill = 0; kill < REDIS_KILLS; kill += 1) {
    await sleep(lengthMs / (REDIS_KILLS + 1));
    await server.restart();
  }
}

async function judge(stream: Stream<Fields>, confirmed: readonly number[], directory: string): Promise<string> {
  const texts = await Promise.all((await readdir(directory)).map((file) => readFile(join(directory, file), "utf8")));
  const lines = texts.flatMap((text) => text.split("\n").filter((line) => line !== "")).map(Number);
  const handled = new Set(lines);
  const dead = new Set<number>();
  let good = 0;
  for (const { fields, reason } of await stream.dead.range()) {
    const number = Number(fields["number"]);
    dead.add(number);
    if (fields["poison"] !== undefined) continue;
    // Killed at each of its deliveries: a dead letter is what it must become.
    if (reason !== "deliveries") throw new Error(`${number} can be handled, and is a dead letter of a handler`);
    good += 1;
  }
  const lost = confirmed.filter(
    (number) => !(number % POISON_EVERY === 0 ? dead : handled).has(number) && !dead.has(number),
  );
  if (lost.length > 0) throw new Error(`${lost.length} entries are lost: ${lost.slice(0, 20).join(", ")}`);
  const poisoned = lines.filter((number) => number % POISON_EVERY === 0);
  if (poisoned.length > 0) throw new Error(`poison was handled: ${poisoned.slice(0, 20).join(", ")}`);
  return (
    `${confirmed.length} entries appended, 0 lost, ${lines.length - handled.size} handled twice, ${dead.size} dead ` +
    `letters, ${good} of them not poison`
  );
}

/** Processes with a consumer each; one that was killed is replaced. */
class Workers {
  readonly #url: string;
  readonly #directory: string;
  readonly #random: Random;
  readonly #running: ScriptProcess<Handlers>[] = [];
  #begun = 0;

  constructor(url: string, directory: string, random: Random) {
    this.#url = url;
    this.#directory = directory;
    this.#random = random;
    for (let n = 0; n < WORKERS; n += 1) this.#running.push(this.#begin());
  }

  /** @returns how many were killed */
  async killUntil(ended: Promise<unknown>): Promise<number> {
    let isOver = false;
    const over = ended.then(() => (isOver = true));
    let kills = 0;
    while (!isOver) {
      await sleep(KILL_EVERY_MS);
      const victim = this.#random.one(this.#running);
      this.#running[this.#running.indexOf(victim)] = this.#begin();
      if (this.#random.oneIn(5)) await this.#stop(victim);
      else {
        await victim.kill();
        kills += 1;
      }
    }
    await over;
    return kills;
  }

  /** Each leaves the group when it has ended what it read. */
  async stop(): Promise<void> {
    await Promise.all(this.#running.splice(0).map((worker) => this.#stop(worker)));
  }

  async end(): Promise<void> {
    await Promise.all(this.#running.splice(0).map((worker) => worker.kill()));
  }

  async #stop(worker: ScriptProcess<Handlers>): Promise<void> {
    await worker.call("stop").catch(() => undefined);
    await worker.kill();
  }

  #begin(): ScriptProcess<Handlers> {
    this.#begun += 1;
    const worker = forkScript<Handlers>(new URL("stream-worker.ts", import.meta.url));
    const file = join(this.#directory, `${this.#begun}.txt`);
    // It may be killed before it answers.
    worker.call("begin", { url: this.#url, stream: "hunted", file }).catch(() => undefined);
    return worker;
  }
}
