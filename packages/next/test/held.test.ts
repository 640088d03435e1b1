import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";
import { afterEach, expect, it, vi } from "vitest";
import { closeAll, twoProcesses, type Process } from "./processes.ts";

afterEach(closeAll);

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

/** Pages and values of `use cache` are read, made, or not made since that fails, and revalidated. */
async function serve({ isr, useCache, backend }: Process): Promise<void> {
  const made = {
    kind: "PAGES",
    html: "x".repeat(1_000),
    pageData: {},
    headers: { "x-next-cache-tags": "t" },
    status: 200,
  };
  for (let i = 0; i < 400; i += 1) {
    const key = `/${i % 50}`;
    const isFailing = i % 8 === 3;
    const page = await isr.get(key, { kind: "PAGES" });
    if (page === null && !isFailing)
      await isr.set(key, made as unknown as IncrementalCacheValue, { cacheControl: { revalidate: 60 } });
    const found = await useCache.get(key, [`_N_T_${key}`]);
    const value = new Response("x".repeat(1_000)).body!;
    const entry = { value, tags: ["t"], stale: 300, timestamp: Date.now(), expire: 86_400, revalidate: 3_600 };
    if (found === undefined)
      await useCache.set(key, isFailing ? Promise.reject(new Error("it failed")) : Promise.resolve(entry));
    await found?.value.cancel();
    if (i % 50 === 49) await isr.revalidateTag(i % 100 === 99 ? ["t"] : `_N_T_${key}`);
  }
  backend.forgetCalls();
}

it("C585: a process that serves the same pages for long holds no more than at first", async () => {
  const { a } = twoProcesses();
  const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
  const held = async (rounds: number) => {
    for (let i = 0; i < rounds; i += 1) await serve(a);
    for (let i = 0; i < 3; i += 1) {
      await new Promise(setImmediate);
      gc();
    }
    const { entries, bytes } = a.held.cache.stats().tiers[0]!;
    return { entries, bytes, asked: a.held.asked.size, heap: process.memoryUsage().heapUsed };
  };
  const { heap, ...counts } = await held(10);
  const { heap: heapLater, ...later } = await held(30);
  // Pages that were made, values, and of tags of readers the last end and the last mark.
  expect(counts).toMatchObject({ entries: 201, asked: 50 });
  expect(later).toEqual(counts);
  // 12,000 requests: one object left by each failure would be more than a megabyte.
  expect(heapLater - heap).toBeLessThan(400_000);
  warn.mockRestore();
});
