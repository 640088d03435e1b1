import { createTestCache, flush, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";

type Stack = "memory" | "backend" | "memory over backend";

function open(stack: Stack) {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const of = (each: ScriptedBackend): Cache =>
    createTestCache({ clock, ttl: "1h", local: stack !== "backend", backend: stack !== "memory" && each });
  const a = of(backend);
  return { backend, a, b: stack === "memory" ? a : of(backend.peer()) };
}

/** Ways to store a value that readers may name further tags of. */
const WAYS: readonly (readonly [string, (cache: Cache, value: number) => Promise<unknown>])[] = [
  ["set", (cache, value) => cache.set("k", value, { readerTags: true, tags: ["own"] })],
  ["setMany", (cache, value) => cache.setMany([["k", value]], { readerTags: true })],
  [
    "a set with a fence",
    async (cache, value) => cache.set("k", value, { readerTags: true, since: await cache.fence("k") }),
  ],
  ["a load", (cache, value) => cache.getOrSet("k", ({ setOptions }) => (setOptions({ readerTags: true }), value))],
];

describe.each<Stack>(["memory", "backend", "memory over backend"])("C592: tags of the reader, over %s", (stack) => {
  it.each(WAYS)("end what was stored before by %s, for those who name them", async (_name, store) => {
    for (const change of ["invalidateTags", "markTagsStale"] as const) {
      const { a, b } = open(stack);
      const get = async (cache: Cache, ...alsoTags: string[]): Promise<unknown> => cache.get("k", { alsoTags });
      await store(a, 1);
      await b[change]("other");
      expect([await get(a, "path"), await get(b, "path", "layout")]).toEqual([1, 1]);
      await b[change]("path");
      await flush();
      for (const cache of [a, b])
        expect([await get(cache, "path"), await get(cache, "layout"), await get(cache)], change).toEqual([
          undefined,
          1,
          1,
        ]);
      await a.delete("k");
      await store(a, 2);
      await flush();
      for (const cache of [a, b])
        expect([await get(cache, "path"), await get(cache, "layout", "path")]).toEqual([2, 2]);
      await a.invalidateTags("layout");
      await flush();
      for (const cache of [b, a])
        expect([await get(cache, "path"), await get(cache, "layout")]).toEqual([2, undefined]);
    }
  });

  it("are those of the namespaces above as well, and its own tags count as ever", async () => {
    const { a, b } = open(stack);
    const below = a.namespace("n");
    await below.set("k", 1, { readerTags: true, tags: ["own"] });
    expect(await below.get("k", { alsoTags: ["path"] })).toBe(1);
    await b.invalidateTags("path");
    await flush();
    expect([await below.get("k", { alsoTags: ["path"] }), await below.get("k")]).toEqual([undefined, 1]);
    await b.invalidateTags("own");
    await flush();
    expect(await below.get("k", { alsoTags: ["layout"] })).toBe(undefined);
  });

  it("a value that was stored without readerTags is a miss; bad options are refused", async () => {
    const { a } = open(stack);
    await a.set("k", 1);
    expect([await a.get("k", { alsoTags: ["t"] }), await a.get("k", { alsoTags: [] })]).toEqual([undefined, 1]);
    await expect(a.get("k", { alsoTags: [""] })).rejects.toThrow("tags must be");
    await expect(a.set("k", 1, { readerTags: 1 as never })).rejects.toThrow("readerTags must be");
  });
});

it("C592: a copy answers the next reader that names the same tags, without a trip", async () => {
  const { a, b, backend } = open("memory over backend");
  // Both receive changes from here on.
  await Promise.all([a.get("w"), b.get("w")]);
  await b.set("k", 1, { readerTags: true, tags: ["own"] });
  const get = async (): Promise<unknown> => a.get("k", { alsoTags: ["path"] });
  expect(await get()).toBe(1);
  backend.forgetCalls();
  expect([await get(), await get()]).toEqual([1, 1]);
  expect(backend.calls).toEqual([]);
  backend.down();
  await a.invalidateTags("path");
  expect([await get(), await a.get("k")]).toEqual([undefined, undefined]);
});
