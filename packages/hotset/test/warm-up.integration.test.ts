/** The recipe that fills a new Redis from an old one: real processes, and servers that are frozen. */
import { forkScript, startOwnRedis, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import type { Handlers } from "./warm-up-member.ts";

const SCRIPT = new URL("warm-up-member.ts", import.meta.url);
const KEYS = Array.from({ length: 30 }, (_, i) => `key ${i}`);

let old: OwnRedis;
let next: OwnRedis;
let source: OwnRedis;
beforeEach(async () => {
  [old, next, source] = await Promise.all([startOwnRedis(), startOwnRedis(), startOwnRedis()]);
});
afterEach(() => Promise.all([old, next, source].map((server) => server.stop())));

async function start(): Promise<readonly [ScriptProcess<Handlers>, ScriptProcess<Handlers>]> {
  const both = [forkScript<Handlers>(SCRIPT), forkScript<Handlers>(SCRIPT)] as const;
  onTestFinished(() => Promise.all(both.map((each) => each.kill())).then(() => undefined));
  await Promise.all(both.map((each) => each.call("open", { old: old.url, next: next.url, source: source.url })));
  return both;
}

it("a new Redis is filled from the old one, with the freshness that is left, and nothing is loaded", async () => {
  const [p1, p2] = await start();
  await Promise.all(KEYS.map((key, i) => p1.call("keepInOld", key, i)));
  for (const each of [p1, p2])
    expect(await Promise.all(KEYS.map((key) => each.call("get", key)))).toEqual(KEYS.map((_, i) => i));
  expect([await p1.call("loads"), await p2.call("loads")]).toEqual([0, 0]);
  expect(await p2.call("freshForMs", KEYS[0]!)).toBeLessThanOrEqual(600_000);
  await old.kill();
  expect(await p2.call("get", KEYS[1]!)).toBe(1);
  expect(await next.command("EXISTS", ...KEYS.map((key) => `hotset:shop::${key}`))).toBe(KEYS.length);
});

it.each(["up", "frozen"] as const)(
  "what is removed is not filled in again by a fill under way, the old Redis %s",
  async (state) => {
    const [p1, p2] = await start();
    await p1.call("keepInOld", "k", 1);
    await p1.call("hold");
    const filling = p1.call("get", "k");
    // It has read the old one, and holds the lease in the new one.
    await expect.poll(() => old.info("stats").then((stats) => Number(stats["keyspace_hits"]))).toBeGreaterThan(0);
    await source.command("SET", "k", 2);
    if (state === "frozen") old.pause();
    const removing = p2.call("remove", "k");
    if (state === "frozen") {
      await expect.poll(() => next.command("EXISTS", "hotset:shop::k")).toBe(0);
      await p1.call("release");
      old.resume();
    }
    await removing;
    await p1.call("release");
    await filling;
    expect([await p1.call("get", "k"), await p2.call("get", "k")]).toEqual([2, 2]);
  },
);
