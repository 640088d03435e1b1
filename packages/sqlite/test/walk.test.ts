import { createCache, type WalkedKeys } from "@hotset/core";
import { heartbeat, inspect } from "@hotset/core/inspect";
import { sqlite } from "@hotset/sqlite";
import { flush, TestClock } from "@hotset/testing";
import { expect, it, onTestFinished } from "vitest";
import { newFile } from "./files.ts";

it("a walk gives the entries of one cache, page by page", async () => {
  const clock = new TestClock();
  const backend = sqlite(newFile(), { clock });
  const cache = createCache({ name: "shop", clock }).tier(backend).defaults({ ttl: "1m", staleIfError: "1m" }).build();
  onTestFinished(() => cache.close());
  const other = createCache({ name: "shops", clock }).tier(backend).build();
  await other.set("k", 1);
  await cache.setMany(Array.from({ length: 1_200 }, (_, i) => [`k${i}`, i] as const));
  await cache.namespace("n").set("a", "value", { tags: ["t"] });
  await cache.set("gone", 1, { ttl: 10, staleIfError: 0 });
  const beat = heartbeat(cache, { name: "one" });
  await flush();
  clock.advance(10);
  using inspection = inspect(cache);
  const pages = [];
  for await (const page of inspection.stored()) pages.push(page);
  expect(pages.map(({ entries, looked, total }) => [entries.length > 0, looked, total! >= 1_202])).toEqual([
    [true, 500, true],
    [true, 1_000, true],
    [true, expect.any(Number), true],
  ]);
  const all = pages.flatMap(({ entries }) => entries);
  expect(new Set(all.map(({ key }) => key)).size).toBe(1_201);
  expect(all.find(({ namespace }) => namespace.length > 0)).toEqual({
    namespace: ["n"],
    key: "a",
    freshForMs: 59_990,
    expiresInMs: 119_990,
    bytes: expect.any(Number),
  });
  const some = [];
  for await (const { entries } of inspection.stored({ search: "k119" })) some.push(...entries.map(({ key }) => key));
  expect(some.toSorted()).toEqual(["k119", ...Array.from({ length: 10 }, (_, i) => `k119${i}`)]);
  await beat.stop();
  await other.close();
});

it("a walk ends by a signal, and one of nothing is one page", async () => {
  const backend = sqlite(newFile());
  onTestFinished(() => backend.close());
  const pages: WalkedKeys[] = [];
  for await (const page of backend.walk!({ prefix: "shop:" })) pages.push(page);
  expect(pages).toEqual([{ keys: [], looked: 0, total: 0 }]);
  for await (const page of backend.walk!({ prefix: "shop:", signal: AbortSignal.abort() })) pages.push(page);
  expect(pages.length).toBe(1);
});
