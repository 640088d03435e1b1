import { createCache, memory, type Cache, type LoadTimeoutError } from "hotset";
import { flush, outcome } from "hotset/testing";
import { afterEach, describe, expect, it, vi } from "vitest";

const made = (): Cache =>
  createCache({ name: "shop" }).tier(memory()).defaults({ ttl: "1m", staleWhileRevalidate: "1m" }).build();

afterEach(() => vi.useRealTimers());

describe("fake timers", () => {
  it("move the lifetimes of a cache", async () => {
    vi.useFakeTimers();
    const cache = made();
    let loads = 0;
    const price = (): Promise<number> => cache.getOrSet("price", () => (loads += 1));
    expect(await price()).toBe(1);
    vi.advanceTimersByTime(59_000);
    expect(await price()).toBe(1);
    expect(loads).toBe(1);
    vi.advanceTimersByTime(2_000);
    expect(await price()).toBe(1); // stale: a load runs in the background
    await cache.drain();
    expect(await price()).toBe(2);
    vi.advanceTimersByTime(121_000);
    expect(await price()).toBe(3);
    await cache.close();
  });

  it("end the wait of a caller by hardTimeout", async () => {
    vi.useFakeTimers();
    const cache = made();
    const code = cache
      .getOrSet("slow", () => new Promise<never>(() => undefined), { hardTimeout: "2s", loadTimeout: "3s" })
      .catch((error: LoadTimeoutError) => error.code);
    await vi.advanceTimersByTimeAsync(2_010); // a timer may be a little late
    expect(await code).toBe("LOAD_TIMEOUT");
    await vi.advanceTimersByTimeAsync(1_100);
    await cache.close();
  });

  it("that replace Date alone move nothing", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const cache = made();
    await cache.set("price", 1);
    vi.setSystemTime(Date.now() + 3_600_000);
    expect(await cache.get("price")).toBe(1);
    await cache.close();
  });
});

it("under fake timers: flush and outcome end, and move no timer", async () => {
  vi.useFakeTimers();
  let isOver = false;
  setTimeout(() => (isOver = true), 1);
  await flush();
  expect(await outcome(new Promise(() => undefined))).toEqual({ status: "pending" });
  expect(await outcome(Promise.resolve("Ada"))).toEqual({ status: "fulfilled", value: "Ada" });
  expect(isOver).toBe(false);
});
