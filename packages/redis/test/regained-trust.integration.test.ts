import { setTimeout as sleep } from "node:timers/promises";
import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis, type RedisBackendBuilder } from "@hotset/redis";
import { startAclRedis, startOwnRedis, startProxy } from "@hotset/test-servers";
import { afterAll, expect, it, onTestFinished } from "vitest";

const server = await startOwnRedis();
afterAll(() => server.stop());

type Layout = Parameters<RedisBackendBuilder["layout"]>[0];

function open(name: string, layout: Layout = "full", url = server.url, timeout: "1s" | "1m" = "1m"): Cache {
  const backend = redis(url).layout(layout).valueFormat(json()).backoff({ base: 20, max: 50 });
  const cache = createCache({ name }).tier(memory()).tier(backend.responseTimeout(timeout).build());
  const opened = cache.defaults({ ttl: "10m", loadTimeout: "1m" }).build();
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

it.each(["get", "getOrSet"] as const)(
  "C86 a copy whose version is outdated replaces no answer, where each takes most of responseTimeout: %s",
  async (method) => {
    await using proxy = await startProxy(server.port);
    const writer = open(`slow-${method}`);
    const reader = open(`slow-${method}`, "full", proxy.url, "1s");
    const states: string[] = [];
    reader.on("backend:state", ({ state }) => states.push(state));
    await writer.set("k", "old".repeat(1_000));
    await writer.set("small", 1);
    for (const key of ["k", "small"]) await reader.get(key);
    proxy.cut();
    await expect.poll(() => states).toEqual(["up", "detached", "up"]);
    await expect.poll(async () => (await reader.get("small"), reader.peek("small"))).toBe(1);
    expect(reader.peek("k")).toBe(undefined);
    await writer.set("k", "new".repeat(1_000));
    // Older than any answer may be.
    await sleep(2_500);
    proxy.delay({ toClient: 600 });
    const load = (): string => expect.fail("it is there");
    expect(await (method === "get" ? reader.get("k") : reader.getOrSet("k", load))).toBe("new".repeat(1_000));
  },
);

it.each(["full", "string", "plain"] as const)("a read that names a version, in the %s layout", async (layout) => {
  const prefix = `named-${layout}`;
  const backend = redis(server.url).layout(layout).keyPrefix(prefix).valueFormat(json()).coherence("none").build();
  onTestFinished(() => backend.close());
  const data = Buffer.alloc(2_000, "x");
  await backend.write("shop::1", { data, staleInMs: 60_000, expiresInMs: 90_000, meta: "", version: "V1" });
  const [own, other] = [await backend.read("shop::1", "V1"), await backend.read("shop::1", "V2")];
  const sizes = [own, other].map((found) => [found?.data.length, found?.isSeen]);
  const withoutVersions = [2_000, undefined];
  expect(sizes).toEqual(
    layout === "plain"
      ? [withoutVersions, withoutVersions]
      : [
          [0, true],
          [0, false],
        ],
  );
  if (layout !== "full") return;
  // The first of the two commands of a removal.
  await server.command("HSET", `${prefix}:shop::1`, "d", Buffer.of(0xc1, 0));
  expect(await backend.read("shop::1", "V1")).toMatchObject({ isSeen: false });
  await server.command("HDEL", `${prefix}:shop::1`, "d");
  expect(await backend.read("shop::1", "V1")).toMatchObject({ isSeen: false });
});

it("a user who may read whole entries alone reads them, and its tier stays up", async () => {
  const rights = "+ping +get +mget +evalsha +eval +time +client|tracking +client|trackinginfo +client|id +info +role";
  const acl = await startAclRedis({
    appRules: "~hotset:* ~hotset~* +@all",
    users: [`user reader on >readerpass ~hotset:* ~hotset~* ${rights}`],
  });
  onTestFinished(() => acl.stop());
  const [writer, reader] = [
    open("rights", "string", acl.appUrl),
    open("rights", "string", acl.urlOf("reader", "readerpass")),
  ];
  const states: string[] = [];
  reader.on("backend:state", ({ state }) => states.push(state));
  for (const value of ["a".repeat(2_000), "b".repeat(2_000)]) {
    await writer.set("k", value, { ttl: "1s" });
    await expect.poll(() => reader.get("k")).toBe(value);
    await acl.command("CLIENT", "KILL", "USER", "reader");
    await expect.poll(() => reader.get("k")).toBe(value);
  }
  await sleep(500);
  expect(states.filter((state) => state === "detached").length).toBeLessThanOrEqual(2);
  expect(states.at(-1)).toBe("up");
});

it("a process that waits for another's load after a tag call asks for no versions but those it reads", async () => {
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
