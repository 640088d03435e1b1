import { createCache, InvalidArgumentError, type Policy, type Served } from "@hotset/core";
import { flush, gate, outcome } from "@hotset/core/testing";
import { memory } from "@hotset/memory";
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

describe.each(STACKS)("over %s", (stack) => {
  describe("C21 the lifetime is ttl and the longer of the stale windows", () => {
    it.for<readonly [Policy, number]>([
      [{ ttl: 2_000 }, 2_000],
      [{ ttl: 2_000, staleWhileRevalidate: 500 }, 2_500],
      [{ ttl: 2_000, staleIfError: 700 }, 2_700],
      [{ ttl: 2_000, staleWhileRevalidate: 500, staleIfError: 700 }, 2_700],
      [{ ttl: 2_000, staleWhileRevalidate: 700, staleIfError: 500 }, 2_700],
    ])("%j lives %i ms, loaded or set", async ([policy, lifetimeMs]) => {
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

    it("a window shorter than ttl does not shorten it (bentocache)", async () => {
      const { cache, clock } = open(stack, { ttl: 2_000, staleIfError: 100, staleWhileRevalidate: 50 });
      const load = numbered();
      await cache.getOrSet("k", load);
      for (let i = 0; i < 19; i += 1) {
        clock.advance(100);
        expect(await cache.getOrSet("k", load)).toBe("value-1");
      }
      clock.advance(99);
      expect(await cache.get("k")).toBe("value-1");
      expect(load.runs).toBe(1);
    });

    it("an infinite ttl with a stale window does not end with the window (bentocache)", async () => {
      const { cache, clock } = open(stack, { ttl: Infinity, staleIfError: 100 });
      const load = numbered();
      await cache.getOrSet("k", load);
      // A backend keeps a namespace in which nothing is written for 30 days.
      clock.advance(stack === "backend" ? "29d" : 50 * YEAR_MS);
      expect(await cache.get("k")).toBe("value-1");
      expect(await cache.getOrSet("k", load)).toBe("value-1");
      expect(await cache.inspect("k")).toMatchObject({ state: "fresh", freshForMs: Infinity, expiresInMs: Infinity });
      expect(load.runs).toBe(1);
    });

    it("an infinite window is kept for a hundred years", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleIfError: Infinity });
      await cache.set("k", "Ada");
      expect(await cache.inspect("k")).toMatchObject({ freshForMs: 1_000, expiresInMs: 100 * YEAR_MS + 1_000 });
      clock.advance(stack === "backend" ? "29d" : 99 * YEAR_MS);
      expect(await cache.getOrSet("k", failing())).toBe("Ada");
    });
  });

  describe("C22 fresh, stale while one load refreshes it, absent", () => {
    it("loads nothing while the value is fresh, to its last millisecond", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleWhileRevalidate: 500 });
      const load = numbered();
      expect(await cache.getOrSet("k", load)).toBe("value-1");
      clock.advance(999);
      expect(await cache.getOrSet("k", load)).toBe("value-1");
      await cache.drain();
      expect(load.runs).toBe(1);
    });

    it("answers stale at once within the window, and refreshes once behind", async () => {
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

    it("waits for the load once the window has ended", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleWhileRevalidate: 500, staleIfError: "1h" });
      await cache.set("k", "old");
      clock.advance(1_500);
      const loading = gate<string>();
      const answer = cache.getOrSet("k", loading.pass);
      expect(await outcome(answer)).toEqual({ status: "pending" });
      loading.open("new");
      expect(await answer).toBe("new");
    });

    it("treats what has ended as absent", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleWhileRevalidate: 500 });
      await cache.set("k", "old");
      clock.advance(1_500);
      await expect(cache.getOrSet("k", () => Promise.reject(sourceDown))).rejects.toBe(sourceDown);
    });

    it("lets a call shorten the window, and never lengthen it", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleWhileRevalidate: 500, staleIfError: 500 });
      await cache.set("k", "old");
      clock.advance(1_200);
      const loading = gate<string>();
      const waiting = cache.getOrSet("k", loading.pass, { staleWhileRevalidate: 200 });
      expect(await outcome(waiting)).toEqual({ status: "pending" });
      loading.open("new");
      expect(await waiting).toBe("new");

      await cache.set("k", "old");
      clock.advance(1_500);
      const load = numbered();
      expect(await cache.getOrSet("k", load, { staleWhileRevalidate: "1h" })).toBe("value-1");
    });
  });

  describe("C23 staleIfError ends at a fixed instant after the last success", () => {
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

    it("nor do those that are backed off", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: 300, errorBackoff: 150 });
      await cache.set("k", "Ada");
      clock.advance(350);
      const load = failing(sourceDown);
      expect(await cache.getOrSet("k", load)).toBe("Ada");
      clock.advance(49);
      expect(await cache.getOrSet("k", load)).toBe("Ada");
      clock.advance(1);
      await expect(cache.getOrSet("k", load)).rejects.toBe(sourceDown);
      expect(load.runs).toBe(2);
    });

    it("a load that was running at that instant is too late to be stood in for", async () => {
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

    it("a success begins a new window", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: 300, errorBackoff: 0 });
      await cache.set("k", "old");
      clock.advance(350);
      expect(await cache.getOrSet("k", () => "new")).toBe("new");
      clock.advance(399);
      expect(await cache.getOrSet("k", failing())).toBe("new");
      clock.advance(1);
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
    });
  });

  describe("C24 errorBackoff counts from the failure", () => {
    it("any number of reads within it run one loader (bentocache)", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleIfError: "1h", errorBackoff: 10_000 });
      await cache.set("k", "Ada");
      // Long after the old end of freshness: a back-off counted from there would be over.
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

    it("holds for refreshes behind a stale answer", async () => {
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

    it("is each key's own, and ends with a success, a set and a delete", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleIfError: "1h", errorBackoff: "10m" });
      await cache.set("a", "Ada");
      await cache.set("b", "Grace");
      clock.advance(1_000);
      expect(await cache.getOrSet("a", failing())).toBe("Ada");
      expect(await cache.getOrSet("b", () => "Barbara")).toBe("Barbara");

      await cache.set("a", "Annie");
      clock.advance(1_000);
      expect(await cache.getOrSet("a", () => "Anita")).toBe("Anita");

      clock.advance(1_000);
      expect(await cache.getOrSet("a", failing())).toBe("Anita");
      await cache.delete("a");
      expect(await cache.getOrSet("a", () => "Ava")).toBe("Ava");
    });

    it("ends with a load that succeeds within it, for whom nothing may stand in", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, staleIfError: "1h", errorBackoff: "10m" });
      await cache.set("k", "Ada");
      clock.advance(1_000);
      expect(await cache.getOrSet("k", failing())).toBe("Ada");
      expect(
        await cache.getOrSet("k", ({ setOptions }) => (setOptions({ staleIfError: "1h" }), "Grace"), {
          staleIfError: 0,
        }),
      ).toBe("Grace");
      clock.advance(1_000);
      expect(await cache.get("k", { allowStale: true })).toBe("Grace");
      expect(await cache.getOrSet("k", () => "Barbara")).toBe("Barbara");
    });

    it("does not hold back a load that nothing can stand in for", async () => {
      const { cache } = open(stack, { ttl: 1_000, staleIfError: "1h", errorBackoff: "10m" });
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
      expect(await cache.getOrSet("k", () => "Ada")).toBe("Ada");
    });
  });

  describe("C25 a call without staleIfError gets nothing stale for a failed load", () => {
    it("rejects with what the load failed with", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 50, staleIfError: "1h" });
      await cache.set("k", "Ada");
      clock.advance(200);
      await expect(cache.getOrSet("k", failing(sourceDown), { staleIfError: 0 })).rejects.toBe(sourceDown);
      expect(await cache.getOrSet("k", failing())).toBe("Ada");
    });

    it("is not answered out of the back-off of others either", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError: "1h" });
      await cache.set("k", "Ada");
      clock.advance(200);
      expect(await cache.getOrSet("k", failing())).toBe("Ada");
      expect(await cache.getOrSet("k", () => "Grace", { staleIfError: 0 })).toBe("Grace");
    });

    it("shares a failed load with those who have it, and each is treated as he asked", async () => {
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

    it("cannot claim a window that the entry was not stored with", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 1_000 });
      await cache.set("k", "Ada");
      clock.advance(200);
      await expect(
        cache.getOrSet("k", failing(sourceDown), { staleWhileRevalidate: 0, staleIfError: "1h" }),
      ).rejects.toBe(sourceDown);
    });
  });

  describe("C26 delete takes the stale value away, markStale leaves it", () => {
    it("nothing stands in after a delete", async () => {
      const { cache, clock, backend } = open(stack, { ttl: 100, staleWhileRevalidate: "1h", staleIfError: "1h" });
      await cache.set("k", "Ada");
      clock.advance(200);
      expect(await cache.delete("k")).toMatchObject({ status: "deleted" });
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect(await cache.inspect("k")).toBeUndefined();
      expect(backend.store.get("test::k")).toBeUndefined();
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
    });

    it.for(["delete", "set", "markStale"] as const)("of a load that runs during %s", async (change) => {
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
    });

    it("a fresh value that was marked stale stands in for a failed load", async () => {
      const { cache } = open(stack, { ttl: "1h", staleIfError: "1h" });
      await cache.set("k", "Ada");
      expect(await cache.markStale("k")).toEqual({ status: "stale" });
      expect(await cache.get("k")).toBeUndefined();
      expect(await cache.has("k")).toBe(false);
      expect(cache.peek("k")).toBeUndefined();
      expect(await cache.get("k", { allowStale: true })).toBe("Ada");
      expect(await cache.getOrSet("k", failing())).toBe("Ada");
    });

    it("and is served while a load refreshes it", async () => {
      const { cache } = open(stack, { ttl: "1h", staleWhileRevalidate: "1h" });
      await cache.set("k", "Ada");
      await cache.markStale("k");
      const load = numbered();
      expect(await cache.getOrSet("k", load)).toBe("Ada");
      await cache.drain();
      expect(await cache.get("k")).toBe("value-1");
    });
  });

  describe("C27 markStale without a stale window is a delete", () => {
    it.for<readonly [string, Policy]>([
      ["an hour", { ttl: "1h" }],
      ["an infinite ttl", { ttl: Infinity }],
    ])("and frees the memory of an entry of %s", async ([, policy]) => {
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

    it("says so when there is nothing", async () => {
      const { cache } = open(stack, { ttl: "1h", staleIfError: "1h" });
      expect(await cache.markStale("k")).toEqual({ status: "missing" });
    });
  });

  describe("C30 refreshAhead", () => {
    it("refreshes once behind a hit past its part of ttl", async () => {
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

    it("does nothing without traffic", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, refreshAhead: 0.5 });
      const load = numbered();
      await cache.getOrSet("k", load);
      for (let i = 0; i < 100; i += 1) {
        clock.advance(100);
        await flush(1);
      }
      expect(load.runs).toBe(1);
    });

    it("tries once for each window where the refresh fails", async () => {
      const { cache, clock } = open(stack, { ttl: 1_000, refreshAhead: 0.5 });
      await cache.set("k", "old");
      const load = failing();
      clock.advance(500);
      for (let i = 0; i < 50; i += 1) {
        expect(await cache.getOrSet("k", load)).toBe("old");
        await cache.drain();
      }
      expect(load.runs).toBe(1);
    });

    it("counts from the ttl that the entry was stored with", async () => {
      const { cache, clock } = open(stack, { refreshAhead: 0.5 });
      await cache.set("k", "old", { ttl: 100 });
      clock.advance(49);
      const load = numbered();
      expect(await cache.getOrSet("k", load, { ttl: 10 })).toBe("old");
      await cache.drain();
      expect(load.runs).toBe(0);
      clock.advance(1);
      expect(await cache.getOrSet("k", load, { ttl: 10_000 })).toBe("old");
      await cache.drain();
      expect(load.runs).toBe(1);
    });

    it.for([0, 1, -0.5, 1.5, NaN])("refuses %d", async (refreshAhead) => {
      const { cache } = open(stack);
      const load = numbered();
      await expect(cache.getOrSet("k", load, { refreshAhead })).rejects.toThrow(InvalidArgumentError);
      expect(load.runs).toBe(0);
    });
  });

  describe("C32 jitter", () => {
    it("takes at most its fraction off ttl", async () => {
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
      "of 0.5 at a random %d leaves %i of 1,000 ms, and the windows and the back-off whole",
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

    it("leaves an infinite ttl alone", async () => {
      const { cache } = open(stack, { ttl: Infinity, jitter: 0.5 });
      await cache.set("k", "Ada");
      expect(await cache.inspect("k")).toMatchObject({ freshForMs: Infinity, expiresInMs: Infinity });
    });
  });

  it("C33 a hit event says fresh, stale or standing in, and which tier", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 100, staleIfError: 300, softTimeout: 10 });
    const tier = stack === "backend" ? "scripted" : "memory";
    // Before a load the backend is asked, and of two equal copies the one just confirmed is served.
    const reserve = stack === "memory" ? "memory" : "scripted";
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
      ["stale", { ...about, tier: reserve, durationMs: 0, cause: "error" }],
      ["stale", { ...about, tier: reserve, durationMs: 0, cause: "error" }],
      ["stale", { ...about, tier: reserve, durationMs: 10, cause: "timeout" }],
    ]);
    expect(served).toEqual([
      { status: "miss", ageMs: 0, freshForMs: 0, coalesced: false },
      { status: "hit", tier, ageMs: 60, freshForMs: 40, coalesced: false },
      { status: "stale", tier, ageMs: 120, freshForMs: -20, coalesced: false, cause: "revalidating" },
      { status: "stale", tier: reserve, ageMs: 120, freshForMs: -20, coalesced: false, cause: "error" },
      {
        status: "stale",
        tier: reserve,
        ageMs: 250,
        freshForMs: -150,
        coalesced: false,
        cause: "error",
        error: sourceDown,
      },
      { status: "stale", tier: reserve, ageMs: 260, freshForMs: -160, coalesced: false, cause: "timeout" },
    ]);
  });
});

describe("a stale value elsewhere", () => {
  it("C22 a caller who has to wait is answered, though the refresh that he joined finds no slot", async () => {
    const { cache, clock, backend } = open("memory over backend", {
      ttl: 100,
      staleWhileRevalidate: "1h",
      maxBackgroundLoads: 1,
    });
    await cache.set("busy", "old");
    await cache.set("k", "old");
    clock.advance(100);
    const loading = gate<string>();
    await cache.getOrSet("busy", loading.pass);
    await loading.arrived();

    const reading = gate();
    backend.script("read", { key: "test::k", before: reading });
    const load = numbered();
    expect(await cache.getOrSet("k", load)).toBe("old");
    await reading.arrived();
    const waiter = cache.getOrSet("k", load, { staleWhileRevalidate: 0 });
    reading.open();
    expect(await waiter).toBe("value-1");
    loading.open("new");
    await cache.drain();
  });

  it("C22 a backend that hangs does not delay a stale answer from memory", async () => {
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

  it("C26 delete leaves nothing to stand in for a process that starts later", async () => {
    const { cache, clock, backend } = open("memory over backend", { ttl: 100, staleIfError: "1h" });
    await cache.set("k", "Ada");
    clock.advance(200);
    await cache.delete("k");
    const cold = open("memory over backend", { clock, backend, ttl: 100, staleIfError: "1h" });
    await expect(cold.cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
  });

  it("C26 markStale leaves it for a process that starts later", async () => {
    const { cache, clock, backend } = open("memory over backend", { ttl: "1h", staleIfError: "1h" });
    await cache.set("k", "Ada");
    await cache.markStale("k");
    const cold = open("memory over backend", { clock, backend, ttl: "1h", staleIfError: "1h" });
    expect(await cold.cache.get("k")).toBeUndefined();
    expect(await cold.cache.getOrSet("k", failing())).toBe("Ada");
  });

  it.for(STACKS_WITH_BACKEND)("C28 a process that has just started serves it: %s", async (stack) => {
    const policy: Policy = { ttl: 100, staleWhileRevalidate: 100, staleIfError: 400 };
    const { cache, clock, backend } = open("memory over backend", policy);
    await cache.set("revalidated", "old");
    await cache.set("stood-in-for", "old");
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
    expect(await cold.cache.getOrSet("stood-in-for", failing(sourceDown), { onServed })).toBe("old");
    expect(served).toEqual([
      { status: "stale", tier: "scripted", ageMs: 150, freshForMs: -50, coalesced: false, cause: "revalidating" },
      {
        status: "stale",
        tier: "scripted",
        ageMs: 250,
        freshForMs: -150,
        coalesced: false,
        cause: "error",
        error: sourceDown,
      },
    ]);
  });

  describe("C29 a newer value in the backend is preferred to a load", () => {
    it("by a caller who has to wait", async () => {
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

    it("by the refresh behind a stale answer", async () => {
      const { cache: here, clock, backend } = open("memory over backend", { ttl: 100, staleWhileRevalidate: "1h" });
      const { cache: there } = open("memory over backend", { clock, backend, ttl: 100 });
      await here.set("k", "old");
      clock.advance(100);
      await there.set("k", "new");
      const load = numbered();
      expect(await here.getOrSet("k", load)).toBe("old");
      await here.drain();
      expect(here.peek("k")).toBe("new");
      expect(load.runs).toBe(0);
    });

    it.for<readonly [string, Policy]>([
      ["a longer ttl", { ttl: "1d" }],
      ["an infinite ttl", { ttl: Infinity }],
      ["another jitter", { ttl: 100, jitter: 0.99 }],
    ])("written with %s", async ([, policy]) => {
      const { cache: here, clock, backend } = open("memory over backend", { ttl: 100, staleIfError: "1h" });
      const { cache: there } = open("backend", { clock, backend, ...policy });
      await here.set("k", "old");
      clock.advance(100);
      await there.set("k", "new");
      const load = numbered();
      expect(await here.getOrSet("k", load)).toBe("new");
      expect(load.runs).toBe(0);
    });

    it("and stands in for a failed load where it is stale as well", async () => {
      const { cache: here, clock, backend } = open("memory over backend", { ttl: 100, staleIfError: 1_000 });
      const { cache: there } = open("backend", { clock, backend, ttl: 100, staleIfError: 1_000 });
      await here.set("k", "old");
      clock.advance(100);
      await there.set("k", "new");
      clock.advance(100);
      expect(await here.getOrSet("k", failing())).toBe("new");
    });

    it("while a stale one in the backend does not hide a newer local copy", async () => {
      const { cache: here, clock, backend } = open("memory over backend", { ttl: 100, staleIfError: 1_000 });
      const { cache: there } = open("backend", { clock, backend, ttl: 100, staleIfError: 1_000 });
      await there.set("k", "old");
      clock.advance(50);
      backend.script("write", { fail: true, key: "test::k" });
      expect(await here.getOrSet("k", () => "new", { forceRefresh: true })).toBe("new");
      clock.advance(120);
      expect(await here.getOrSet("k", failing())).toBe("new");
    });
  });

  it("C31 a refresh ahead of expiry takes a newer value from the backend before it loads", async () => {
    const { cache: here, clock, backend } = open("memory over backend", { ttl: 1_000, refreshAhead: 0.5 });
    const { cache: there } = open("backend", { clock, backend, ttl: 1_000 });
    await here.set("k", "old");
    clock.advance(600);
    await there.set("k", "new");
    const load = numbered();
    expect(await here.getOrSet("k", load)).toBe("old");
    await here.drain();
    expect(here.peek("k")).toBe("new");
    expect(load.runs).toBe(0);
  });

  it("C31 and loads where the backend has nothing newer", async () => {
    const { cache, clock, backend } = open("memory over backend", { ttl: 1_000, refreshAhead: 0.5 });
    await cache.set("k", "old");
    clock.advance(600);
    backend.forgetCalls();
    const load = numbered();
    expect(await cache.getOrSet("k", load)).toBe("old");
    await cache.drain();
    expect(backend.count("read", "test::k")).toBe(1);
    expect(cache.peek("k")).toBe("value-1");
  });
});

describe("C34 the wall clock", () => {
  /** A cache on the system's clock, whose wall time and monotonic time the test moves apart. */
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

  it("jumps ahead and ends nothing", async () => {
    const { cache, elapse, setWallClock } = onSystemClock();
    await cache.set("k", "Ada");
    setWallClock(10 * YEAR_MS);
    elapse(59_999);
    expect(await cache.get("k")).toBe("Ada");
    expect(await cache.inspect("k")).toMatchObject({ freshForMs: 1, expiresInMs: 60_001 });
  });

  it("jumps back and makes nothing immortal", async () => {
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
