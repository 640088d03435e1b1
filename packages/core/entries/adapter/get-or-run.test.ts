import { createTestCache, gate, TestClock } from "@hotset/testing";
import { describe, expect, it, vi } from "vitest";
import { getOrRun } from "./get-or-run.ts";

describe("getOrRun", () => {
  it("is getOrSet while the cache answers: one load, its options, its errors", async () => {
    await using cache = createTestCache({ ttl: "1h" });
    const load = vi.fn(async () => "made");
    const all = [1, 2, 3].map(() => getOrRun(cache, "k", load, { tags: ["t"] }));
    expect(await Promise.all(all)).toEqual(["made", "made", "made"]);
    expect(load).toHaveBeenCalledTimes(1);
    await cache.invalidateTags("t");
    expect(await cache.get("k")).toBe(undefined);
    await expect(getOrRun<unknown>(cache, "k", () => Promise.reject(new Error("db down")))).rejects.toThrow("db down");
  });

  it("runs without a closed cache, with a context of which nothing is kept", async () => {
    const cache = createTestCache({ ttl: "1h" });
    await cache.close();
    const { signal } = new AbortController();
    const answer = await getOrRun(
      cache,
      "k",
      (context) => {
        context.setOptions({ ttl: 100 });
        return [
          context.key,
          context.reason,
          context.background,
          context.noStore(1),
          context.notShared(2),
          context.signal,
        ];
      },
      { signal },
    );
    expect(answer).toEqual(["k", "miss", false, 1, 2, signal]);
    await expect(getOrRun<unknown>(cache, "k", () => Promise.reject(new Error("db down")))).rejects.toThrow("db down");
  });

  it("runs for a caller that is refused because too many wait", async () => {
    await using cache = createTestCache({ ttl: "1h", maxWaiting: 1 });
    const loading = gate<string>();
    const first = getOrRun(cache, "k", () => loading.pass());
    await loading.arrived();
    expect(await getOrRun(cache, "k", () => "without")).toBe("without");
    loading.open("loaded");
    expect(await first).toBe("loaded");
    expect(await cache.get("k")).toBe("loaded");
  });

  it("gives a caller what is for it alone, returned or thrown, and stores nothing", async () => {
    await using cache = createTestCache({ ttl: "1h", staleIfError: "1h" });
    class Redirect {
      readonly to: number;
      constructor(to: number) {
        this.to = to;
      }
    }
    const isForOne = (given: unknown): boolean => given instanceof Redirect;
    let runs = 0;
    const ask = (ends: "returns" | "throws"): Promise<unknown> => {
      const load = async (): Promise<unknown> => {
        runs += 1;
        if (ends === "throws") throw new Redirect(runs);
        return new Redirect(runs);
      };
      return getOrRun<unknown>(cache, "k", load, { isForOne });
    };
    const all = await Promise.allSettled([ask("throws"), ask("throws"), ask("returns"), ask("returns")]);
    expect(all.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled", "fulfilled"]);
    const given = all.map((each) => (each.status === "fulfilled" ? each.value : each.reason) as Redirect);
    expect(new Set(given.map(({ to }) => to))).toEqual(new Set([1, 2, 3, 4]));
    expect(await cache.get("k")).toBe(undefined);
    expect(await getOrRun(cache, "k", () => "data", { isForOne })).toBe("data");
    expect(await cache.get("k")).toBe("data");
  });

  it("serves a stale value in place of a failure, and not in place of an answer that is thrown", async () => {
    const clock = new TestClock();
    await using cache = createTestCache({ clock, ttl: 100, staleIfError: "1h", errorBackoff: 0 });
    const isForOne = (given: unknown): boolean => given === "redirect";
    await cache.set("k", "stale");
    clock.advance(100);
    expect(await getOrRun<unknown>(cache, "k", () => Promise.reject(new Error("db down")), { isForOne })).toBe("stale");
    await expect(getOrRun<unknown>(cache, "k", () => Promise.reject("redirect"), { isForOne })).rejects.toBe(
      "redirect",
    );
  });

  it("never runs twice for one caller: a load that has begun ends with its own error", async () => {
    await using cache = createTestCache({ ttl: "1h" });
    const load = vi.fn(() => Promise.reject(Object.assign(new Error("of another cache"), { code: "OVERLOADED" })));
    await expect(getOrRun<unknown>(cache, "k", load)).rejects.toThrow("of another cache");
    expect(load).toHaveBeenCalledTimes(1);
  });

  it("passes all other refusals on", async () => {
    await using cache = createTestCache({ ttl: "1h" });
    const load = vi.fn(() => "made");
    await expect(getOrRun(cache, "", load)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(load).not.toHaveBeenCalled();
  });
});
