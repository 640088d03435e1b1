import { heartbeat } from "@hotset/core/inspect";
import { startOwnRedis } from "@hotset/test-servers";
import { createCache, memory, redis } from "hotset";
import { expect, it } from "vitest";
import { inProcess, json } from "./hotset.ts";

it("doctor and top show what the records of processes show, with the remedy", async () => {
  await using server = await startOwnRedis();
  const cache = createCache({ name: "shop", version: "2" })
    .tier(memory({ maxEntries: 10 }))
    .tier(redis(server.url).build())
    .build();
  await cache.connect();
  for (let i = 0; i < 200; i += 1) await cache.namespace("search").getOrSet(`q:${i}`, () => i);
  const beat = heartbeat(cache, { name: "web-3", every: "1s" });
  for (let i = 0; i < 200; i += 1) await cache.namespace("search").getOrSet(`s:${i}`, () => i);
  for (let i = 0; i < 60; i += 1) await cache.invalidateTags("prices");
  await cache.namespace("doc").getOrSet("largest", () => "x".repeat(4_000_000));
  const own = { REDIS_URL: server.url };
  let findings: readonly { readonly check: string; readonly found: string; readonly fix: string }[] = [];
  const deadline = Date.now() + 20_000;
  while (findings.length < 4 && Date.now() < deadline)
    findings = (await json<{ readonly findings: typeof findings }>(["doctor"], own)).findings.filter(
      ({ check }) => check === "processes",
    );
  // By how slow the machine is, more seconds have passed, and how large entries were before is said.
  const ends = /, (?:[^,]+ of [^,]+B|the largest before had [^,]+)$/;
  const steady = (found: string): string => found.replace(ends, "").replace(/calls in \d+ s/, "calls in n s");
  expect(findings.map(({ found, fix }) => `${steady(found)}: ${fix.split(" ", 2).join(" ")}`).toSorted()).toEqual([
    'shop on web-3: "doc › largest" has 4 MB: split it,',
    "shop on web-3: calls of search never hit: 200 calls in n s, 200 loads: look for",
    "shop on web-3: memory is full: 201 evictions in the last minute, with 10 of 10 entries: raise maxEntries",
    'shop: tag "prices" was invalidated 60 times in the last minute, by web-3: look for',
  ]);
  const { stdout } = await inProcess(["top", "--monitor", "--for", "100ms"], own);
  expect(stdout).toContain('warning: shop: tag "prices" was invalidated');
  await beat.stop();
  await cache.close();
});

it("doctor names a process that has another database number of the same Redis", async () => {
  await using server = await startOwnRedis();
  const url = server.url.replace(/\/$/, "");
  const caches = ["", "", "/1"].map((database) =>
    createCache({ name: "shop" })
      .tier(memory())
      .tier(redis(`${url}${database}`).build())
      .build(),
  );
  await Promise.all(caches.map((cache) => cache.connect()));
  await Promise.all(caches.map((cache, i) => cache.set(`product:${i}`, i)));
  // One process here: its caches would share a record's place, so each has its own start.
  const beats = caches.map((cache, i) => heartbeat(cache, { name: `web-${i + 1}`, every: "1s" }));
  const found = async (own: string): Promise<readonly string[]> =>
    (await json<{ readonly findings: readonly { readonly found: string }[] }>(["doctor"], { REDIS_URL: own })).findings
      .map((finding) => finding.found)
      .filter((text) => text.includes("database"));
  const deadline = Date.now() + 20_000;
  let seen: readonly string[] = [];
  while (seen.length === 0 && Date.now() < deadline) seen = await found(url);
  // Of two, either is the one that differs.
  const named = [expect.stringMatching(/^shop: web-\d differs in database: "(?:1", the other "0|0", the other "1)"$/)];
  expect(seen).toEqual(named);
  expect(await found(`${url}/1`)).toEqual(named);
  await Promise.all(beats.map((beat) => beat.stop()));
  await Promise.all(caches.map((cache) => cache.close()));
});
