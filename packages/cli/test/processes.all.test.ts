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
  expect(
    findings
      .map(({ found, fix }) => `${found.replace(/, [^,]+ of [^,]+B$/, "")}: ${fix.split(" ", 2).join(" ")}`)
      .toSorted(),
  ).toEqual([
    'shop on web-3: "doc › largest" has 4 MB: split it,',
    "shop on web-3: calls of search never hit: 200 calls in 5 s, 200 loads: look for",
    "shop on web-3: memory is full: 201 evictions in the last minute, with 10 of 10 entries: raise maxEntries",
    'shop: tag "prices" was invalidated 60 times in the last minute, by web-3: look for',
  ]);
  const { stdout } = await inProcess(["top", "--monitor", "--for", "100ms"], own);
  expect(stdout).toContain('warning: shop: tag "prices" was invalidated');
  await beat.stop();
  await cache.close();
});
