import type { Policy } from "@hotset/core";
import { flush, gate, outcome, TestClock } from "@hotset/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { open } from "../support/stacks.ts";

const DOWN = new Error("db down");

describe("the clock of a cache", () => {
  /** One that an earlier test has left: here none can be set. */
  const isOfLeftTimer = (): boolean => {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 100;
    const { stack = "" } = new Error();
    Error.stackTraceLimit = stackTraceLimit;
    return /processImmediate|listOnTimeout/.test(stack) && !stack.includes("processTicksAndRejections");
  };
  beforeEach(() => {
    const places: readonly [object: object, name: string][] = [
      [globalThis, "setTimeout"],
      [globalThis, "setInterval"],
      [Date, "now"],
      [performance, "now"],
    ];
    for (const [object, name] of places) {
      const real = Reflect.get(object, name) as (...given: unknown[]) => unknown;
      vi.spyOn(object as Record<string, () => unknown>, name).mockImplementation((...given: unknown[]) => {
        if (isOfLeftTimer()) return real.apply(object, given);
        throw new Error(`${name}: only the cache's clock may be asked for time`);
      });
    }
  });
  afterEach(() => void vi.restoreAllMocks());

  type Rule = readonly [
    rule: string,
    atMs: number,
    policy: Policy,
    begin: (tools: ReturnType<typeof open>) => Promise<() => Promise<unknown>>,
    before: unknown,
    after: unknown,
  ];
  const hung = (): Promise<never> => new Promise(() => {});
  const later = (call: Promise<unknown>) => {
    const settled = outcome(call);
    let status = "pending";
    call.then(
      () => (status = "fulfilled"),
      (error: { readonly code?: string }) => (status = error.code ?? "rejected"),
    );
    return async () => (await flush(), await settled, status);
  };
  const rules: Rule[] = [
    ["ttl", 100, { ttl: 100 }, async ({ cache }) => (await cache.set("k", 1), () => cache.get("k")), 1, undefined],
    [
      "negativeTtl",
      50,
      { ttl: 100, negativeTtl: 50 },
      async ({ cache }) => (await cache.getOrSet("k", () => null), () => cache.has("k")),
      true,
      false,
    ],
    [
      "localTtl",
      40,
      { ttl: 100, localTtl: 40 },
      async ({ cache }) => (await cache.set("k", 1), async () => cache.peek("k")),
      1,
      undefined,
    ],
    [
      "staleWhileRevalidate",
      130,
      { ttl: 100, staleWhileRevalidate: 30 },
      async ({ cache }) => (await cache.set("k", 1), () => cache.getOrSet("k", async () => 2)),
      1,
      2,
    ],
    [
      "staleIfError",
      170,
      { ttl: 100, staleIfError: 70, errorBackoff: 0 },
      async ({ cache }) => (
        await cache.set("k", 1),
        async () => (await outcome(cache.getOrSet("k", () => Promise.reject(DOWN)))).status
      ),
      "fulfilled",
      "rejected",
    ],
    [
      "errorBackoff",
      20,
      { ttl: 0.5, staleIfError: "1h", errorBackoff: 20 },
      async ({ cache, clock }) => {
        await cache.set("k", 1);
        clock.advance(1);
        await cache.getOrSet("k", () => Promise.reject(DOWN));
        return () => cache.getOrSet("k", () => 2);
      },
      1,
      2,
    ],
    [
      "refreshAhead",
      75,
      { ttl: 100, refreshAhead: 0.75 },
      async ({ cache }) => {
        await cache.set("k", 1);
        return async () => (await cache.getOrSet("k", () => 2), await cache.drain(), cache.get("k"));
      },
      1,
      2,
    ],
    [
      "softTimeout",
      30,
      { ttl: 0.5, staleIfError: "1h", softTimeout: 30 },
      async ({ cache, clock }) => {
        await cache.set("k", 1);
        clock.advance(1);
        return later(cache.getOrSet("k", hung));
      },
      "pending",
      "fulfilled",
    ],
    [
      "hardTimeout",
      60,
      { hardTimeout: 60 },
      async ({ cache }) => later(cache.getOrSet("k", hung)),
      "pending",
      "LOAD_TIMEOUT",
    ],
    [
      "loadTimeout",
      90,
      { loadTimeout: 90 },
      async ({ cache }) => later(cache.getOrSet("k", hung)),
      "pending",
      "LOAD_TIMEOUT",
    ],
    [
      "the deadline of a backend",
      1_000,
      {},
      async ({ cache, backend }) => {
        backend.script("read", { before: gate() });
        return later(cache.get("none"));
      },
      "pending",
      "fulfilled",
    ],
    [
      "the circuit breaker",
      1_000,
      {},
      async ({ cache, backend }) => {
        backend.down();
        for (let i = 0; i < 5; i += 1) await cache.get("none");
        backend.up();
        backend.forgetCalls();
        return async () => (await cache.get("none"), backend.count("read", "test::none"));
      },
      0,
      1,
    ],
    [
      "the replay of pending invalidations",
      1_000,
      {},
      async ({ cache, backend }) => {
        await cache.set("k", 1);
        backend.down();
        await cache.delete("k");
        backend.up();
        return async () => (await flush(), backend.store.get("test::k") !== undefined);
      },
      true,
      false,
    ],
    [
      "the reclaiming of memory",
      2_000,
      { ttl: 100 },
      async ({ cache }) => (await cache.set("k", 1), async () => cache.stats().tiers[0]!.entries),
      1,
      0,
    ],
    [
      "the limit of close",
      5_000,
      {},
      async ({ cache }) => {
        void outcome(cache.getOrSet("k", hung));
        await flush();
        return later(cache.close());
      },
      "pending",
      "fulfilled",
    ],
  ];

  it.for(rules)("C120 alone drives %s, to the millisecond", async ([rule, atMs, policy, begin, before, after]) => {
    // A new cache for each instant, since reading a state may change it.
    for (const [advanceMs, expected] of [
      [rule === "the reclaiming of memory" ? 0 : atMs - 1, before],
      [atMs, after],
    ] as const) {
      const tools = open("memory over backend", policy);
      const look = await begin(tools);
      await flush();
      tools.clock.advance(advanceMs);
      expect([rule, await look()]).toEqual([rule, expected]);
    }
  });

  it("C120 may start anywhere, also before its zero", async () => {
    const clock = new TestClock();
    const early = {
      now: () => clock.now() - 1e9,
      schedule: (callback: () => void, delayMs: number) => clock.schedule(callback, delayMs),
    };
    const { cache } = open("memory over backend", {
      clock: early as unknown as TestClock,
      ttl: 100,
      staleIfError: 100,
    });
    await cache.set("k", "value", { tags: ["t"] });
    clock.advance(99);
    expect(await cache.get("k")).toBe("value");
    clock.advance(1);
    expect([await cache.get("k"), await cache.get("k", { allowStale: true })]).toEqual([undefined, "value"]);
    clock.advance(100);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    await cache.set("k", "value", { tags: ["t"] });
    await cache.invalidateTags("t");
    expect(await cache.get("k")).toBeUndefined();
    await cache.close();
  });
});
