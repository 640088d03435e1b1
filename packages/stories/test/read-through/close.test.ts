import {
  BackendUnavailableError,
  createCache,
  systemClock,
  type Cache,
  type Clock,
  type Namespace,
} from "@hotset/core";
import { memory } from "@hotset/memory";
import { forkScript } from "@hotset/test-servers";
import { flush, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { IdleProcess } from "../support/idle-process.ts";
import { never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";

const CLOSED = { name: "CacheClosedError", code: "CACHE_CLOSED" } as const;
const PENDING = { status: "pending" } as const;
const same = <T>(value: T): T => value;

describe("C116 timers", () => {
  it.for([["idle"], ["busy"], ["failing"], ["closed"]] as const)(
    "do not keep a process alive when its cache is %s",
    async ([how]) => {
      await using script = forkScript<IdleProcess>(new URL("../support/idle-process.ts", import.meta.url));
      expect(await script.call(how)).toBe(`${how} since now`);
      expect(await script.end()).toEqual({ code: 0, signal: null });
      expect(script.stderr).toBe("");
    },
  );

  it("do not count as active resources of Node, and the process is held once while a caller waits", async () => {
    let holds = 0;
    const hold = (): (() => void) => ((holds += 1), () => void (holds -= 1));
    // That of the system is held by the calls of other tests, too.
    const clock = { ...systemClock, hold };
    await using cache = createCache({ name: "quiet", clock }).tier(memory()).build();
    const timers = (): number => process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;
    const added: (readonly number[])[] = [];
    for (let i = 0; i < 5; i += 1) {
      const before = timers();
      await cache.set("kept", "value");
      const during = await cache.getOrSet(`k${i}`, () => [timers() - before, holds], { hardTimeout: "1m" });
      expect([during[1], holds]).toEqual([1, 0]);
      added.push([during[0]!, timers() - before]);
    }
    // The test runner has timers too, of which one may begin or end during a round, but not during each of five.
    expect(added).toContainEqual([0, 0]);
  });
});

/** Counts pending timers. */
function watchedClock(clock: TestClock): Clock & { readonly waiting: number } {
  const waiting = new Set<object>();
  return {
    now: () => clock.now(),
    schedule(callback, delayMs) {
      const timer = {};
      if (delayMs !== Infinity) waiting.add(timer);
      const cancel = clock.schedule(() => {
        waiting.delete(timer);
        callback();
      }, delayMs);
      return () => {
        waiting.delete(timer);
        cancel();
      };
    },
    get waiting() {
      return waiting.size;
    },
  };
}

describe.each(STACKS)("close over %s", (stack) => {
  const calls: [string, (cache: Namespace) => unknown][] = [
    ["getOrSet", (cache) => cache.getOrSet("other", never)],
    ["getOrSet of a stored key", (cache) => cache.getOrSet("k", never)],
    ["getOrSet with options", (cache) => cache.getOrSet("k", never, { forceRefresh: true })],
    ["getOrSetMany", (cache) => cache.getOrSetMany(["k", "other"], same, never)],
    ["get", (cache) => cache.get("k")],
    ["getMany", (cache) => cache.getMany(["k"])],
    ["has", (cache) => cache.has("k")],
    ["inspect", (cache) => cache.inspect("k")],
    ["set", (cache) => cache.set("k", 2)],
    ["setMany", (cache) => cache.setMany([["k", 2]])],
    ["delete", (cache) => cache.delete("k")],
    ["deleteMany", (cache) => cache.deleteMany(["k"])],
    ["markStale", (cache) => cache.markStale("k")],
    ["invalidateTags", (cache) => cache.invalidateTags("t")],
    ["markTagsStale", (cache) => cache.markTagsStale("t")],
    ["clear", (cache) => cache.clear()],
    ["a wrapped function", (cache) => cache.wrap(never, { name: "w" })()],
    ["connect", (cache) => (cache as Cache).connect?.() ?? cache.get("k")],
  ];

  it.for(calls)("C117 %s is refused once close has resolved, in every namespace", async ([, call]) => {
    const { cache } = open(stack);
    const below = cache.namespace("below");
    await cache.set("k", 1);
    await below.set("k", 1);
    await cache.close();
    for (const space of [cache, below]) await expect(call(space)).rejects.toMatchObject(CLOSED);
    expect(() => cache.peek("k")).toThrow(expect.objectContaining(CLOSED) as Error);
  });

  it("a cache that closes goes on answering until close has resolved, and stores nothing that it loads", async () => {
    const { cache, backend, stored } = open(stack, { ttl: 1_000 });
    await cache.set("kept", "kept");
    const loading = gate<number>();
    const running = cache.getOrSet("running", loading.pass);
    await loading.arrived();
    const closing = cache.close();
    backend.forgetCalls();
    let loads = 0;
    const load = (): number => (loads += 1);
    expect([
      await cache.getOrSet("kept", never),
      await cache.getOrSet("new", load),
      await cache.getOrSet("new", load),
      [...(await cache.getOrSetMany(["kept", "batch"], same, async (keys) => keys.map((key) => [key, "loaded"])))],
      await cache.get("new"),
      (await cache.getMany(["kept", "new"])).size,
      cache.peek("kept"),
      await cache.has("kept"),
    ]).toEqual([
      "kept",
      1,
      2,
      [
        ["kept", "kept"],
        ["batch", "loaded"],
      ],
      undefined,
      1,
      stack === "backend" ? undefined : "kept",
      true,
    ]);
    expect(backend.count("leases.acquire")).toBe(0);
    await expect(cache.connect()).rejects.toMatchObject(CLOSED);
    loading.open(1);
    expect(await running).toBe(1);
    await closing;
    expect(stored().toSorted()).toEqual(stack === "memory" ? [] : ["test::kept", "test::running"]);
  });

  it("C117 waits for running loads and writes, and stores their results", async () => {
    const { cache, clock, backend, stored } = open(stack, { ttl: 1_000, staleWhileRevalidate: 10_000 });
    await cache.set("stale", "old");
    clock.advance(1_000);
    const loading = gate<string>();
    const waiting = cache.getOrSet("waiting", loading.pass);
    expect(await cache.getOrSet("stale", loading.pass)).toBe("old");
    const setting = cache.set("set", 1);
    await loading.arrived(2);
    const closing = cache.close();
    clock.advance(4_999);
    expect([await outcome(closing), backend.isClosed]).toEqual([PENDING, false]);
    loading.open("new");
    expect([await waiting, (await setting).status]).toEqual(["new", "stored"]);
    await closing;
    expect(backend.isClosed).toBe(stack !== "memory");
    if (stack !== "memory") {
      expect(stored().toSorted()).toEqual(["test::set", "test::stale", "test::waiting"]);
      expect(Buffer.from(backend.store.get("test::stale")!.data).toString()).toBe('"new"');
    }
  });

  it("C117 lets the calls of a running load through", async () => {
    const { cache, backend } = open(stack);
    await cache.set("kept", "kept");
    const loading = gate();
    const call = cache.getOrSet("outer", async () => {
      await loading.pass();
      await cache.set("set", 1);
      return [
        await cache.getOrSet("inner", () => "inner"),
        await cache.get("kept"),
        cache.peek("kept"),
        await cache.delete("set"),
        await cache.invalidateTags("t"),
      ];
    });
    await loading.arrived();
    const closing = cache.close();
    loading.open();
    expect(await call).toEqual([
      "inner",
      "kept",
      stack === "backend" ? undefined : "kept",
      { status: "deleted" },
      { status: "done" },
    ]);
    await closing;
    expect(backend.isClosed).toBe(stack !== "memory");
  });

  it.for([
    ["load", (cache: Cache, load: () => Promise<void>) => cache.getOrSet("outer", load)],
    [
      "batch load",
      (cache: Cache, load: () => Promise<void>) => cache.getOrSetMany(["outer"], same, async () => (await load(), [])),
    ],
  ] as const)("C117 refuses the calls of a %s that did not end within the timeout", async ([, begin]) => {
    const { cache, clock } = open(stack);
    const loading = gate();
    let late: Promise<unknown> | undefined;
    const call = begin(cache, async () => {
      await loading.pass();
      late = outcome(cache.getOrSet("inner", never));
    });
    await loading.arrived();
    const closing = cache.close({ timeout: 10 });
    clock.advance(10);
    await expect(call).rejects.toMatchObject(CLOSED);
    await closing;
    loading.open();
    await flush();
    expect(await late).toMatchObject({ status: "rejected", reason: CLOSED });
  });

  it.for([
    [5_000, undefined],
    [70, { timeout: 70 }],
    [0, { timeout: 0 }],
  ] as const)("C117 abandons after %i ms the loads that did not end", async ([limitMs, options]) => {
    const { cache, clock, stored } = open(stack);
    const hung = gate<number>();
    let signal: AbortSignal | undefined;
    const call = cache.getOrSet("k", (ctx) => ((signal = ctx.signal), hung.pass()));
    await hung.arrived();
    const closing = cache.close(options);
    if (limitMs > 0) {
      clock.advance(limitMs - 1);
      expect([await outcome(closing), signal!.aborted]).toEqual([PENDING, false]);
    }
    clock.advance(limitMs === 0 ? 0 : 1);
    await expect(call).rejects.toMatchObject(CLOSED);
    expect(await outcome(closing)).toEqual({ status: "fulfilled", value: undefined });
    expect([signal!.aborted, signal!.reason]).toMatchObject([true, CLOSED]);
    hung.open(1);
    await flush();
    expect(stored()).toEqual([]);
  });

  it.for([["soon"], [NaN], [null]] as const)(
    "C117 with timeout %s is refused and closes nothing",
    async ([timeout]) => {
      const { cache } = open(stack);
      await expect(cache.close({ timeout: timeout as never })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      await expect(cache.close({ timeOut: 5 } as never)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      expect((await cache.set("k", 1)).status).toBe("stored");
    },
  );

  it("C116 C117 leaves no pending timer, even for abandoned calls", async () => {
    const clock = new TestClock();
    const watched = watchedClock(clock);
    const { cache, backend } = open(stack, {
      clock: watched as unknown as TestClock,
      ttl: 100,
      staleWhileRevalidate: 1_000,
      hardTimeout: 10_000,
      softTimeout: 5_000,
    });
    await cache.set("k", 1);
    await cache.set("end", 1);
    clock.advance(100);
    const hung = gate<number>();
    const calls = [cache.getOrSet("hung", hung.pass), cache.getOrSet("hung", never)].map((call) => outcome(call));
    await cache.getOrSet("k", hung.pass);
    await hung.arrived(2);
    if (stack !== "memory") {
      backend.down();
      expect(await cache.delete("k")).toEqual({ status: "pending" });
      backend.script("remove", { before: gate() });
      const removing = cache.delete("end");
      clock.advance(1_000);
      expect(await removing).toEqual({ status: "pending" });
    }
    expect(watched.waiting).toBeGreaterThan(0);
    const closing = cache.close({ timeout: 2_000 });
    clock.advance(2_000);
    await Promise.all(calls);
    await closing;
    // The deadline of the pending backend call still has to pass.
    clock.advance(stack === "memory" ? 0 : 1_000);
    expect(watched.waiting).toBe(0);
    backend.forgetCalls();
    clock.advance("1h");
    await flush();
    expect([watched.waiting, backend.calls]).toEqual([0, []]);
  });
});

describe.each(STACKS_WITH_BACKEND)("close of a shared backend, over %s", (stack) => {
  it("C117 happens when the last cache that uses it closes", async () => {
    const { cache: one, clock, backend } = open(stack);
    const { cache: two } = open(stack, { clock, backend, name: "other" });
    await one.close();
    expect([backend.isClosed, (await two.set("k", 1)).status]).toEqual([false, "stored"]);
    await one.close();
    expect(backend.isClosed).toBe(false);
    await two.close();
    expect(backend.isClosed).toBe(true);
  });

  it("C117 replays pending invalidations first", async () => {
    const { cache, backend, stored } = open(stack);
    await cache.set("k", "old");
    backend.down();
    expect(await cache.delete("k")).toEqual({ status: "pending" });
    expect([cache.stats().pending, stored()]).toEqual([1, ["test::k"]]);
    backend.up();
    await cache.close();
    expect([stored(), backend.isClosed]).toEqual([[], true]);
  });

  it.for([
    ["invalidateTags", (cache: Cache) => cache.invalidateTags("t")],
    ["markTagsStale", (cache: Cache) => cache.markTagsStale("t")],
    ["clear", (cache: Cache) => cache.clear()],
  ] as const)("C117 and drain wait for %s, and replay it if it fails", async ([, call]) => {
    const { cache, backend, clock } = open(stack, { ttl: "1h", backend: { tagVersions: true } });
    const there = open("backend", { backend, clock, name: "test", ttl: "1h" }).cache;
    await there.set("k", "old", { tags: ["t"] });
    const renewing = gate();
    backend.script("tags.renew", { before: renewing });
    const first = call(cache);
    const draining = cache.drain();
    await renewing.arrived();
    expect(await outcome(draining)).toEqual(PENDING);
    renewing.open();
    await draining;
    expect(await first).toMatchObject({ status: "done" });
    await there.set("k", "older", { tags: ["t"] });
    const failing = gate();
    backend.script("tags.renew", { before: failing });
    const second = call(cache);
    await failing.arrived();
    const closing = cache.close();
    expect(await outcome(closing)).toEqual(PENDING);
    failing.fail(new Error("lost"));
    expect(await second).toEqual({ status: "pending" });
    await closing;
    expect(await there.get("k")).toBeUndefined();
  });

  it("C117 succeeds when the backend's close fails, and does not wait when it hangs", async () => {
    const { cache: failing, backend } = open(stack);
    backend.script("close", { fail: true });
    await failing.close();
    const { cache, clock, backend: hanging } = open(stack);
    hanging.script("close", { before: gate() });
    const closing = cache.close();
    await flush();
    clock.advance(1_000);
    expect(await outcome(closing)).toEqual({ status: "fulfilled", value: undefined });
  });
});

describe("a backend that fails to close", () => {
  const openFailing = () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, label: "far", deadlineMs: 100 });
    const cache = createCache({ name: "test", clock }).tier(backend).build();
    const reports: string[] = [];
    cache.on("backend:error", ({ tier, operation, error }) =>
      reports.push(`${tier}, ${operation}: ${error.message}, ${(error.cause as Error | undefined)?.message}`),
    );
    return { cache, clock, backend, reports };
  };

  it("is reported, and close resolves", async () => {
    const { cache, backend, reports } = openFailing();
    backend.script("close", { fail: new Error("busy") });
    await cache.close();
    expect(reports).toEqual(["far, close: far: close failed; see cause, busy"]);
  });

  it("is reported by its own error, also after close has resolved", async () => {
    const { cache, clock, backend, reports } = openFailing();
    const failing = gate();
    const close = async (): Promise<void> => {
      await failing.pass();
      throw new BackendUnavailableError("far is down", { tier: "far" });
    };
    Object.assign(backend, { close });
    const closing = cache.close();
    await failing.arrived();
    clock.advance(1_000);
    await closing;
    expect(reports).toEqual([]);
    failing.open();
    await flush();
    expect(reports).toEqual(["far, close: far is down, undefined"]);
  });
});
