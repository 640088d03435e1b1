import { createCache, type Cache, type Policy, type Served } from "@hotset/core";
import { memory } from "@hotset/memory";
import { flush, gate, outcome } from "@hotset/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import { failing, numbered } from "../support/sources.ts";
import { open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const YEAR_MS = 365 * 86_400_000;
const sourceDown = new Error("the source is down");

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

it.each(STACKS_WITH_BACKEND)(
  "C214 over %s: a caller that joins a read waits for the load if the entry is too old for it",
  async (stack) => {
    const { cache: writer, clock, backend } = open(stack, { ttl: "1h" });
    await writer.set("k", "old");
    clock.advance("1m");
    const { cache } = open(stack, { ttl: "1h", clock, backend });
    const reading = gate();
    backend.script("read", { before: reading });
    const load = numbered();
    const lenient = cache.getOrSet("k", load);
    const strict = cache.getOrSet("k", load, { maxAge: "1m" });
    await flush();
    reading.open();
    expect(await Promise.all([lenient, strict])).toEqual(["old", "value-1"]);
    expect(cache.stats()).toMatchObject({ coalesced: 1, hits: 1, misses: 1 });
  },
);

describe.each(STACKS)("over %s", (stack) => {
  describe("C214 a call with maxAge gets no value of that age or older", () => {
    it("in any state of the entry; a younger one answers it", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleWhileRevalidate: 1_000, errorBackoff: 0 });
      const load = numbered();
      await cache.getOrSet("k", load);
      clock.advance(99);
      expect(await cache.getOrSet("k", load, { maxAge: 100 })).toBe("value-1");
      clock.advance(1);
      expect(await cache.getOrSet("k", load)).toBe("value-1");
      expect(await cache.getOrSet("k", load, { maxAge: 100 })).toBe("value-2");
      clock.advance(1_500);
      expect(await cache.getOrSet("k", load, { maxAge: 1_500 })).toBe("value-3");
      const many = (): [string, string][] => [["k", "many"]];
      expect(await cache.getOrSetMany(["k"], String, many, { maxAge: 1 })).toEqual(new Map([["k", "value-3"]]));
      clock.advance(1);
      expect(await cache.getOrSetMany(["k"], String, many, { maxAge: 1 })).toEqual(new Map([["k", "many"]]));
      expect(await cache.getOrSet("k", load)).toBe("many");
    });

    it("not as the fallback for an error either, while other callers of the load get it", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleIfError: "1h" });
      await cache.set("k", "old");
      clock.advance(1_000);
      const fail = failing(sourceDown);
      const loading = gate<string>();
      const strict = cache.getOrSet("k", () => loading.pass(), { maxAge: 1_000 });
      const lenient = cache.getOrSet("k", fail);
      await flush();
      loading.fail(sourceDown);
      await expect(strict).rejects.toBe(sourceDown);
      expect(await lenient).toBe("old");
      clock.advance("1m");
      expect(await cache.getOrSet("k", fail, { maxAge: "62s" })).toBe("old");
      clock.advance("1m");
      await expect(cache.getOrSet("k", fail, { maxAge: "2m" })).rejects.toBe(sourceDown);
    });
  });

  describe("C21 an entry's lifetime is its ttl plus the longer stale window", () => {
    it.for<readonly [Policy, number]>([
      [{ ttl: 2_000 }, 2_000],
      [{ ttl: 2_000, staleWhileRevalidate: 500 }, 2_500],
      [{ ttl: 2_000, staleIfError: 700 }, 2_700],
      [{ ttl: 2_000, staleWhileRevalidate: 500, staleIfError: 700 }, 2_700],
      [{ ttl: 2_000, staleWhileRevalidate: 700, staleIfError: 500 }, 2_700],
    ])("with %j it is %i ms, for loaded and set entries", async ([policy, lifetimeMs]) => {
      const { cache, clock } = open(stack, policy);
      await cache.getOrSet("loaded", () => "Ada");
      await cache.set("set", "Grace");
      for (const key of ["loaded", "set"]) {
        expect(await cache.inspect(key)).toMatchObject({ state: "fresh", freshForMs: 2_000, expiresInMs: lifetimeMs });
      }

      clock.advance(lifetimeMs - 1);
      expect(await cache.get("loaded", { allowStale: true })).toBe("Ada");
      expect(await cache.get("set", { allowStale: true })).toBe("Grace");
      clock.advance(1);
      expect(await cache.get("loaded", { allowStale: true })).toBeUndefined();
      expect(await cache.get("set", { allowStale: true })).toBeUndefined();
    });

    it("an infinite ttl does not end with the stale window (bentocache)", async () => {
      const { cache, clock } = open(stack, { ttl: Infinity, staleIfError: 100 });
      const load = numbered();
      await cache.getOrSet("k", load);
      // A backend keeps the tag version of a namespace for 30 days after the last write.
      clock.advance(stack === "backend" ? "29d" : 50 * YEAR_MS);
      expect(await cache.get("k")).toBe("value-1");
      expect(await cache.getOrSet("k", load)).toBe("value-1");
      expect(await cache.inspect("k")).toMatchObject({ state: "fresh", freshForMs: Infinity, expiresInMs: Infinity });
      expect(load.runs).toBe(1);
    });
  });

  describe("C22 an entry is fresh, then stale, then absent", () => {
    it("a stale value within the window is returned at once, with one background refresh", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleWhileRevalidate: 500 });
      await cache.set("k", "old");
      clock.advance(1_000);

      const loading = gate<string>();
      const load = vi.fn(loading.pass);
      const answers = await Promise.all(Array.from({ length: 20 }, () => cache.getOrSet("k", load)));
      expect(answers).toEqual(Array.from({ length: 20 }, () => "old"));
      clock.advance(499);
      expect(await cache.getOrSet("k", load)).toBe("old");
      await flush();
      expect(load).toHaveBeenCalledTimes(1);
      expect(load).toHaveBeenCalledWith(expect.objectContaining({ background: true, reason: "stale" }));

      loading.open("new");
      await cache.drain();
      expect(await cache.get("k")).toBe("new");
      expect(await cache.inspect("k")).toMatchObject({ state: "fresh", freshForMs: 1_000 });
    });

    it("a call after the window waits for the load", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleWhileRevalidate: 500, staleIfError: "1h" });
      await cache.set("k", "old");
      clock.advance(1_500);
      const loading = gate<string>();
      const answer = cache.getOrSet("k", loading.pass);
      expect(await outcome(answer)).toEqual({ status: "pending" });
      loading.open("new");
      expect(await answer).toBe("new");
    });
  });

  describe("C23 staleIfError ends at a fixed time after the last success", () => {
    it("repeated failures never extend staleIfError (bentocache)", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: 300, errorBackoff: 0 });
      await cache.set("k", "Ada");
      clock.advance(100);
      const load = failing(sourceDown);
      for (let at = 100; at < 400; at += 20) {
        expect(await cache.getOrSet("k", load)).toBe("Ada");
        expect(await cache.inspect("k")).toMatchObject({ state: "stale", expiresInMs: 400 - at });
        clock.advance(20);
      }
      expect(load.runs).toBe(15);
      await expect(cache.getOrSet("k", load)).rejects.toBe(sourceDown);
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    });

    it("a load that fails after that time rejects, even if it began before", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: 300 });
      await cache.set("k", "Ada");
      clock.advance(399);
      const loading = gate<string>();
      const answer = cache.getOrSet("k", loading.pass);
      await loading.arrived();
      clock.advance(1);
      loading.fail(sourceDown);
      await expect(answer).rejects.toBe(sourceDown);
    });
  });

  describe("C24 errorBackoff, counted from the failure,", () => {
    it("lets one loader run for any number of reads (bentocache)", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleIfError: "1h", errorBackoff: 10_000 });
      await cache.set("k", "Ada");
      // Long after the value became stale: a backoff counted from that time would be over.
      clock.advance(60_000);

      const loading = gate<string>();
      const first = cache.getOrSet("k", loading.pass);
      await loading.arrived();
      clock.advance(5_000);
      loading.fail(sourceDown);
      expect(await first).toBe("Ada");

      const load = failing();
      for (let i = 0; i < 99; i += 1) {
        clock.advance(100);
        expect(await cache.getOrSet("k", load)).toBe("Ada");
      }
      clock.advance(99);
      expect(await cache.getOrSet("k", load)).toBe("Ada");
      expect(load.runs).toBe(0);

      clock.advance(1);
      expect(await cache.getOrSet("k", load)).toBe("Ada");
      expect(load.runs).toBe(1);
      await Promise.all(Array.from({ length: 50 }, () => cache.getOrSet("k", load)));
      expect(load.runs).toBe(1);
    });

    it("delays background refreshes too", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleWhileRevalidate: "1h", errorBackoff: 10_000 });
      await cache.set("k", "Ada");
      clock.advance(1_000);
      const load = failing();
      const stale = watch(cache, "stale");
      for (let i = 0; i < 100; i += 1) {
        expect(await cache.getOrSet("k", load)).toBe("Ada");
        await cache.drain();
        clock.advance(100);
      }
      expect(load.runs).toBe(1);
      expect(stale.map(([, { cause }]) => cause)).toEqual([
        "revalidating",
        ...Array.from({ length: 99 }, () => "error"),
      ]);
      expect(await cache.getOrSet("k", load)).toBe("Ada");
      await cache.drain();
      expect(load.runs).toBe(2);
    });
  });

  describe("C25 the staleIfError of a call", () => {
    it("of 0 rejects with the loader's error", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 50, staleIfError: "1h" });
      await cache.set("k", "Ada");
      clock.advance(200);
      await expect(cache.getOrSet("k", failing(sourceDown), { staleIfError: 0 })).rejects.toBe(sourceDown);
      expect(await cache.getOrSet("k", failing())).toBe("Ada");
    });

    it("applies to its own caller among those that share a failing load", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: "1h" });
      await cache.set("k", "Ada");
      clock.advance(200);
      const loading = gate<string>();
      const covered = cache.getOrSet("k", loading.pass);
      const bare = cache.getOrSet("k", loading.pass, { staleIfError: 0 });
      const shorter = cache.getOrSet("k", loading.pass, { staleIfError: 100 });
      const longer = cache.getOrSet("k", loading.pass, { staleIfError: 101 });
      await loading.arrived();
      loading.fail(sourceDown);
      expect(await covered).toBe("Ada");
      expect(await longer).toBe("Ada");
      await expect(bare).rejects.toBe(sourceDown);
      await expect(shorter).rejects.toBe(sourceDown);
    });
  });

  describe("C26 delete removes the stale value and markStale keeps it", () => {
    it("no stale value is served after a delete", async () => {
      const { cache, clock, backend } = open(stack, { ttl: 100, staleWhileRevalidate: "1h", staleIfError: "1h" });
      await cache.set("k", "Ada");
      clock.advance(200);
      expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect(await cache.inspect("k")).toBeUndefined();
      expect(backend.store.get("test::k")).toBeUndefined();
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
    });

    it.for(["delete", "set", "markStale"] as const)(
      "%s during a load: only markStale keeps the stale value as fallback",
      async (change) => {
        const { cache, clock } = open(stack, { ttl: 100, staleIfError: "1h", hardTimeout: 50 });
        await cache.set("k", "Ada");
        clock.advance(200);
        const loading = gate<string>();
        const impatient = cache.getOrSet("k", loading.pass);
        const patient = cache.getOrSet("k", loading.pass, { hardTimeout: "1m" });
        await loading.arrived();
        await (change === "set" ? cache.set("k", "Grace") : cache[change]("k"));
        clock.advance(50);
        const answered = await outcome(impatient);
        loading.fail(sourceDown);
        const failed = await outcome(patient);
        if (change === "markStale")
          expect([answered, failed]).toEqual([
            { status: "fulfilled", value: "Ada" },
            { status: "fulfilled", value: "Ada" },
          ]);
        else
          expect([answered, failed]).toMatchObject([
            { status: "rejected", reason: { code: "LOAD_TIMEOUT" } },
            { status: "rejected", reason: sourceDown },
          ]);
      },
    );
  });

  it.for<readonly [string, Policy]>([
    ["a ttl of an hour", { ttl: "1h" }],
    ["an infinite ttl", { ttl: Infinity }],
  ])("C27 markStale without a stale window: deletes an entry with %s and frees its memory", async ([, policy]) => {
    const { cache, stored } = open(stack, policy);
    await cache.set("k", "Ada");
    await cache.set("other", "Grace");
    await cache.markStale("k");
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    expect(await cache.inspect("k")).toBeUndefined();
    await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
    if (stack !== "backend") expect(cache.stats().tiers[0]).toMatchObject({ label: "memory", entries: 1 });
    if (stack !== "memory") expect(stored()).toEqual(["test::other"]);
  });

  it("C30 refreshAhead: refreshes once in the background after a hit past its fraction of ttl", async () => {
    const { cache, clock } = open(stack, { ttl: 1_000, refreshAhead: 0.8 });
    await cache.set("k", "old");
    const loading = gate<string>();
    const load = vi.fn(loading.pass);
    clock.advance(799);
    expect(await cache.getOrSet("k", load)).toBe("old");
    await flush();
    expect(load).toHaveBeenCalledTimes(0);

    clock.advance(1);
    for (let i = 0; i < 50; i += 1) expect(await cache.getOrSet("k", load)).toBe("old");
    await flush();
    expect(load).toHaveBeenCalledTimes(1);
    expect(load).toHaveBeenCalledWith(expect.objectContaining({ background: true, reason: "refresh-ahead" }));

    loading.open("new");
    await cache.drain();
    for (let i = 0; i < 50; i += 1) expect(await cache.getOrSet("k", load)).toBe("new");
    clock.advance(799);
    expect(await cache.getOrSet("k", load)).toBe("new");
    await cache.drain();
    expect(load).toHaveBeenCalledTimes(1);
    clock.advance(1);
    expect(await cache.getOrSet("k", load)).toBe("new");
    await cache.drain();
    expect(load).toHaveBeenCalledTimes(2);
  });

  describe("C32 jitter", () => {
    it("shortens ttl by at most its fraction", async () => {
      const { cache } = open(stack, { ttl: 1_000, jitter: 0.2 });
      const ttls: number[] = [];
      for (let i = 0; i < 300; i += 1) {
        await cache.set(`k${i}`, i);
        ttls.push((await cache.inspect(`k${i}`))!.freshForMs);
      }
      expect(Math.min(...ttls)).toBeGreaterThanOrEqual(800);
      expect(Math.max(...ttls)).toBeLessThanOrEqual(1_000);
      expect(new Set(ttls).size).toBeGreaterThan(50);
    });

    it.for<readonly [random: number, ttlMs: number]>([
      [0, 1_000],
      [0.5, 750],
      [1 - Number.EPSILON, 501],
    ])(
      "of 0.5 with a random value of %d leaves %i of 1,000 ms, and does not change the windows and the backoff",
      async ([random, ttlMs]) => {
        vi.spyOn(Math, "random").mockReturnValue(random);
        const { cache, clock } = open(stack, {
          ttl: 1_000,
          jitter: 0.5,
          staleWhileRevalidate: 300,
          staleIfError: 400,
          errorBackoff: 200,
        });
        await cache.getOrSet("k", () => "Ada");
        expect(await cache.inspect("k")).toMatchObject({ freshForMs: ttlMs, expiresInMs: ttlMs + 400 });

        clock.advance(ttlMs);
        const load = failing(sourceDown);
        expect(await cache.getOrSet("k", load)).toBe("Ada");
        await cache.drain();
        clock.advance(199);
        expect(await cache.getOrSet("k", load)).toBe("Ada");
        await cache.drain();
        expect(load.runs).toBe(1);
        clock.advance(1);
        expect(await cache.getOrSet("k", load)).toBe("Ada");
        await cache.drain();
        expect(load.runs).toBe(2);
        clock.advance(199);
        expect(await cache.getOrSet("k", load)).toBe("Ada");
        clock.advance(1);
        await expect(cache.getOrSet("k", load)).rejects.toBe(sourceDown);
      },
    );
  });

  it("C33 hit and stale events name the tier and the cause", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 100, staleIfError: 300, softTimeout: 10 });
    const tier = stack === "backend" ? "scripted" : "memory";
    // Before a load the backend is read, and its confirmed copy is served rather than an equal local one. During
    // errorBackoff nothing is asked.
    const fallback = stack === "memory" ? "memory" : "scripted";
    const seen = watch(cache, "hit", "stale", "miss");
    const served: Served[] = [];
    const onServed = (each: Served): void => void served.push(each);
    const about = { cache: "test", namespace: [], key: "k" };

    await cache.getOrSet("k", () => "Ada", { onServed });
    clock.advance(60);
    await cache.getOrSet("k", failing(), { onServed });
    clock.advance(60);
    await cache.getOrSet("k", failing(sourceDown), { onServed });
    await cache.drain();
    await cache.getOrSet("k", failing(), { onServed, staleWhileRevalidate: 0 });
    clock.advance(130);
    await cache.delete("k");
    await cache.set("k", "Grace");
    clock.advance(250);
    await cache.getOrSet("k", failing(sourceDown), { onServed });
    await cache.set("k", "Grace");
    clock.advance(250);
    const loading = gate<string>();
    const slow = cache.getOrSet("k", loading.pass, { onServed });
    await loading.arrived();
    clock.advance(10);
    await slow;
    loading.open("late");
    await cache.drain();

    expect(seen).toEqual([
      ["miss", { ...about, durationMs: 0 }],
      ["hit", { ...about, tier, durationMs: 0 }],
      ["stale", { ...about, tier, durationMs: 0, cause: "revalidating" }],
      ["stale", { ...about, tier, durationMs: 0, cause: "error" }],
      ["stale", { ...about, tier: fallback, durationMs: 0, cause: "error" }],
      ["stale", { ...about, tier: fallback, durationMs: 10, cause: "timeout" }],
    ]);
    expect(served).toEqual([
      { status: "miss", ageMs: 0, freshForMs: 0, expiresInMs: 400, coalesced: false },
      { status: "hit", tier, ageMs: 60, freshForMs: 40, expiresInMs: 340, coalesced: false },
      { status: "stale", tier, ageMs: 120, freshForMs: -20, expiresInMs: 280, coalesced: false, cause: "revalidating" },
      { status: "stale", tier, ageMs: 120, freshForMs: -20, expiresInMs: 280, coalesced: false, cause: "error" },
      {
        status: "stale",
        tier: fallback,
        ageMs: 250,
        freshForMs: -150,
        expiresInMs: 150,
        coalesced: false,
        cause: "error",
        error: sourceDown,
      },
      {
        status: "stale",
        tier: fallback,
        ageMs: 260,
        freshForMs: -160,
        expiresInMs: 140,
        coalesced: false,
        cause: "timeout",
      },
    ]);
  });
});

describe("a stale value in another tier or process", () => {
  it("C22 a hanging backend does not delay a stale answer from memory", async () => {
    const { cache, clock, backend } = open("memory over backend", { ttl: 100, staleWhileRevalidate: 100 });
    await cache.set("k", "old");
    clock.advance(100);
    const hanging = gate();
    backend.script("*", { times: Infinity, before: hanging });
    const load = numbered();
    expect(await cache.getOrSet("k", load)).toBe("old");
    expect(load.runs).toBe(0);
    hanging.open();
    await cache.drain();
    expect(await cache.get("k")).toBe("value-1");
  });

  it("C26 a value marked stale is a fallback in a process that starts later", async () => {
    const { cache, clock, backend } = open("memory over backend", { ttl: "1h", staleIfError: "1h" });
    await cache.set("k", "Ada");
    await cache.markStale("k");
    const cold = open("memory over backend", { clock, backend, ttl: "1h", staleIfError: "1h" });
    expect(await cold.cache.get("k")).toBeUndefined();
    expect(await cold.cache.getOrSet("k", failing())).toBe("Ada");
  });

  it.for(STACKS_WITH_BACKEND)(
    "C28 a newly started process serves a stale value from the backend: %s",
    async (stack) => {
      const policy: Policy = { ttl: 100, staleWhileRevalidate: 100, staleIfError: 400 };
      const { cache, clock, backend } = open("memory over backend", policy);
      await cache.set("revalidated", "old");
      await cache.set("fallback", "old");
      clock.advance(150);

      const cold = open(stack, { ...policy, clock, backend });
      const served: Served[] = [];
      const onServed = (each: Served): void => void served.push(each);
      const loading = gate<string>();
      expect(await cold.cache.getOrSet("revalidated", loading.pass, { onServed })).toBe("old");
      await loading.arrived();
      loading.open("new");
      await cold.cache.drain();
      expect(await cold.cache.get("revalidated")).toBe("new");

      clock.advance(100);
      expect(await cold.cache.getOrSet("fallback", failing(sourceDown), { onServed })).toBe("old");
      expect(served).toEqual([
        {
          status: "stale",
          tier: "scripted",
          ageMs: 150,
          freshForMs: -50,
          expiresInMs: 350,
          coalesced: false,
          cause: "revalidating",
        },
        {
          status: "stale",
          tier: "scripted",
          ageMs: 250,
          freshForMs: -150,
          expiresInMs: 250,
          coalesced: false,
          cause: "error",
          error: sourceDown,
        },
      ]);
    },
  );

  describe("C29 a newer value in the backend is preferred", () => {
    it("for a caller that has to wait", async () => {
      const { cache: here, clock, backend } = open("memory over backend", { ttl: 100, staleIfError: "1h" });
      const { cache: there } = open("memory over backend", { clock, backend, ttl: 100, staleIfError: "1h" });
      await here.set("k", "old");
      clock.advance(100);
      await there.set("k", "new");
      const load = numbered();
      expect(await here.getOrSet("k", load)).toBe("new");
      expect(load.runs).toBe(0);
      expect(here.peek("k")).toBe("new");
    });

    const refreshed = async (policy: Policy, ageMs: number): Promise<unknown> => {
      const { cache: here, clock, backend } = open("memory over backend", policy);
      const { cache: there } = open("backend", { clock, backend, ttl: policy.ttl! });
      await here.set("k", "old");
      clock.advance(ageMs);
      await there.set("k", "new");
      const load = numbered();
      const answer = await here.getOrSet("k", load);
      await here.drain();
      return [answer, here.peek("k"), load.runs];
    };
    it("for a background refresh", async () =>
      expect(await refreshed({ ttl: 100, staleWhileRevalidate: "1h" }, 100)).toEqual(["old", "new", 0]));
    it("C31 for a refresh ahead", async () =>
      expect(await refreshed({ ttl: 1_000, refreshAhead: 0.5 }, 600)).toEqual(["old", "new", 0]));

    it.for<readonly [string, Policy]>([
      ["a longer ttl", { ttl: "1d" }],
      ["an infinite ttl", { ttl: Infinity }],
      ["another jitter", { ttl: 100, jitter: 0.99 }],
    ])("when it was written with %s", async ([, policy]) => {
      const { cache: here, clock, backend } = open("memory over backend", { ttl: 100, staleIfError: "1h" });
      const { cache: there } = open("backend", { clock, backend, ...policy });
      await here.set("k", "old");
      clock.advance(100);
      await there.set("k", "new");
      const load = numbered();
      expect(await here.getOrSet("k", load)).toBe("new");
      expect(load.runs).toBe(0);
    });

    it.for<readonly [string, (cache: Cache) => Promise<unknown>]>([
      ["set", (cache) => cache.set("k", "old", { ttl: 100 })],
      ["loaded", (cache) => cache.getOrSet("k", () => "old", { ttl: 100 })],
      ["read", (cache) => cache.set("k", "old", { ttl: 100 }).then(() => cache.get("k"))],
    ])("when it was marked stale in a backend without versions, and the copy was %s here", async ([, fill]) => {
      const policy = { ttl: "1h", staleIfError: "1h", localTtl: "3h" } as const;
      const { cache: here, clock, backend } = open("memory over backend", policy);
      const { cache: there } = open("backend", { clock, backend, ...policy });
      await fill(here);
      clock.advance(100);
      await there.set("k", "new");
      clock.advance(100);
      await there.markStale("k");
      expect(await here.getOrSet("k", failing())).toBe("new");
    });
  });
});

describe("C34 a jump of the wall clock", () => {
  /** A cache on the system clock. The test sets the wall time and the monotonic time separately. */
  function onSystemClock() {
    vi.useFakeTimers({ toFake: ["Date"] });
    let monotonicMs = 0;
    vi.spyOn(performance, "now").mockImplementation(() => monotonicMs);
    const cache = createCache({ name: "shop" }).tier(memory()).defaults({ ttl: "1m", staleIfError: "1m" }).build();
    return {
      cache,
      elapse: (ms: number) => {
        monotonicMs += ms;
      },
      setWallClock: (offsetMs: number) => vi.setSystemTime(Date.now() + offsetMs),
    };
  }

  it("ahead ends no entry", async () => {
    const { cache, elapse, setWallClock } = onSystemClock();
    await cache.set("k", "Ada");
    setWallClock(10 * YEAR_MS);
    elapse(59_999);
    expect(await cache.get("k")).toBe("Ada");
    expect(await cache.inspect("k")).toMatchObject({ freshForMs: 1, expiresInMs: 60_001 });
  });

  it("back does not keep entries alive", async () => {
    const { cache, elapse, setWallClock } = onSystemClock();
    await cache.set("k", "Ada");
    setWallClock(-10 * YEAR_MS);
    elapse(60_000);
    expect(await cache.get("k")).toBeUndefined();
    expect(await cache.get("k", { allowStale: true })).toBe("Ada");
    elapse(60_000);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
  });
});
