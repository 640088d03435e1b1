import { startOwnRedis } from "@hotset/test-servers";
import { createCache, memory, redis as backend, type Cache } from "hotset";
import { describe, expect, it, onTestFinished } from "vitest";
import { inProcess, json, table } from "./hotset.ts";

/** One process of a service: its memory over Redis. */
function open(url: string, layout: "full" | "string" = "full"): Cache {
  const cache = createCache({ name: "shop" })
    .tier(memory({ maxEntries: 1_000 }))
    .tier(backend(url).layout(layout).build())
    .build();
  onTestFinished(() => cache.close());
  return cache;
}

const HOUR = { ttl: "1h", staleWhileRevalidate: "1h" } as const;

describe.each(["full", "string"] as const)("entries of layout(%s) are changed in every process", (layout) => {
  it("by delete, stale and clear", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const cache = open(server.url, layout);
    const books = cache.namespace("books");
    for (const key of ["a", "b", "c"]) await books.set(key, key, HOUR);
    const place = ["--namespace", "books", "--write"];

    expect(await json(["delete", "shop", "a", "x", ...place], variables)).toEqual({
      exitCode: 0,
      version: 1,
      done: "delete",
      keys: 1,
      missing: 1,
    });
    await expect.poll(() => books.get("a")).toBeUndefined();
    expect(await json(["stale", "shop", "b", "x", ...place], variables)).toMatchObject({
      exitCode: 0,
      keys: 1,
      missing: 1,
    });
    await expect.poll(() => books.get("b")).toBeUndefined();
    expect(await books.get("b", { allowStale: true })).toBe("b");

    expect(await json(["clear", "shop", "--soft", ...place], variables)).toMatchObject({ exitCode: 0, soft: true });
    await expect.poll(() => books.get("c")).toBeUndefined();
    expect(await books.get("c", { allowStale: true })).toBe("c");
    const text = await inProcess(["clear", "shop", ...place], variables);
    expect([text.exitCode, text.stdout]).toEqual([0, "cleared  shop, books\n"]);
    await expect.poll(() => books.get("c", { allowStale: true })).toBeUndefined();
    expect((await inProcess(["delete", "shop", "x", ...place], variables)).exitCode).toBe(1);
  });
});

it.each([
  [["delete", "shop", "a"], "delete changes Redis; add --write"],
  [["stale", "shop", "a"], "stale changes Redis; add --write"],
  [["clear", "shop"], "clear changes Redis; add --write"],
  [["delete", "shop", "--write"], "the key is missing"],
  [["stale", "--write"], "the name of the cache is missing"],
  [["clear", "shop", "a", "--write"], "name one cache, and its namespaces with --namespace"],
])("%j is refused before Redis is asked", async (words, sentence) => {
  const { exitCode, stderr } = await inProcess(words, { REDIS_URL: "redis://127.0.0.1:1" });
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining(sentence)]);
});

describe("the namespaces of a cache", () => {
  it("are listed with their entries, and named where a key is in another", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const cache = open(server.url);
    const reports = cache.namespace("re:ports");
    await cache.set("a", 1, HOUR);
    for (const key of ["a*b", "axb", "c"]) await reports.namespace("daily").set(key, 1, HOUR);
    await createCacheBeside(server.url).set("a", 1, HOUR);

    const found = await json<{ namespaces: { path: string[]; entries: number }[] }>(["namespaces", "shop"], variables);
    expect(found.namespaces.map(({ path, entries }) => [path, entries])).toEqual([
      [["re:ports", "daily"], 3],
      [[], 1],
    ]);
    const { stdout } = await inProcess(["namespaces", "shop"], variables);
    expect(table(stdout)).toEqual([
      expect.stringContaining("namespace | entries"),
      expect.stringMatching(/^re:ports > daily \| +3 \| +0 \| /),
      expect.stringMatching(/^\(the cache itself\) \| +1 \| +0 \| /),
      "(of all keys)",
    ]);
    expect((await inProcess(["namespaces", "blog"], variables)).exitCode).toBe(1);

    expect(await json(["get", "shop", "a*b"], variables)).toMatchObject({
      exitCode: 1,
      state: "absent",
      namespaces: [["re:ports", "daily"]],
    });
    expect((await inProcess(["get", "shop", "a*b"], variables)).stdout).toBe(
      "no such entry: Redis has no key hotset:shop::a*b; there is one with --namespace re:ports --namespace daily\n",
    );
    expect(await json(["get", "shop", "none"], variables)).not.toHaveProperty("namespaces");
  });
});

/** Its name begins as that of the other. */
function createCacheBeside(url: string): Cache {
  const cache = createCache({ name: "shop2" }).tier(backend(url).build()).build();
  onTestFinished(() => cache.close());
  return cache;
}
