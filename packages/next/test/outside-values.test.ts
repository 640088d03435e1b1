import type { IncrementalHandler, NextReadContext, UseCacheEntry } from "@hotset/next";
import { computationsAfterFailures, lateValues, Random, type Guest, type Guests } from "@hotset/test-servers";
import type { IncrementalCacheValue } from "next/dist/server/response-cache/index.js";
import { afterEach, describe, expect, it } from "vitest";
import { closeAll, twoProcesses, type Process } from "./processes.ts";

afterEach(closeAll);

const hour = { revalidate: 3_600, expire: 86_400 };

/** A request has its own handler, as in Next. */
function byPages({ handler, isr }: Process): Guest {
  const set = (each: IncrementalHandler, html: string): Promise<void> =>
    each.set(
      "/a",
      {
        ...{ kind: "APP_PAGE", html, rscData: Buffer.from(""), status: 200 },
        headers: { "x-next-cache-tags": "t" },
      } as unknown as IncrementalCacheValue,
      { cacheControl: hour },
    );
  const read = async (each: IncrementalHandler): Promise<string | undefined> =>
    ((await each.get("/a", { kind: "APP_PAGE" }))?.value as { html: string } | null)?.html;
  return {
    async request(compute) {
      const own = handler();
      if ((await read(own)) === undefined) await set(own, await compute());
    },
    write: (html) => set(handler(), html),
    read: () => read(handler()),
    change: () => isr.revalidateTag("t"),
  };
}

/** One path of the reader and one tag of the value end it, in turn. */
function byFetch({ handler, isr }: Process): Guest {
  let changes = 0;
  const set = (each: IncrementalHandler, body: string): Promise<void> =>
    each.set(
      "f",
      {
        ...{ kind: "FETCH", revalidate: 3_600 },
        data: { headers: {}, body, status: 200, url: "https://shop.example/" },
      } as unknown as IncrementalCacheValue,
      { fetchCache: true, tags: ["t"] },
    );
  const context: NextReadContext = { kind: "FETCH", tags: ["t"], softTags: ["_N_T_/x"], revalidate: 3_600 };
  const read = async (each: IncrementalHandler): Promise<string | undefined> =>
    ((await each.get("f", context))?.value as { data: { body: string } } | null)?.data.body;
  return {
    async request(compute) {
      const own = handler();
      if ((await read(own)) === undefined) await set(own, await compute());
    },
    write: (body) => set(handler(), body),
    read: () => read(handler()),
    change: () => isr.revalidateTag((changes += 1) % 2 === 0 ? "t" : "_N_T_/x"),
  };
}

/** One handler for all requests; a failed run rejects its entry. */
function byUseCache({ useCache }: Process): Guest {
  const entryOf = async (making: Promise<string>, timestamp: number): Promise<UseCacheEntry> => ({
    ...{ value: new Response(await making).body!, tags: ["t"], stale: 300, timestamp },
    ...hour,
  });
  const set = (making: Promise<string>): Promise<void> => useCache.set("k", entryOf(making, Date.now()));
  return {
    async request(compute) {
      if ((await useCache.get("k", [])) !== undefined) return;
      const making = compute();
      // Else those that look would wait for it.
      await making.catch(() => undefined);
      await set(making);
    },
    write: (text) => set(Promise.resolve(text)),
    async read() {
      const found = await useCache.get("k", []);
      return found && new Response(found.value as ReadableStream<Uint8Array<ArrayBuffer>>).text();
    },
    change: () => useCache.updateTags(["t"]),
  };
}

function processes(open: (process: Process) => Guest): Guests {
  const { a, b, advance } = twoProcesses();
  return { a: open(a), b: open(b), probes: [a, b].map(open), settled: () => advance(1) };
}

describe.each([
  ["pages", byPages],
  ["fetch", byFetch],
  ["use cache", byUseCache],
] as const)("%s", (_, open) => {
  it.each(["a", "b"] as const)(
    "C610: after computations that failed and a change by %s, one fills the cache",
    async (by) => {
      expect(await computationsAfterFailures(processes(open), by)).toBe(1);
    },
  );

  it("C611: requests that end in any order, writes and changes leave nothing old", async () => {
    let all = 0;
    for (let seed = 0; seed < 5; seed += 1) {
      const { old, found } = await lateValues(processes(open), new Random(seed));
      expect({ seed, old }).toEqual({ seed, old: [] });
      all += found;
    }
    expect(all).toBeGreaterThan(30);
  });
});
