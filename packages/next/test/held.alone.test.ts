import { queryObjects } from "node:v8";
import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";
import { afterEach, expect, it, vi } from "vitest";
import { closeAll, twoProcesses, type Process } from "./processes.ts";

afterEach(closeAll);

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
    await new Promise(setImmediate);
    const { entries, bytes } = a.held.cache.stats().tiers[0]!;
    return { entries, bytes, asked: a.held.asked.size, objects: queryObjects(Object, { format: "count" }) };
  };
  const { objects, ...counts } = await held(10);
  const { objects: objectsLater, ...later } = await held(30);
  // Pages that were made, values, of tags of readers the last end and the last mark, and of the tag of the pages its mark.
  expect(counts).toMatchObject({ entries: 202, asked: 50 });
  expect(later).toEqual(counts);
  // 3,000 of 12,000 requests fail: each that left an object would be seen. Bytes of a heap hold what V8 compiled, too.
  expect(objectsLater - objects).toBeLessThan(100);
  warn.mockRestore();
});
