import { setTimeout as sleep } from "node:timers/promises";
/** Real processes over real servers, which are killed and frozen: a main Redis, a gutter, and a third one as source. */
import { forkScript, startOwnRedis, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import type { Handlers } from "./gutter-member.ts";

const SCRIPT = new URL("gutter-member.ts", import.meta.url);
const PATIENCE = { timeout: 60_000, interval: 50 };
const KEYS = Array.from({ length: 20 }, (_, i) => `key ${i}`);

let main: OwnRedis;
let small: OwnRedis;
let source: OwnRedis;
beforeEach(async () => {
  [main, small, source] = await Promise.all([startOwnRedis(), startOwnRedis(), startOwnRedis()]);
});
afterEach(() => Promise.all([main, small, source].map((server) => server.stop())));

async function start(
  count: number,
  { ttl = "10s", hasGutter = true } = {},
): Promise<readonly ScriptProcess<Handlers>[]> {
  const all = Array.from({ length: count }, () => forkScript<Handlers>(SCRIPT));
  onTestFinished(() => Promise.all(all.map((each) => each.kill())).then(() => undefined));
  const settings = { main: main.url, small: hasGutter ? small.url : undefined, source: source.url, ttl };
  await Promise.all(all.map((each) => each.call("open", settings)));
  return all;
}

const each = <T>(
  all: readonly ScriptProcess<Handlers>[],
  ask: (one: ScriptProcess<Handlers>) => Promise<T>,
): Promise<T[]> => Promise.all(all.map(ask));

/** How often each key was loaded, in all processes. */
async function loadsOf(all: readonly ScriptProcess<Handlers>[]): Promise<readonly number[]> {
  const seen = await each(all, (one) => one.call("seen"));
  const loads = seen.flatMap((one) => one.loads);
  return KEYS.map((key) => loads.filter((loaded) => loaded === key).length);
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

it.each([
  ["killed", () => main.kill()],
  ["frozen", () => Promise.resolve(main.pause())],
])("C690 main is %s: one process loads a key for all, and no call fails", async (_, end) => {
  const all = await start(6);
  await each(all, (one) => one.call("start", KEYS, 50, []));
  await sleep(1_000);
  await each(all, (one) => one.call("forget"));
  await end();
  await sleep(8_000);
  await each(all, (one) => one.call("stop"));
  const loads = await loadsOf(all);
  // Entries of the gutter end after 10 s.
  expect(Math.max(...loads)).toBeLessThanOrEqual(2);
  expect(sum(loads)).toBeLessThanOrEqual(1.5 * KEYS.length);
  for (const { wrong, answers, states } of await each(all, (one) => one.call("seen"))) {
    expect(wrong).toEqual([]);
    expect(Math.max(...answers.map(({ tookMs }) => tookMs))).toBeLessThan(5_000);
    expect(states).toContain("detached");
  }
});

it("without a gutter each process loads for itself", async () => {
  const all = await start(6, { hasGutter: false });
  await main.kill();
  await each(all, (one) => one.call("start", KEYS, 50, []));
  await sleep(3_000);
  await each(all, (one) => one.call("stop"));
  expect(sum(await loadsOf(all))).toBeGreaterThanOrEqual(6 * KEYS.length);
});

it("C693 main is back: its entries are served, and a change is seen by all", async () => {
  const all = await start(3);
  const [first, second] = all as [ScriptProcess<Handlers>, ScriptProcess<Handlers>];
  await each(all, (one) => one.call("read", "key 0"));
  main.pause();
  await source.command("SET", "key 0", 7);
  await first.call("change", "key 0", "delete");
  await expect.poll(() => each(all, (one) => one.call("read", "key 0")), PATIENCE).toEqual([8, 8, 8]);
  expect(await small.command("EXISTS", "hotset:shop::key 0")).toBe(1);
  main.resume();
  await expect.poll(() => first.call("seen").then(({ pending }) => pending), PATIENCE).toBe(0);
  for (const one of all)
    await expect.poll(() => one.call("seen").then(({ states }) => states), PATIENCE).toEqual(["up", "up"]);
  await second.call("change", "key 0", "tag");
  await expect.poll(() => each(all, (one) => one.call("read", "key 0")), PATIENCE).toEqual([9, 9, 9]);
});

it("C693 main and the gutter die and freeze at random: nothing is older than promised", async () => {
  const ttlMs = 2_000;
  const all = await start(5, { ttl: "2s" });
  const keys = KEYS.slice(0, 8);
  await each(all, (one) => one.call("start", keys, 20, keys));
  const both = [main, main, small];
  for (let round = 0; round < 9; round += 1) {
    await sleep(300 + 700 * Math.random());
    const server = both[Math.floor(Math.random() * both.length)]!;
    const isKilled = Math.random() < 0.5;
    if (isKilled) await server.kill();
    else server.pause();
    await sleep(300 + 2_500 * Math.random());
    if (isKilled) await server.start();
    else server.resume();
  }
  await sleep(3_000);
  await each(all, (one) => one.call("stop"));
  const seen = await each(all, (one) => one.call("seen"));
  expect(seen.flatMap(({ wrong }) => wrong)).toEqual([]);
  const answers = seen.flatMap((one) => one.answers);
  const acknowledged = seen.flatMap((one) => one.changes).filter(({ status }) => status !== "pending");
  expect(answers.length).toBeGreaterThan(1_000);
  expect(acknowledged.length).toBeGreaterThan(20);
  // A change that main has, and a process that does not reach it: the load, its life in the gutter, and the link.
  const boundMs = ttlMs + 2_000 + 1_000;
  const older = answers.filter(({ key, version, startedAt }) =>
    acknowledged.some((made) => made.key === key && made.version > version && made.endedAt + boundMs < startedAt),
  );
  expect(older).toEqual([]);
  // And in the end all have the last version of each key.
  await expect
    .poll(() => each(all, (one) => one.call("seen").then(({ pending }) => pending)), PATIENCE)
    .toEqual([0, 0, 0, 0, 0]);
  for (const key of keys) {
    const last = Number(await source.command("GET", key));
    await expect.poll(() => each(all, (one) => one.call("read", key)), PATIENCE).toEqual(all.map(() => last));
  }
});
