// Every module while one of several servers is lost.

import { setTimeout as sleep } from "node:timers/promises";
import { CacheError } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { startServers } from "../servers.ts";
import { ofEach, outcomeOf, SUBJECTS, subjectsOver, type Tried } from "./subjects.ts";

const servers = startServers();

/** Writes without a pause until `end` has resolved. @returns how many were done, and may have been */
async function writeUntil(
  one: Tried,
  end: Promise<unknown>,
): Promise<{ done: number; maybe: number; other: string[] }> {
  const tally = { done: 0, maybe: 0, other: [] as string[] };
  let isOver = false;
  const over = end.then(() => (isOver = true));
  while (!isOver)
    try {
      await one.write();
      tally.done += 1;
      await sleep(5);
    } catch (error) {
      const maybe = (error as { maybeExecuted?: unknown }).maybeExecuted;
      if (!(error instanceof CacheError) || typeof maybe !== "boolean") tally.other.push(String(error));
      else if (maybe) tally.maybe += 1;
      await sleep(20);
    }
  await over;
  return tally;
}

describe("C260 a server is lost", () => {
  it("a failover by sentinels: what was not said to have failed was done at most once, and it heals", async () => {
    const tried = subjectsOver(await servers.open("sentinels"));
    await ofEach(tried, (one) => one.write());
    const failover = (await servers.sentinel()).failover().then(() => sleep(300));
    const tallies = await ofEach(tried, (one) => writeUntil(one, failover));
    for (const one of tried) {
      const { done, maybe, other } = tallies[one.subject.name]!;
      expect(other).toEqual([]);
      let attempts = 0;
      const attempt = (): Promise<string> => {
        attempts += 1;
        return outcomeOf(one.write());
      };
      await expect.poll(attempt).toBe("done");
      const effects = await one.effects();
      expect([one.subject.name, effects <= done + maybe + 1 + attempts]).toEqual([one.subject.name, true]);
    }
  });

  it("one shard of three: the objects of the others work, calls for its own fail typed and in time", async () => {
    const cluster = await servers.cluster();
    for (const master of await cluster.masters())
      await master.command("CONFIG", "SET", "cluster-require-full-coverage", "no");
    const redis = await servers.open("a cluster", { commandTimeout: "2s", readRetries: 0 });
    const objects = Array.from({ length: 60 }, () => subjectsOver(redis)).flat();
    const writeAll = async (): Promise<readonly (readonly [string, string])[]> =>
      Promise.all(objects.map(async (one) => [one.subject.name, await outcomeOf(one.write())] as const));
    expect(new Set((await writeAll()).map(([, outcome]) => outcome))).toEqual(new Set(["done"]));
    const [dead] = await cluster.masters();
    await dead!.kill();
    await writeAll();
    // All end, while it is away.
    const outcomes = await writeAll();
    for (const { name } of SUBJECTS) {
      const own = outcomes.filter(([subject]) => subject === name).map(([, outcome]) => outcome);
      const failed = own.filter((outcome) => outcome !== "done");
      expect([name, failed.filter((code) => !["BACKEND_UNAVAILABLE", "TRY_AGAIN"].includes(code))]).toEqual([name, []]);
      // A third of 60 whose names are random, and pub/sub publishes at any node.
      expect([name, failed.length < 44]).toEqual([name, true]);
      if (name !== "pub/sub") expect([name, failed.length > 3]).toEqual([name, true]);
    }
    await dead!.start();
    await cluster.waitUntilOk();
    await expect.poll(async () => new Set((await writeAll()).map(([, outcome]) => outcome))).toEqual(new Set(["done"]));
  });
});
