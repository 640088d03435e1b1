import type { Cache, Policy } from "@hotset/core";
import { flush, gate, outcome, type TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { longKeys, MOST_PENDING } from "../support/long-keys.ts";
import { never, open, rejectionsDuring, STACKS } from "../support/stacks.ts";
import { EVENTS, watch } from "../support/watch.ts";

const DOWN = new Error("db down");
const same = <T>(value: T): T => value;

/** Runs every event a cache can emit in one story; returns every answer. */
async function story({
  withListeners,
}: {
  readonly withListeners: boolean;
}): Promise<{ readonly answers: unknown[]; readonly emitted: Set<string> }> {
  const { cache, clock, backend, stored } = open("memory over backend", {
    ttl: 100,
    staleWhileRevalidate: 100,
    staleIfError: 1_000,
    errorBackoff: 0,
    memory: { maxEntries: 5 },
    backend: { leases: true },
  });
  const emitted = new Set<string>();
  if (withListeners)
    for (const name of EVENTS)
      cache.on(name, () => {
        emitted.add(name);
        throw new Error(`a listener of ${name}`);
      });
  const onServed = (): void => {
    if (!withListeners) return;
    emitted.add("onServed");
    throw new Error("onServed");
  };
  const answers: unknown[] = [];
  const note = async (answer: PromiseLike<unknown>): Promise<void> =>
    void answers.push(JSON.parse(JSON.stringify(await outcome(answer), (_, value: unknown) => value ?? null)));
  const loading = gate<string>();
  const [first, second] = [cache.getOrSet("k", loading.pass, { onServed }), cache.getOrSet("k", never, { onServed })];
  await loading.arrived();
  await cache.delete("k");
  loading.open("fenced");
  await note(first);
  await note(second);
  await note(cache.getOrSet("k", () => "one", { onServed, tags: ["t"] }));
  await note(cache.getOrSet("k", never, { onServed }));
  clock.advance(100);
  await note(cache.getOrSet("k", () => "two", { onServed }));
  await cache.drain();
  await note(cache.get("k"));
  clock.advance(200);
  await note(cache.getOrSet("k", () => Promise.reject(DOWN), { onServed }));
  await note(cache.getOrSet("other", () => Promise.reject(DOWN), { onServed }));
  await note(cache.invalidateTags("t"));
  for (let i = 0; i < 10; i += 1) await cache.set(`many ${i}`, i);
  backend.store.set("test::many 0", { ...backend.store.get("test::many 0")!, data: Buffer.from("{") });
  await note(cache.get("many 0"));
  backend.down();
  await note(cache.getOrSet("unleased", () => "alone"));
  for (let i = 0; i < 6; i += 1) await note(cache.delete(`many ${i}`));
  await note(cache.deleteMany(longKeys(MOST_PENDING, "test::")));
  backend.up();
  clock.advance("1m");
  await flush();
  await note(cache.get("many 6"));
  await note(cache.set("money", new (class Money {})()));
  answers.push(stored().toSorted());
  const flooded = cache.namespace("flooded", { newKeys: { perSecond: 1, burst: 1 } });
  for (const key of ["a", "b"]) await note(flooded.getOrSet(key, () => key));
  await cache.close();
  return { answers, emitted };
}

describe("event listeners", () => {
  it("C118 that throw do not change any answer", async () => {
    const quiet = await story({ withListeners: false });
    let watched = quiet;
    const rejections = await rejectionsDuring(async () => {
      watched = await story({ withListeners: true });
    });
    expect(watched.answers).toEqual(quiet.answers);
    expect([...watched.emitted].toSorted()).toEqual([...EVENTS, "onServed"].toSorted());
    expect(rejections).toEqual([]);
  });

  it("C40 C118 that reject change nothing and are no unhandled rejections", async () => {
    // An async function is accepted where a listener is, though its type says void.
    const refuse = (async () => {
      throw new Error("of a listener");
    }) as () => void;
    const { cache, clock } = open("memory", { ttl: 100, staleWhileRevalidate: 1_000, waitUntil: refuse });
    const events = ["hit", "stale", "miss", "load", "invalidate"] as const;
    for (const event of events) cache.on(event, refuse);
    const answers: unknown[] = [];
    const rejections = await rejectionsDuring(async () => {
      for (const waitMs of [0, 50, 50]) {
        clock.advance(waitMs);
        answers.push(await cache.getOrSet("k", () => "value", { onServed: refuse }));
      }
      await cache.drain();
      await cache.delete("k");
    });
    expect([answers, rejections]).toEqual([["value", "value", "value"], []]);
  });

  it("are refused when missing or for an unknown event", () => {
    const { cache } = open("memory");
    expect(() => cache.on("hits" as never, never)).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining('"hits"') as string,
      }) as Error,
    );
    expect(() => cache.on("hit", undefined as never)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }) as Error,
    );
    expect(() => cache.on("constructor" as never, never)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }) as Error,
    );
  });
});

describe.each(STACKS)("statistics over %s", (stack) => {
  const secret = "user:4711";
  const refused = (): never => {
    throw DOWN;
  };
  const policy: Policy = { ttl: 100, staleWhileRevalidate: 50, staleIfError: 500, errorBackoff: 0 };
  type Step = readonly [
    what: string,
    counted: readonly [hits: number, stale: number, misses: number],
    run: (cache: Cache, clock: TestClock) => Promise<unknown>,
  ];
  const steps: Step[] = [
    ["getOrSet, a miss", [0, 0, 1], (cache) => cache.getOrSet(secret, () => 1)],
    ["getOrSet, a hit", [1, 0, 0], (cache) => cache.getOrSet(secret, never)],
    [
      "getOrSet, a hit with options",
      [1, 0, 0],
      (cache) => cache.getOrSet(secret, never, { tags: ["t"], onServed: () => {} }),
    ],
    ["getOrSet, forced", [0, 0, 1], (cache) => cache.getOrSet(secret, () => 2, { forceRefresh: true })],
    ["get, a hit", [1, 0, 0], (cache) => cache.get(secret)],
    ["has, a miss", [0, 0, 1], (cache) => cache.has("none")],
    ["getMany of three, one twice", [1, 0, 2], (cache) => cache.getMany([secret, "none", secret, "never"])],
    [
      "getOrSetMany of two",
      [1, 0, 1],
      (cache) => cache.getOrSetMany([secret, "batch"], same, (missing) => missing.map((key) => [key, 1] as const)),
    ],
    [
      "five at once",
      [0, 0, 5],
      (cache) => Promise.all(Array.from({ length: 5 }, () => cache.getOrSet("five", () => flush(1).then(() => 1)))),
    ],
    [
      "five that fail at once",
      [0, 0, 5],
      (cache) => Promise.allSettled(Array.from({ length: 5 }, () => cache.getOrSet("fails", refused))),
    ],
    [
      "a caller whose signal was aborted before",
      [0, 0, 1],
      (cache) => outcome(cache.getOrSet("left", never, { signal: AbortSignal.abort() })),
    ],
    [
      "one caller that leaves and one that stays",
      [0, 0, 2],
      async (cache) => {
        const [loading, controller] = [gate<number>(), new AbortController()];
        const calls = [
          cache.getOrSet("leaves", loading.pass, { signal: controller.signal }),
          cache.getOrSet("leaves", never),
        ].map((call) => outcome(call));
        await loading.arrived();
        controller.abort();
        loading.open(1);
        return Promise.all(calls);
      },
    ],
    [
      "a caller that times out",
      [0, 0, 1],
      async (cache, clock) => {
        const loading = gate<number>();
        const call = outcome(cache.getOrSet("late", loading.pass, { hardTimeout: 1 }));
        await loading.arrived();
        clock.advance(1);
        await call;
        loading.open(1);
        await cache.drain();
      },
    ],
    [
      "a loader that requests its own key",
      [0, 0, 2],
      (cache) => outcome(cache.getOrSet("self", () => cache.getOrSet("self", never))),
    ],
    ["in a namespace", [0, 0, 1], (cache) => cache.namespace("below").getOrSet(secret, () => 1)],
    [
      "stale, with a background refresh",
      [0, 1, 0],
      async (cache, clock) => {
        clock.advance(100);
        await cache.getOrSet(secret, () => 3);
        await cache.drain();
      },
    ],
    ["stale instead of an error", [0, 1, 0], (cache, clock) => (clock.advance(200), cache.getOrSet(secret, refused))],
    ["stale with allowStale", [0, 1, 0], (cache) => cache.get(secret, { allowStale: true })],
    [
      "writes, and inspect",
      [0, 0, 0],
      async (cache) => {
        await cache.set(secret, 1);
        await cache.inspect(secret);
        await cache.markStale(secret);
        await cache.delete(secret);
        await cache.invalidateTags("t");
        await cache.clear();
      },
    ],
    [
      "a call with an invalid argument",
      [0, 0, 0],
      (cache) => Promise.allSettled([cache.get(""), cache.getOrSet(secret, 5 as never), cache.getMany([secret, ""])]),
    ],
  ];

  it("C119 count each call as one hit, stale hit or miss, and so do the events", async () => {
    const { cache, clock } = open(stack, policy);
    const seen = watch(cache, "hit", "stale", "miss");
    const numbers = (): number[] => {
      const { hits, staleHits, misses } = cache.stats();
      return [hits, staleHits, misses];
    };
    const events = (): number[] =>
      ["hit", "stale", "miss"].map((name) => seen.filter(([each]) => each === name).length);
    for (const [what, counted, run] of steps) {
      const before = numbers();
      await run(cache, clock);
      expect([what, numbers().map((count, i) => count - before[i]!)]).toEqual([what, counted]);
      expect([what, events()]).toEqual([what, numbers()]);
    }
    const { hits, staleHits, misses, hitRatio } = cache.stats();
    expect(hitRatio).toBe((hits + staleHits) / (hits + staleHits + misses));
  });
});
