import { createTestCache, flush, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";
import type { Served } from "../entry/policy.ts";

type Stack = "memory" | "backend" | "memory over backend";
const STACKS: readonly Stack[] = ["memory", "backend", "memory over backend"];

/** Two processes; over memory alone it is one. */
function open(stack: Stack, leases = true) {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases, tagVersions: true, coherence: "reported" });
  const peer = backend.peer();
  const of = (each: ScriptedBackend): Cache =>
    createTestCache({
      clock,
      ttl: "1h",
      staleWhileRevalidate: "1h",
      local: stack !== "backend",
      backend: stack !== "memory" && each,
    });
  const a = of(backend);
  return { clock, backend, peer, a, b: stack === "memory" ? a : of(peer) };
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

it("markStale refuses options, which it had, and takes the index of a map", async () => {
  const { a } = open("memory");
  await a.set("k", 1);
  const untyped = a as unknown as { markStale(key: string, options: unknown): Promise<unknown> };
  await expect(untyped.markStale("k", { expireIn: "1m" })).rejects.toThrow("markStale takes a key alone");
  expect(await a.get("k")).toBe(1);
  expect(await Promise.all(["k"].map(a.markStale, a))).toEqual([{ status: "stale" }]);
});
