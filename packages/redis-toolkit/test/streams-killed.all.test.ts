import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis } from "@hotset/redis-toolkit";
import { streams } from "@hotset/redis-toolkit/streams";
import { forkScript, startOwnRedis, until, type ScriptProcess } from "@hotset/test-servers";
import { expect, it } from "vitest";
import type { Handlers } from "./stream-worker.ts";

const KILLS = 12;
const POISON_EVERY = 50;
const isPoison = (number: number): boolean => number % POISON_EVERY === 0;

it("no entry is lost while workers and Redis are killed, and poison becomes a dead letter", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hotset-streams-"));
  const file = join(folder, "handled.txt");
  await using server = await startOwnRedis({ config: ["appendonly yes", "appendfsync always"] });
  const redis = createRedis({ env: false, url: server.url, commandTimeout: "2s", backoff: { base: 10, max: 100 } });
  const stream = streams(redis).stream<Record<string, string>>("killed");
  const begin = (): ScriptProcess<Handlers> => {
    const worker = forkScript<Handlers>(new URL("stream-worker.ts", import.meta.url));
    // It may be killed before it answers.
    worker.call("handle", server.url, "killed", file).catch(() => undefined);
    return worker;
  };
  const workers = [begin(), begin(), begin()];
  let isOver = false;
  const appended: number[] = [];
  const appending = (async () => {
    for (let number = 1; !isOver; number += 1)
      try {
        await stream.append({ number: `${number}`, ...(isPoison(number) && { poison: "yes" }) });
        appended.push(number);
        await sleep(1);
      } catch {
        // It may be there all the same: then it may be handled, or not.
        await sleep(20);
      }
  })();
  try {
    for (let kill = 0; kill < KILLS; kill += 1) {
      await sleep(200);
      const [victim] = workers.splice(kill % workers.length, 1, begin());
      await victim!.kill();
      if (kill % 6 === 3) await server.restart();
    }
    await until("a poison entry is appended", async () => appended.some(isPoison));
    isOver = true;
    await appending;
    await until("all entries are settled", async () => {
      const info = await stream
        .group("processors")
        .info()
        .catch(() => undefined);
      return info?.pending === 0 && info.lag === 0;
    });
    const handled = new Set((await readFile(file, "utf8")).trim().split("\n").map(Number));
    const dead = await stream.dead.range();
    const deadNumbers = new Set(dead.map(({ fields }) => Number(fields["number"])));
    expect(appended.filter((number) => !handled.has(number) && !deadNumbers.has(number))).toEqual([]);
    // So each poison entry that was appended is a dead letter.
    expect([...handled].filter(isPoison)).toEqual([]);
    // One that can be handled is a dead letter only where it was killed at each of its deliveries.
    const good = dead.filter(({ fields }) => fields["poison"] === undefined);
    expect(good.filter(({ reason }) => reason !== "deliveries")).toEqual([]);
  } finally {
    isOver = true;
    for (const worker of workers) await worker.kill();
    await redis.disconnect();
    await rm(folder, { recursive: true, force: true });
  }
});
