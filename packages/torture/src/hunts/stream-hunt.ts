/**
 * Streams: processes append and handle entries while workers are killed at random, some are stopped, and Redis is
 * killed with an append-only file that is written always; in a cluster the stream's primary is killed, or replaced
 * while it lives. The oracle is outside Redis: the entries that are confirmed, and a file for each worker.
 * Every confirmed entry must be handled or, if it is poison, be a dead letter; nothing stays pending.
 *
 * One server confirms an entry by the reply of `append`. A failover may lose such an entry: there one is confirmed once
 * a replica has it.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { streams, type Stream } from "@hotset/redis-toolkit/streams";
import { forkScript, until, type ScriptProcess } from "@hotset/test-servers";
import { startServers, type FleetServers, type Topology } from "@hotset/test-servers";
import { Random } from "@hotset/test-servers";
import type { Hunt } from "./hunt.ts";
import type { Handlers, Work } from "./stream-worker.ts";

const WORKERS = 3;
const KILL_EVERY_MS = 200;
/** Restarts of one server, spread over the hunt. */
const REDIS_KILLS = 2;
const FAIL_OVER_EVERY_MS = 8_000;
/** For another server to take the place of the primary. */
const PATIENCE_MS = 1_500;
const CONFIRMED_AT_ONCE = 10;
const GIVE_UP_MS = 30_000;
const KEY = "hunted";
const POISON_EVERY = 50;

type Fields = Record<string, string>;

export const huntStreams =
  (topology: Topology): Hunt =>
  async ({ minutes, seed }) => {
    const directory = await mkdtemp(join(tmpdir(), "hotset-streams-"));
    const config = topology === "single" ? ["appendonly yes", "appendfsync always"] : [];
    const servers = await startServers(topology, { patienceMs: PATIENCE_MS, config });
    const address = addressOf(servers);
    await using redis = createRedis({ env: false, ...address, commandTimeout: "2s", backoff: { base: 10, max: 100 } });
    const stream = streams(redis).stream<Fields>(KEY);
    const workers = new Workers(address, directory, new Random(seed));
    try {
      const lengthMs = minutes * 60_000;
      const ended = sleep(lengthMs);
      const isConfirmed = topology === "single" ? (ids: Ids) => Promise.resolve(ids) : replicated(redis);
      const [confirmed, kills, losses] = await Promise.all([
        appendUntil(stream, isConfirmed, ended),
        workers.killUntil(ended),
        topology === "single" ? restarts(servers, lengthMs) : failOvers(servers, new Random(seed), lengthMs),
      ]);
      await until("all entries are settled", 60_000, async () => {
        const info = await stream.group("processors").info();
        return info?.pending === 0 && info.lag === 0;
      });
      await workers.stop();
      const verdict = await judge(stream, confirmed, directory);
      return `${kills} workers killed, ${losses}; ${verdict}`;
    } finally {
      await workers.end();
      await servers.stop();
      await rm(directory, { recursive: true, force: true });
    }
  };

function addressOf({ place }: FleetServers): Work["address"] {
  switch (place.topology) {
    case "single":
      return { url: place.url };
    case "cluster":
      return { cluster: place.urls };
    case "sentinel":
      return { sentinels: place.urls, sentinelName: place.primaryName };
  }
}

/** Ids of entries, and their numbers. */
type Ids = ReadonlyMap<string, number>;

/**
 * Continues until some are confirmed, where a short hunt ends before, on a busy machine.
 *
 * @returns the numbers of the entries that are confirmed
 */
async function appendUntil(
  stream: Stream<Fields>,
  confirm: (ids: Ids) => Promise<Ids>,
  ended: Promise<unknown>,
): Promise<readonly number[]> {
  const confirmed: number[] = [];
  let appended = new Map<string, number>();
  let isOver = false;
  const over = ended.then(() => (isOver = true));
  const giveUpAt = performance.now() + GIVE_UP_MS;
  const isEnough = (): boolean => isOver && (confirmed.length > 0 || performance.now() > giveUpAt);
  for (let number = 1; !isEnough(); number += 1)
    try {
      const fields = { number: `${number}`, ...(number % POISON_EVERY === 0 ? { poison: "yes" } : {}) };
      appended.set(await stream.append(fields), number);
      if (appended.size < CONFIRMED_AT_ONCE) continue;
      confirmed.push(...(await confirm(appended)).values());
      appended = new Map();
      await sleep(10);
    } catch {
      // They may be there all the same: then they may be handled, or not.
      appended = new Map();
      await sleep(20);
    }
  await over;
  return confirmed;
}

/** The entries of `ids` that a replica has. Throws where none confirms it. */
const replicated =
  (redis: Redis) =>
  (ids: Ids): Promise<Ids> =>
    redis.pool.use(
      async (own) => {
        const [first] = ids.keys();
        const entries = await own.xRange(KEY, first!, "+");
        // WAIT is about the writes of its connection, and of all that came before them on this server.
        await own.set(`{${KEY}}:mark`, "1");
        if (Number(await own.send(["WAIT", "1", "500"])) < 1) throw new Error("no replica has it");
        const there = new Set((entries ?? []).map(({ id }) => String(id)));
        return new Map(Array.from(ids).filter(([id]) => there.has(id)));
      },
      { key: KEY },
    );

async function restarts({ servers }: FleetServers, lengthMs: number): Promise<string> {
  for (let kill = 0; kill < REDIS_KILLS; kill += 1) {
    await sleep(lengthMs / (REDIS_KILLS + 1));
    await servers[0]!.restart();
  }
  return `${REDIS_KILLS} restarts of Redis`;
}

async function failOvers(servers: FleetServers, random: Random, lengthMs: number): Promise<string> {
  const endAt = performance.now() + lengthMs;
  let killed = 0;
  let replaced = 0;
  while (performance.now() + FAIL_OVER_EVERY_MS < endAt) {
    await sleep(FAIL_OVER_EVERY_MS);
    if (random.oneIn(2)) {
      killed += 1;
      await servers.failOver(KEY);
      await servers.healed();
    } else {
      replaced += 1;
      await servers.changeOver(KEY);
    }
  }
  return `${killed} primaries killed and ${replaced} replaced while they lived`;
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
  readonly #address: Work["address"];
  readonly #directory: string;
  readonly #random: Random;
  readonly #running: ScriptProcess<Handlers>[] = [];
  #begun = 0;

  constructor(address: Work["address"], directory: string, random: Random) {
    this.#address = address;
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
    worker.call("begin", { address: this.#address, stream: KEY, file }).catch(() => undefined);
    return worker;
  }
}
