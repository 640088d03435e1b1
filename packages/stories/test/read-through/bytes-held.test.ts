/** The bound on bytes in memory, over a backend that compresses. */
import { json } from "@hotset/core";
import { gzip } from "@hotset/formats";
import { flush, scriptedBackend, TestClock } from "@hotset/testing";
import { createCache, memory } from "hotset";
import { afterAll, describe, expect, it } from "vitest";

const KB = 1_024;
/** 28 KB, of which gzip makes some hundred bytes. */
const value = (i: number): string => `${i}${"x".repeat(28 * KB)}`;

describe("maxBytes of memory counts values as they are before compression", () => {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, format: json(), compressor: gzip() });
  const opened: { close(): Promise<void> }[] = [];
  afterAll(() => Promise.all(opened.map((cache) => cache.close())));
  const open = () => {
    const cache = createCache({ name: "held", clock })
      .tier(memory({ maxBytes: 100 * KB, maxEntryBytes: 50 * KB }))
      .tier(backend)
      .defaults({ ttl: "1h" })
      .build();
    opened.push(cache);
    return cache;
  };
  const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);

  it.each([
    ["set", (cache: ReturnType<typeof open>, i: number) => cache.set(keys[i]!, value(i))],
    ["loaded", (cache: ReturnType<typeof open>, i: number) => cache.getOrSet(keys[i]!, () => value(i))],
    ["read", (cache: ReturnType<typeof open>, i: number) => cache.get(keys[i]!)],
  ] as const)("where they were %s", async (how, keep) => {
    if (how === "loaded") await Promise.all(keys.map((key) => backend.remove(`held::${key}`)));
    const cache = open();
    for (let i = 0; i < keys.length; i += 1) {
      await keep(cache, i);
      await flush();
    }
    expect(keys.filter((key) => cache.peek(key) !== undefined)).toEqual(["k17", "k18", "k19"]);
    expect(cache.peek("k19")).toBe(value(19));
  });
});
