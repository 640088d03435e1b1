import { randomPrefix } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";
import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";
import { afterAll, expect, inject, it } from "vitest";
import { open } from "../src/held.ts";
import { incrementalHandler } from "../src/incremental-handler.ts";

const prefix = randomPrefix();
const caches: Cache[] = [];
afterAll(async () => {
  await Promise.all(caches.map((cache) => cache.close()));
});

function newProcess() {
  const backend = redis(inject("redisUrl")).keyPrefix(prefix).responseTimeout("15s").build();
  caches.push(createCache({ name: "next" }).tier(memory()).tier(backend).build());
  const held = open(() => caches.at(-1)!);
  return new (incrementalHandler(() => held))({});
}

const written = () => expect.poll(() => caches[0]!.stats().pending).toBe(0);

const page = (html: string) =>
  ({
    ...{ kind: "APP_PAGE", html, rscData: Buffer.from(html), headers: { "x-next-cache-tags": "t" }, status: 200 },
    segmentData: new Map([["/_tree", Buffer.from(html)]]),
  }) as unknown as IncrementalCacheValue;

it("C582, C583: over Redis, a page of one process is that of another until a tag ends it, also while it is made", async () => {
  const [a, b] = [newProcess(), newProcess()];
  const [life, ask] = [{ cacheControl: { revalidate: 60, expire: 600 } }, { kind: "APP_PAGE" }];
  expect(await a.get("/x", ask)).toBe(null);
  await a.set("/x", page("1"), life);
  await written();
  expect(await b.get("/x", ask)).toEqual({ value: page("1"), lastModified: expect.any(Number), ...life });
  await b.revalidateTag("t");
  await expect.poll(() => a.get("/x", ask)).toBe(null);
  await b.revalidateTag("t");
  await a.set("/x", page("old"), life);
  await written();
  expect(await b.get("/x", ask)).toBe(null);
});
