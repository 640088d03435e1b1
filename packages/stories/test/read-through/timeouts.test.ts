import { AsyncLocalStorage } from "node:async_hooks";
import { getEventListeners } from "node:events";
import type { LoadContext, Served } from "@hotset/core";
import { flush, gate, outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import {
  counted,
  never,
  open,
  rejectionsDuring,
  STACKS,
  STACKS_WITH_BACKEND,
  type OpenOptions,
  type Opened,
} from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const PENDING = { status: "pending" } as const;
const LATE = { name: "LoadTimeoutError", code: "LOAD_TIMEOUT" } as const;
const DOWN = new Error("db down");

describe.each(STACKS)("over %s", (stack) => {
  /** Stores "old" under "k", stale for 100 ms, covered by `staleIfError` for another 9,900 ms. */
  const withStale = async (options: OpenOptions = {}): Promise<Opened> => {
    const opened = open(stack, { ttl: 100, staleIfError: 10_000, ...options });
    await opened.cache.set("k", "old");
    opened.clock.advance(200);
    return opened;
  };

  it("C35 a stale value is served as fallback exactly at softTimeout", async () => {
    const { cache, clock } = await withStale({ softTimeout: 50 });
    const loading = gate<string>();
    const served: Served[] = [];
    const call = cache.getOrSet("k", loading.pass, { onServed: (each) => served.push(each) });
    await loading.arrived();
    clock.advance(49);
    expect(await outcome(call)).toEqual(PENDING);
    clock.advance(1);
    expect(await call).toBe("old");
    expect(served).toMatchObject([
      { status: "stale", cause: "timeout", ageMs: 250, freshForMs: -150, coalesced: false },
    ]);
    loading.open("new");
    await cache.drain();
    expect(await cache.get("k")).toBe("new");
  });

  it.for<readonly [string, OpenOptions, number]>([
    ["when no stale value exists", {}, 100_000],
    ["when staleIfError does not cover the stale value", { staleIfError: 50, staleWhileRevalidate: 80 }, 190],
  ])("C35 softTimeout does not answer the call %s", async ([, options, laterMs]) => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: 10_000, softTimeout: 50, ...options });
    await cache.set("k", "old");
    clock.advance(laterMs);
    const loading = gate<string>();
    const call = cache.getOrSet("k", loading.pass);
    await loading.arrived();
    clock.advance(20_000);
    expect(await outcome(call)).toEqual(PENDING);
    loading.open("new");
    expect(await call).toBe("new");
  });

  it("C35 softTimeout does not answer a call that allows nothing stale", async () => {
    const { cache, clock } = await withStale({ softTimeout: 50 });
    const loading = gate<string>();
    const strict = cache.getOrSet("k", loading.pass, { staleIfError: 0 });
    await loading.arrived();
    const lenient = cache.getOrSet("k", never);
    clock.advance(50);
    expect(await lenient).toBe("old");
    expect(await outcome(strict)).toEqual(PENDING);
    loading.open("new");
    expect(await strict).toBe("new");
  });

  it("C36 hardTimeout rejects exactly on time when nothing stale exists", async () => {
    const { cache, clock } = open(stack);
    const loading = gate<string>();
    const call = cache.getOrSet("k", loading.pass, { hardTimeout: 50 });
    await loading.arrived();
    clock.advance(49);
    expect(await outcome(call)).toEqual(PENDING);
    clock.advance(1);
    await expect(call).rejects.toMatchObject({
      ...LATE,
      operation: "getOrSet",
      message: expect.stringContaining("hardTimeout, 50 ms") as string,
    });
    loading.open("new");
  });

  it("C36 hardTimeout rejects when the call allows no stale value or staleIfError has ended", async () => {
    const { cache, clock } = await withStale({ hardTimeout: 50 });
    const loading = gate<string>();
    const strict = cache.getOrSet("k", loading.pass, { staleIfError: 0 });
    const short = cache.getOrSet("k", never, { staleIfError: 149 });
    await loading.arrived();
    clock.advance(50);
    await expect(strict).rejects.toMatchObject(LATE);
    await expect(short).rejects.toMatchObject(LATE);
    loading.open("new");
  });

  it("C37 the loader goes on after hardTimeout, so four calls cause one run (bentocache)", async () => {
    const { cache, clock } = open(stack, { hardTimeout: 50 });
    const loading = gate<string>();
    let runs = 0;
    const load = (): Promise<string> => {
      runs += 1;
      return loading.pass();
    };
    for (let i = 0; i < 4; i += 1) {
      const call = cache.getOrSet("k", load);
      await flush();
      clock.advance(50);
      await expect(call).rejects.toMatchObject(LATE);
    }
    const last = cache.getOrSet("k", load);
    loading.open("new");
    expect(await last).toBe("new");
    expect(runs).toBe(1);
  });

  it("C38 a loader that never settles ends at loadTimeout, and the next caller loads", async () => {
    const { cache, clock } = open(stack, { loadTimeout: 500, maxLoads: 1 });
    const hung = gate<string>();
    const signals: AbortSignal[] = [];
    const calls = [cache.getOrSet("k", (ctx) => (signals.push(ctx.signal), hung.pass())), cache.getOrSet("k", never)];
    const queued = cache.getOrSet("other", () => "its turn");
    await hung.arrived();
    clock.advance(499);
    expect(await outcome(calls[0]!)).toEqual(PENDING);
    clock.advance(1);
    for (const call of calls) await expect(call).rejects.toMatchObject({ ...LATE, operation: "load" });
    expect(signals.map(({ aborted, reason }) => [aborted, (reason as { code: string }).code])).toEqual([
      [true, "LOAD_TIMEOUT"],
    ]);
    expect(await queued).toBe("its turn");
    expect(await cache.getOrSet("k", () => "next")).toBe("next");
    hung.open("too late");
    await flush();
    expect(await cache.get("k")).toBe("next");
    expect(cache.stats()).toMatchObject({ loads: 3, loadErrors: 1 });
  });

  it("C38 a hung background refresh ends at loadTimeout, and a later call refreshes again", async () => {
    const { cache, clock } = open(stack, {
      ttl: 100,
      staleWhileRevalidate: 10_000,
      loadTimeout: 500,
      errorBackoff: 50,
      maxBackgroundLoads: 1,
    });
    await cache.set("k", "old");
    clock.advance(100);
    const hung = gate<string>();
    expect(await cache.getOrSet("k", hung.pass)).toBe("old");
    await hung.arrived();
    expect(await cache.getOrSet("k", never)).toBe("old");
    clock.advance(500);
    await cache.drain();
    clock.advance(50);
    expect(await cache.getOrSet("k", () => "new")).toBe("old");
    await cache.drain();
    expect(await cache.get("k")).toBe("new");
  });

  it("C39 a load that ends after its callers have left is stored, reported and found", async () => {
    const { cache, clock, backend, stored } = open(stack, { hardTimeout: 50 });
    const seen = watch(cache, "load", "store");
    const loading = gate<string>();
    const call = cache.getOrSet("k", loading.pass);
    await loading.arrived();
    clock.advance(50);
    await expect(call).rejects.toMatchObject(LATE);
    clock.advance(100);
    loading.open("late, and kept");
    await cache.drain();
    expect(await cache.get("k")).toBe("late, and kept");
    expect(cache.peek("k")).toBe(stack === "backend" ? undefined : "late, and kept");
    expect(stored()).toEqual(stack === "memory" ? [] : ["test::k"]);
    expect(seen.filter(([name]) => name === "load")).toMatchObject([
      ["load", { key: "k", reason: "miss", background: true, durationMs: 150, result: "stored" }],
    ]);
    expect(seen.flatMap(([name, event]) => (name === "store" ? [event.tier] : []))).toEqual(
      stack === "memory" ? ["memory"] : stack === "backend" ? ["scripted"] : ["scripted", "memory"],
    );
    if (stack !== "memory") expect(await open("backend", { clock, backend }).cache.get("k")).toBe("late, and kept");
  });

  it("C40 a background failure is reported once and is never an unhandled rejection", async () => {
    const { cache, clock } = open(stack, {
      ttl: 100,
      staleWhileRevalidate: 1_000,
      refreshAhead: 0.5,
      hardTimeout: 20,
      errorBackoff: 0,
    });
    const seen = watch(cache, "load:error");
    const rejections = await rejectionsDuring(async () => {
      await cache.set("ahead", "old");
      await cache.set("stale", "old");
      clock.advance(50);
      expect(await cache.getOrSet("ahead", () => Promise.reject(DOWN))).toBe("old");
      await cache.drain();
      clock.advance(50);
      expect(
        await cache.getOrSet("stale", () => {
          throw DOWN;
        }),
      ).toBe("old");
      await cache.drain();
      const loading = gate<string>();
      const call = cache.getOrSet("late", loading.pass);
      await loading.arrived();
      clock.advance(20);
      await expect(call).rejects.toMatchObject(LATE);
      loading.fail(DOWN);
      await cache.drain();
    });
    expect(rejections).toEqual([]);
    expect(seen.map(([, { key, reason, background, error }]) => [key, reason, background, error])).toEqual([
      ["ahead", "refresh-ahead", true, DOWN],
      ["stale", "stale", true, DOWN],
      ["late", "miss", true, DOWN],
    ]);
  });

  it("C42 an abort signal ends the wait of its own caller only", async () => {
    const { cache } = open(stack);
    const loading = gate<string>();
    const controllers = [new AbortController(), new AbortController()];
    let context: LoadContext | undefined;
    const load = (ctx: LoadContext): Promise<string> => {
      context = ctx;
      return loading.pass();
    };
    const [first, second] = controllers.map(({ signal }) => cache.getOrSet("k", load, { signal }));
    const third = cache.getOrSet("k", load);
    await loading.arrived();
    const reason = new Error("the client hung up");
    controllers[0]!.abort(reason);
    await expect(first).rejects.toBe(reason);
    expect(await Promise.all([second, third].map((call) => outcome(call!)))).toEqual([PENDING, PENDING]);
    controllers[1]!.abort();
    await expect(second).rejects.toMatchObject({ name: "AbortError" });
    expect(context!.signal.aborted).toBe(false);
    loading.open("Ada");
    expect(await third).toBe("Ada");
    expect(await cache.get("k")).toBe("Ada");
    expect(controllers.map(({ signal }) => getEventListeners(signal, "abort").length)).toEqual([0, 0]);
  });

  it("C42 when the last caller leaves, the loader is aborted, nothing is stored, and the next caller loads", async () => {
    const { cache, stored } = open(stack, { maxLoads: 1 });
    const loading = gate<string>();
    const controllers = [new AbortController(), new AbortController()];
    let signal: AbortSignal | undefined;
    const calls = controllers.map((controller) =>
      cache.getOrSet("k", (ctx) => ((signal = ctx.signal), loading.pass()), { signal: controller.signal }),
    );
    await loading.arrived();
    for (const [i, controller] of controllers.entries()) controller.abort(`reason ${i}`);
    expect(await Promise.all(calls.map((call) => outcome(call)))).toEqual([
      { status: "rejected", reason: "reason 0" },
      { status: "rejected", reason: "reason 1" },
    ]);
    expect([signal?.aborted, signal?.reason]).toEqual([true, "reason 1"]);
    expect(await cache.getOrSet("k", () => "anew")).toBe("anew");
    loading.open("aborted");
    await flush();
    expect(await cache.get("k")).toBe("anew");
    expect(stored()).toEqual(stack === "memory" ? [] : ["test::k"]);
  });

  it("C42 a caller that leaves the queue takes no slot, and its loader never runs", async () => {
    const { cache } = open(stack, { maxLoads: 1 });
    const busy = gate<number>();
    const other = cache.getOrSet("other", busy.pass);
    await busy.arrived();
    const controller = new AbortController();
    const leaver = cache.getOrSet("k", never, { signal: controller.signal });
    const waiter = cache.getOrSet("j", () => 2);
    await flush();
    controller.abort("gone");
    expect(await outcome(leaver)).toEqual({ status: "rejected", reason: "gone" });
    busy.open(1);
    expect(await Promise.all([other, waiter])).toEqual([1, 2]);
    expect(await cache.getOrSet("k", () => 3)).toBe(3);
    expect(cache.stats().loads).toBe(3);
  });

  it("calls that share a signal add one listener, end alone or together, and leave none behind", async () => {
    const { cache } = open(stack);
    const [loading, first] = [gate<string>(), gate<string>()];
    const controller = new AbortController();
    const { signal } = controller;
    const listeners = (): number => getEventListeners(signal, "abort").length;
    const calls = Array.from({ length: 100 }, (_, i) => cache.getOrSet(`k${i}`, loading.pass, { signal }));
    const answered = cache.getOrSet("first", first.pass, { signal });
    await Promise.all([loading.arrived(100), first.arrived()]);
    expect(listeners()).toBe(1);
    first.open("value");
    expect([await answered, listeners()]).toEqual(["value", 1]);
    controller.abort("gone");
    expect(await Promise.all(calls.map(outcome))).toEqual(calls.map(() => ({ status: "rejected", reason: "gone" })));
    expect(listeners()).toBe(0);

    const other = new AbortController();
    const again = gate<string>();
    const more = ["a", "b"].map((key) => cache.getOrSet(key, again.pass, { signal: other.signal }));
    await again.arrived(2);
    expect(getEventListeners(other.signal, "abort")).toHaveLength(1);
    again.open("value");
    expect([await Promise.all(more), getEventListeners(other.signal, "abort")]).toEqual([["value", "value"], []]);
  });

  it("C44 waitUntil receives each background task, in the caller's async context, and never a rejection", async () => {
    const context = new AsyncLocalStorage<string>();
    const given: { readonly in: string | undefined; readonly work: Promise<void> }[] = [];
    const { cache, clock } = open(stack, {
      ttl: 100,
      staleWhileRevalidate: 1_000,
      refreshAhead: 0.5,
      errorBackoff: 0,
      waitUntil: (work) => void given.push({ in: context.getStore(), work }),
    });
    await cache.setMany([
      ["ahead", "old"],
      ["stale", "old"],
    ]);
    expect(given).toEqual([]);
    const loading = gate<string>();
    clock.advance(50);
    await context.run("request 1", () => cache.getOrSet("ahead", loading.pass));
    await loading.arrived();
    clock.advance(50);
    await context.run("request 2", () => cache.getOrSet("stale", () => Promise.reject(DOWN)));
    const late = context.run("request 3", () => cache.getOrSet("late", loading.pass, { hardTimeout: 10 }));
    await loading.arrived(2);
    clock.advance(10);
    await expect(late).rejects.toMatchObject(LATE);
    // The TestClock runs timers in the context of advance(), so the third has no request.
    expect(given.map((each) => each.in)).toEqual(["request 1", "request 2", undefined]);
    expect(await outcome(given[1]!.work)).toEqual({ status: "fulfilled", value: undefined });
    expect(await outcome(given[0]!.work)).toEqual(PENDING);
    loading.open("new");
    await Promise.all(given.map(({ work }) => work));
    expect([await cache.get("ahead"), await cache.get("late")]).toEqual(["new", "new"]);
  });

  it("C44 drain resolves when all running work is settled, failures included", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 1_000, errorBackoff: 0 });
    await cache.drain();
    await cache.setMany([
      ["a", "old"],
      ["b", "old"],
    ]);
    clock.advance(100);
    const loading = gate<string>();
    await cache.getOrSet("a", loading.pass);
    await cache.getOrSet("b", () => Promise.reject(DOWN));
    const drained = cache.drain();
    expect(await outcome(drained)).toEqual(PENDING);
    loading.open("new");
    await drained;
    expect(await cache.get("a")).toBe("new");
  });
});

describe.each(STACKS_WITH_BACKEND)("a slow backend, over %s", (stack) => {
  it("C43 a read beyond its limit is a miss, and its late answer overwrites nothing", async () => {
    const { cache: writer, clock, backend } = open("backend");
    await writer.set("k", "in the backend");
    const { cache } = open(stack, { clock, backend });
    const slow = gate();
    backend.script("read", { key: "test::k", after: slow });
    const source = counted("loaded");
    const call = cache.getOrSet("k", source.load);
    await slow.arrived();
    clock.advance(999);
    expect([await outcome(call), source.runs]).toEqual([PENDING, 0]);
    clock.advance(1);
    expect(await call).toBe("loaded");
    slow.open();
    await flush();
    if (stack !== "backend") expect(cache.peek("k")).toBe("loaded");
    expect(cache.stats()).toMatchObject({ misses: 1, hits: stack === "backend" ? 0 : 1, loads: 1 });
  });

  it("C43 a store waits only for the rest of the deadline that the read has left", async () => {
    const { cache, clock, backend } = open(stack, { backend: { deadlineMs: 100 } });
    const [slowRead, slowWrite] = [gate(), gate()];
    backend.script("read", { key: "test::k", before: slowRead });
    backend.script("write", { key: "test::k", before: slowWrite });
    const call = cache.getOrSet("k", () => "loaded");
    await slowRead.arrived();
    clock.advance(60);
    slowRead.open();
    await slowWrite.arrived();
    clock.advance(39);
    expect(await outcome(call)).toEqual(PENDING);
    clock.advance(1);
    expect(await call).toBe("loaded");
    slowWrite.open();
    await cache.drain();
    expect(await cache.get("k")).toBe("loaded");
  });
});

it("a stale value found in the backend: C35 is served at softTimeout counted from the call, the backend read included", async () => {
  const { cache: writer, clock, backend } = open("backend", { ttl: 100, staleIfError: 10_000 });
  await writer.set("k", "old");
  clock.advance(200);
  const { cache } = open("backend", { clock, backend, ttl: 100, staleIfError: 10_000, softTimeout: 50 });
  const [slow, loading] = [gate(), gate<string>()];
  backend.script("read", { key: "test::k", before: slow });
  const call = cache.getOrSet("k", loading.pass);
  await slow.arrived();
  clock.advance(40);
  slow.open();
  await loading.arrived();
  clock.advance(9);
  expect(await outcome(call)).toEqual(PENDING);
  clock.advance(1);
  expect(await call).toBe("old");
  loading.open("new");
});
