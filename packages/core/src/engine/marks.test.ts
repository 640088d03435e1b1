import { createTestCache, flush, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";
import type { Served } from "../entry/policy.ts";

type Stack = "memory" | "backend" | "memory over backend";
const STACKS: readonly Stack[] = ["memory", "backend", "memory over backend"];

/** Two processes; over memory alone it is one. */
function open(stack: Stack) {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const of = (each: ScriptedBackend): Cache =>
    createTestCache({
      clock,
      ttl: "1h",
      staleWhileRevalidate: "1h",
      local: stack !== "backend",
      backend: stack !== "memory" && each,
    });
  const a = of(backend);
  return { clock, backend, a, b: stack === "memory" ? a : of(backend.peer()) };
}

async function served(cache: Cache, key: string): Promise<Served> {
  let found: Served | undefined;
  await cache.get(key, { allowStale: true, onServed: (each) => (found = each) });
  return found!;
}

describe.each(STACKS)("C597: why get finds a stale value, over %s", (stack) => {
  it("is its age, or a mark of the key, a tag or the namespace, by any process", async () => {
    const { clock, a, b } = open(stack);
    const marks = {
      key: () => b.markStale("key"),
      tag: () => b.markTagsStale("t"),
      clear: () => b.clear({ stale: true }),
    };
    for (const [key, mark] of Object.entries(marks)) {
      await a.set(key, 1, { tags: ["t"] });
      expect(await served(b, key)).not.toHaveProperty("cause");
      await mark();
      await flush();
      for (const cache of [a, b])
        expect(await served(cache, key), key).toMatchObject({ status: "stale", cause: "marked" });
    }
    const events: unknown[] = [];
    a.on("stale", ({ cause }) => events.push(cause));
    await a.set("k", 1, { ttl: "1s" });
    clock.advance("1s");
    for (const cache of [a, b]) expect(await served(cache, "k")).toMatchObject({ status: "stale", cause: "age" });
    expect(events).toEqual(stack === "memory" ? ["age", "age"] : ["age"]);
    await a.set("k", 2);
    expect(await served(a, "k")).toMatchObject({ status: "hit" });
  });
});

describe.each(STACKS)("C599: a mark of tags with an end, over %s", (stack) => {
  const left = async (cache: Cache, key: string): Promise<unknown> => {
    const { status, expiresInMs } = await served(cache, key);
    return status === "miss" ? status : [status, expiresInMs];
  };

  it("leaves its entries stale until then, in every process, and no later ones", async () => {
    const { clock, a, b } = open(stack);
    await a.set("k", "old", { tags: ["t", "u"] });
    await a.set("other", 1, { tags: ["u"] });
    expect(await b.get("k")).toBe("old");
    expect(await b.markTagsStale(["t"], { expireIn: "1m" })).toEqual({ status: "done" });
    await flush();
    for (const cache of [a, b]) expect(await left(cache, "k")).toEqual(["stale", 60_000]);
    await a.set("new", 1, { tags: ["t"] });
    clock.advance(59_999);
    for (const cache of [a, b]) expect(await left(cache, "k")).toEqual(["stale", 1]);
    clock.advance(1);
    for (const cache of [a, b]) {
      expect(await left(cache, "k")).toBe("miss");
      expect([await cache.get("new"), await cache.get("other")]).toEqual([1, 1]);
    }
    const down = new Error("db down");
    await expect(a.getOrSet("k", () => Promise.reject(down), { staleIfError: "1h" })).rejects.toBe(down);
  });

  it("the earliest end that has not come yet counts, and none that has concerns what was stored since", async () => {
    const { clock, a, b } = open(stack);
    await a.set("k", 1, { tags: ["t"] });
    await b.markTagsStale(["t"], { expireIn: "1m" });
    await a.set("l", 1, { tags: ["t"] });
    await b.markTagsStale(["t"], { expireIn: "10s" });
    await flush();
    for (const key of ["k", "l"]) expect(await left(a, key)).toEqual(["stale", 10_000]);
    await b.markTagsStale(["t"], { expireIn: "1h" });
    await flush();
    clock.advance("10s");
    for (const key of ["k", "l"]) expect(await left(a, key)).toBe("miss");
    await a.set("k", 2, { tags: ["t"] });
    await b.markTagsStale(["t"], { expireIn: "1h" });
    await flush();
    expect([await left(a, "k"), await left(b, "l")]).toEqual([["stale", 3_600_000], "miss"]);
    await b.invalidateTags("t");
    await b.markTagsStale(["t"], { expireIn: Infinity });
    await flush();
    for (const cache of [a, b]) expect(await left(cache, "k")).toBe("miss");
  });

  it("0 removes; unknown options are refused", async () => {
    const { a } = open(stack);
    await a.set("k", 1, { tags: ["t"] });
    await a.markTagsStale(["t"], { expireIn: 0 });
    expect(await left(a, "k")).toBe("miss");
    await expect(a.markTagsStale(["t"], { expireIn: -1 })).rejects.toThrow("expireIn must be at least 0 ms");
    await expect(a.markTagsStale(["t"], { expire: 1 } as never)).rejects.toThrow('unknown option "expire"');
    await expect(a.markTagsStale(["t"] as never, "u")).rejects.toThrow("a list among 2 arguments");
  });
});

it("C599: where its end is lost, or the mark did not reach the backend, the entries are gone", async () => {
  const { backend, clock, a, b } = open("memory over backend");
  await a.set("k", 1, { tags: ["t"] });
  await b.markTagsStale(["t"], { expireIn: "1m" });
  await flush();
  for (const key of backend.store.keys()) if (key.startsWith("{~~~")) await backend.remove(key);
  expect((await served(b, "k")).status).toBe("miss");
  await a.set("k", 2, { tags: ["t"] });
  backend.down();
  expect(await a.markTagsStale(["t"], { expireIn: "1m" })).toEqual({ status: "pending" });
  backend.up();
  for (let i = 0; i < 10; i += 1) {
    clock.advance("1s");
    await flush();
  }
  for (const cache of [a, b]) expect((await served(cache, "k")).status).toBe("miss");
});
