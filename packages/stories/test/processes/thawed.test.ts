import type { Cache } from "@hotset/core";
import { createTestCache, flush, gate, scriptedBackend, TestClock, type ScriptedBackend } from "@hotset/testing";
import { describe, expect, it } from "vitest";

type Reading = (cache: Cache) => Promise<unknown>;

/** Ways to read three keys; each gives the values that it found, or loaded. */
const READINGS: readonly (readonly [string, Reading, unknown])[] = [
  ["get", async (cache) => Promise.all(KEYS.map((key) => cache.get(key))), [undefined, undefined, undefined]],
  [
    "get with allowStale",
    async (cache) => Promise.all(KEYS.map((key) => cache.get(key, { allowStale: true }))),
    [undefined, undefined, undefined],
  ],
  [
    "getOrSet",
    async (cache) => Promise.all(KEYS.map((key) => cache.getOrSet(key, () => "new"))),
    ["new", "new", "new"],
  ],
  ["getMany", async (cache) => [...(await cache.getMany(KEYS)).values()], []],
  [
    "getOrSetMany",
    async (cache) => [
      ...(
        await cache.getOrSetMany(
          KEYS,
          (key) => key,
          (keys) => keys.map((key) => [key, "new"] as const),
        )
      ).values(),
    ],
    ["new", "new", "new"],
  ],
];
const KEYS = ["a", "b", "c"];

interface Process {
  readonly cache: Cache;
  readonly backend: ScriptedBackend;
}

/** Two processes; `frozen` has copies, received nothing for `forMs`, and its connection has ended. */
async function thawed(
  forMs: number,
  change: (other: Cache) => Promise<unknown>,
): Promise<Process & { clock: TestClock }> {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, leases: true, tagVersions: true, coherence: "reported" });
  const of = (each: ScriptedBackend): Cache => createTestCache({ clock, ttl: "1h", staleIfError: "1h", backend: each });
  const other = of(backend.peer());
  const cache = of(backend);
  for (const key of KEYS) await other.set(key, "old", { tags: ["t"] });
  expect([...(await cache.getMany(KEYS)).values()]).toEqual(["old", "old", "old"]);
  await flush();
  backend.link.hold();
  clock.advance(forMs);
  await change(other);
  backend.link.lose({ attach: "hangs" });
  await flush();
  backend.forgetCalls();
  return { cache, backend, clock };
}

const CHANGES: readonly (readonly [string, (other: Cache) => Promise<unknown>])[] = [
  ["deleted", (other) => other.deleteMany(KEYS)],
  ["invalidated by a tag", (other) => other.invalidateTags("t")],
  ["cleared", (other) => other.clear()],
];

describe.each(CHANGES)("C612 what was %s while a process was frozen", (_change, change) => {
  it.each(READINGS)("is not served after it, though its connection ended: %s", async (_name, read, expected) => {
    const { cache, backend } = await thawed(5_000, change);
    // As the calls before it, all reads of the first turn are lost with the connection.
    backend.script("read", { times: KEYS.length, loseAnswer: true });
    backend.script("batch.read", { loseAnswer: true });
    expect(await read(cache)).toEqual(expected);
    expect(backend.count("connect")).toBeGreaterThan(0);
  });
});

describe("C612 a read that is lost where trust has lapsed", () => {
  const removed = (other: Cache): Promise<unknown> => other.deleteMany(KEYS);

  it("is repeated though the breaker was opened by calls that were in flight", async () => {
    const { cache, backend } = await thawed(5_000, removed);
    const stop = backend.script("read", { times: Infinity, loseAnswer: true });
    await Promise.allSettled(Array.from({ length: 20 }, (_, i) => cache.get(`x${i}`)));
    expect(cache.stats().tiers.at(-1)!.state).toBe("down");
    stop();
    expect(await cache.get("a")).toBe(undefined);
    expect(cache.stats().tiers.at(-1)!.state).not.toBe("down");
  });

  it("is repeated once, within its time: then the copy is served", async () => {
    const { cache, backend, clock } = await thawed(5_000, removed);
    backend.script("read", { times: Infinity, loseAnswer: true });
    expect(await cache.get("a")).toBe("old");
    expect(backend.count("read")).toBe(2);
    const late = gate();
    backend.script("connect", { before: late });
    const reading = cache.get("b");
    await late.arrived();
    clock.advance(1_000);
    expect(await reading).toBe("old");
    expect(backend.count("read")).toBe(3);
  });

  it("is not repeated before the backend gave a sign of life again, if it could not be reached", async () => {
    const { cache, backend } = await thawed(5_000, removed);
    backend.down();
    expect(await cache.get("a")).toBe("old");
    expect(await cache.get("b")).toBe("old");
    expect(backend.count("connect")).toBe(1);
  });

  it("is not repeated where a sign of life is recent, nor for a key without a copy", async () => {
    const recent = await thawed(1_000, removed);
    recent.backend.script("read", { loseAnswer: true });
    expect([await recent.cache.get("a"), recent.backend.count("connect")]).toEqual(["old", 0]);
    const { cache, backend } = await thawed(5_000, removed);
    backend.script("read", { loseAnswer: true });
    expect([await cache.get("unknown"), backend.count("connect")]).toEqual([undefined, 0]);
  });
});
