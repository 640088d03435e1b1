import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis, type RedisBackendBuilder } from "@hotset/redis";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, expect, it, onTestFinished } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());

type Layout = Parameters<RedisBackendBuilder["layout"]>[0];

function open(name: string, layout: Layout = "full"): Cache {
  const backend = redis(server.url).layout(layout).valueFormat(json()).backoff({ base: 20, max: 50 });
  const cache = createCache({ name }).tier(memory()).tier(backend.responseTimeout("10s").build());
  const opened = cache.defaults({ ttl: "10m", loadTimeout: "10s" }).build();
  onTestFinished(() => opened.close({ timeout: 0 }));
  return opened;
}

const figure = async (section: string, name: string): Promise<number> =>
  Number(new RegExp(`${name}(\\d+)`).exec(String(await server.command("INFO", section)))?.[1] ?? 0);
const calls = (command: string): Promise<number> => figure("commandstats", `cmdstat_${command}:calls=`);
const sentBytes = (): Promise<number> => figure("stats", "total_net_output_bytes:");

it.each([
  ["full", "hmget", "hmget"],
  ["string", "get", "getrange"],
] as const)(
  "large copies of the time before a lost connection cost their versions, in the %s layout",
  async (layout, read, readsHead) => {
    const cache = open(`versions-${layout}`, layout);
    const states: string[] = [];
    cache.on("backend:state", ({ state }) => states.push(state));
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
    for (const key of keys) await cache.set(key, key.repeat(20_000));
    await cache.set("small", 1);
    const isTrusted = async (): Promise<boolean> => {
      await cache.get("small");
      const before = await calls(read);
      await cache.get("small");
      return (await calls(read)) === before;
    };
    expect(await isTrusted()).toBe(true);
    await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await expect.poll(() => states).toEqual(["up", "detached", "up"]);
    await expect.poll(isTrusted).toBe(true);
    await cache.set("k1", "changed");
    const [heads, bytes] = [await calls(readsHead), await sentBytes()];
    const readAll = async (): Promise<void> => {
      for (const key of keys) expect(await cache.get(key)).toBe(key === "k1" ? "changed" : key.repeat(20_000));
    };
    await readAll();
    // The values have 800 kB.
    expect((await sentBytes()) - bytes).toBeLessThan(10_000);
    expect((await calls(readsHead)) - heads).toBe(keys.length - 1);
    await readAll();
    expect((await calls(readsHead)) - heads, "they are trusted again").toBe(keys.length - 1);
  },
);

it("a process that waits for the load of another after a tag call asks for no versions but those it reads", async () => {
  const caches = Array.from({ length: 6 }, () => open("crowd"));
  let loads = 0;
  const load = Promise.withResolvers<string>();
  const read = (cache: Cache): Promise<string> =>
    cache.getOrSet("k", () => ((loads += 1) <= 1 ? "old" : load.promise), { tags: ["t"] });
  // One after another: all have a copy.
  for (const cache of caches) expect(await read(cache)).toBe("old");
  await open("crowd").invalidateTags("t");
  await expect.poll(() => caches.map((cache) => cache.peek("k"))).toEqual(caches.map(() => undefined));
  const names = ["hmget", "mget", "set", "hget"];
  const count = (): Promise<readonly number[]> => Promise.all(names.map(calls));
  const before = await count();
  const reading = caches.map(read);
  await expect.poll(async () => (await calls("set")) - before[2]!).toBe(caches.length);
  await expect.poll(async () => (await calls("hget")) - before[3]!).toBe(caches.length);
  await expect.poll(() => loads).toBe(2);
  const each = (await count()).map((calls, i) => calls - before[i]!);
  // Entry, and position for the one that loads; versions as read, and once more by that one.
  expect(each).toEqual([caches.length + 1, caches.length + 1, caches.length, caches.length]);
  load.resolve("new");
  expect(await Promise.all(reading)).toEqual(caches.map(() => "new"));
  expect(loads).toBe(2);
});

it("a miss under a new tag asks for no version that is known, and once more for the one that it issues", async () => {
  const cache = open("new-tags");
  const miss = (i: number): Promise<unknown> => cache.getOrSet(`k${i}`, () => i, { tags: [`t${i}`] });
  for (let i = 0; i < 20; i += 1) await miss(i);
  await cache.drain();
  const names = ["mget", "pexpire", "evalsha"];
  const before = await Promise.all(names.map(calls));
  for (let i = 20; i < 30; i += 1) await miss(i);
  await cache.drain();
  const each = (await Promise.all(names.map(calls))).map((count, i) => (count - before[i]!) / 10);
  // The lease, the pin, and its version again; lives of the issuer and of the entry; pin and store.
  expect(each).toEqual([3, 2, 2]);
});
