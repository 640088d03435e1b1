/**
 * One load of a key at a time, in any number of processes: interleavings are forced, time is moved by hand.
 * Counter-examples: docs/reference/counter-examples.md.
 */
import { BackendUnavailableError, EncodeError, LoadTimeoutError } from "@hotset/core";
import { flush, gate, outcome, type TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, holding, inStep, keptOf, refreshing, type SimulatedProcess } from "../support/processes.ts";
import { counted, never } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const DOWN = new Error("db down");
const K = "test::k";
const pending = { status: "pending" } as const;
const answered = <T>(value: T) => ({ status: "fulfilled", value }) as const;

describe("C52 a cold key is loaded by one of two processes", () => {
  it("while the other waits without asking, and reads the stored entry", async () => {
    const { p1, p2, loads, first } = await holding();
    const second = p2.cache.getOrSet("k", never);
    await flush();
    p2.backend.forgetCalls();
    expect(await outcome(second)).toEqual(pending);
    expect(p2.backend.count()).toBe(0);
    loads.runs[0]!.open("loaded");
    expect([await first, await second]).toEqual(["loaded", "loaded"]);
    expect(p2.backend.calls.map(({ operation }) => operation)).toEqual(["read"]);
    // The report of the own store has arrived first: the copy is being confirmed.
    await flush();
    expect([p1.cache.peek("k"), p2.cache.peek("k")]).toEqual(["loaded", "loaded"]);
  });

  it("when the other looked before the store, and asks for the lease after it (counter-example 6)", async () => {
    const { p1, p2 } = await inStep();
    const asking = gate();
    p2.backend.script("leases.acquire", { before: asking });
    const second = p2.cache.getOrSet("k", never);
    await asking.arrived();
    expect(await p1.cache.getOrSet("k", () => "loaded")).toBe("loaded");
    asking.open();
    expect(await second).toBe("loaded");
  });

  it("when an entry ends between the look and the lease (counter-example 25)", async () => {
    const { p1, clock } = await inStep({ ttl: 100, staleIfError: 100 });
    await p1.cache.set("k", "old");
    clock.advance(100);
    const asking = gate();
    p1.backend.script("leases.acquire", { before: asking });
    const loads = counted("new");
    const call = p1.cache.getOrSet("k", loads.load);
    await asking.arrived();
    clock.advance(100);
    asking.open();
    expect(await call).toBe("new");
    expect(await p1.cache.get("k")).toBe("new");
    expect(loads.runs).toBe(1);
  });

  it("when an entry, which the loading process took as over early, ends during the load", async () => {
    const { p1, p2, clock, store } = await inStep({ ttl: 100 });
    await p1.cache.set("k", "old");
    clock.advance(90);
    const [reading, loads] = [gate(), gatedLoads<string>()];
    p2.backend.script("read", { before: reading });
    const call = p2.cache.getOrSet("k", loads.load);
    await reading.arrived();
    // For p2 the 5 ms that are left count from when it sent the read: they are over.
    clock.advance(5);
    reading.open();
    await loads.arrived(1);
    expect([p1.cache.peek("k"), store.get(K)]).toEqual([undefined, undefined]);
    clock.advance(5);
    loads.runs[0]!.open("new");
    expect([await call, await p1.cache.getOrSet("k", never)]).toEqual(["new", "new"]);
  });

  it("where a load failed over an entry whose life goes on: the entry stays", async () => {
    const { p1, p2, clock, store } = await inStep({ ttl: 100, staleIfError: 100 });
    await p1.cache.set("k", "old");
    clock.advance(100);
    expect(await p2.cache.getOrSet("k", () => Promise.reject(DOWN))).toBe("old");
    expect(store.get(K)).toMatchObject({ staleInMs: 0, expiresInMs: 100 });
  });

  it("where a load failed over an entry that a tag made stale: it can be read until its end", async () => {
    const { p1, p2, clock } = await inStep({ ttl: 1_000 });
    await p1.cache.set("k", "old", { tags: ["t"] });
    await p1.cache.markTagsStale("t");
    clock.advance(100);
    await expect(p2.cache.getOrSet("k", () => Promise.reject(DOWN))).rejects.toThrow(DOWN);
    expect([await p1.cache.get("k", { allowStale: true }), await p2.cache.get("k")]).toEqual(["old", undefined]);
  });
});

describe("a waiter is woken at once (C52)", () => {
  /** P1 loads, P2 waits for it; the next poll is far in the future. */
  async function waiting(): Promise<{
    p1: SimulatedProcess;
    p2: SimulatedProcess;
    store: Awaited<ReturnType<typeof inStep>>["store"];
    loads: ReturnType<typeof gatedLoads<string>>;
    first: Promise<string>;
    second: Promise<string>;
  }> {
    const { p1, p2, store, loads, first } = await holding();
    const second = p2.cache.getOrSet("k", loads.load);
    await flush();
    first.catch(() => undefined);
    expect(loads.runs).toHaveLength(1);
    return { p1, p2, store, loads, first, second };
  }

  it("when the load is stored", async () => {
    const { loads, second } = await waiting();
    loads.runs[0]!.open("loaded");
    expect(await outcome(second)).toEqual(answered("loaded"));
  });

  it("when the load fails elsewhere, and loads itself", async () => {
    const { loads, first, second } = await waiting();
    loads.runs[0]!.fail(DOWN);
    await loads.arrived(2);
    loads.runs[1]!.open("loaded");
    await expect(first).rejects.toBe(DOWN);
    expect(await second).toBe("loaded");
  });

  it("when the lease is released over an entry that stays, stale (counter-example 19)", async () => {
    const { p1, p2, clock, store } = await inStep({ ttl: 100, staleIfError: "1h" });
    await p1.cache.set("k", "old");
    clock.advance(100);
    const loads = gatedLoads<string>();
    const first = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    const second = p2.cache.getOrSet("k", loads.load);
    await flush();
    loads.runs[0]!.fail(DOWN);
    expect(await first).toBe("old");
    await loads.arrived(2);
    expect(store.keys()).toContain(K);
    loads.runs[1]!.open("new");
    expect(await second).toBe("new");
  });

  it("when its own process deletes the key", async () => {
    const { p2, loads, second } = await waiting();
    await p2.cache.delete("k");
    await loads.arrived(2);
    loads.runs[1]!.open("newer");
    expect(await second).toBe("newer");
  });

  it("when a store is refused since another program changed the entry (counter-example 20)", async () => {
    const { p2, store, loads, first } = await holding({ staleWhileRevalidate: 0 });
    store.set(K, { data: Buffer.from('"foreign"'), meta: "", staleInMs: -1, expiresInMs: 1_000 });
    const second = p2.cache.getOrSet("k", loads.load);
    await flush();
    expect(loads.runs).toHaveLength(1);
    loads.runs[0]!.open("loaded");
    expect(await first).toBe("loaded");
    await loads.arrived(2);
    loads.runs[1]!.open("newer");
    expect(await second).toBe("newer");
    expect(store.get(K)?.data).toEqual(Buffer.from('"newer"'));
  });

  it("when the store answers with an error, out of memory say (counter-example 21)", async () => {
    const { p1, loads, first, second } = await waiting();
    p1.backend.script("leases.store", { refuse: new BackendUnavailableError("out of memory") });
    loads.runs[0]!.open("loaded");
    expect(await first).toBe("loaded");
    await loads.arrived(2);
    loads.runs[1]!.open("newer");
    expect(await second).toBe("newer");
  });

  it("when the key changed between its question and the answer (counter-example 18)", async () => {
    const { p1, p2 } = await inStep();
    const loads = gatedLoads<string>();
    p1.cache.getOrSet("k", loads.load).catch(() => undefined);
    await loads.arrived(1);
    const answering = gate();
    p2.backend.script("leases.acquire", { after: answering });
    const second = p2.cache.getOrSet("k", loads.load);
    await answering.arrived();
    loads.runs[0]!.fail(DOWN);
    await flush();
    answering.open();
    await loads.arrived(2);
    loads.runs[1]!.open("loaded");
    expect(await outcome(second)).toEqual(answered("loaded"));
  });

  it.for([true, false])(
    "when an older load of its own process releases the lease after a tag call; own changes are received: %s",
    async (echoes) => {
      const { p1, loads, first } = await holding({ backend: { echoes } }, { tags: ["t"] });
      const releasing = gate();
      p1.backend.script("leases.release", { before: releasing });
      const invalidated = p1.cache.invalidateTags("t");
      const second = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
      await invalidated;
      const third = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
      await flush();
      releasing.open();
      await loads.arrived(2);
      await flush();
      for (const run of loads.runs.slice(1)) run.open("new");
      await flush();
      for (const run of loads.runs.slice(1)) run.open("new");
      loads.runs[0]!.open("old");
      expect([await first, await outcome(second), await outcome(third)]).toEqual([
        "old",
        answered("new"),
        answered("new"),
      ]);
      expect(await p1.cache.get("k")).toBe("new");
    },
  );
});

describe("C53 a holder that dies", () => {
  it("keeps another waiting until its lease ends, and no longer", async () => {
    const { p1, p2, clock, store, loads } = await holding();
    // It is dead: its commands do not arrive.
    p1.backend.down();
    const second = p2.cache.getOrSet("k", loads.load);
    await flush();
    for (let ms = 0; ms < 1_999; ms += 1) {
      clock.advance(1);
      await flush();
    }
    expect(clock.now()).toBe(2_999);
    expect([loads.runs.length, store.leaseHolder(K) === undefined]).toEqual([1, false]);
    clock.advance(1);
    await loads.arrived(2);
    loads.runs[1]!.open("loaded");
    expect(await second).toBe("loaded");
  });

  it("delays another by one poll, one second, where its lease is lost in the backend (C105)", async () => {
    const { p1, p2, clock, store, loads, first } = await holding();
    const second = p2.cache.getOrSet("k", loads.load);
    await flush();
    store.expireLease(K);
    clock.advance(999);
    await flush();
    expect(loads.runs).toHaveLength(1);
    clock.advance(1);
    await loads.arrived(2);
    loads.runs[1]!.open("second");
    expect(await second).toBe("second");
    loads.runs[0]!.open("first");
    // It is no longer the newest: handed out, and kept nowhere.
    expect(await first).toBe("first");
    await flush();
    expect(await keptOf(p1, p2)).toEqual([undefined, "second", "second"]);
  });
});

describe("C54 a lease", () => {
  it("is renewed while the loader runs, at a quarter of it", async () => {
    const { p1, p2, clock, loads, first } = await holding({ loadTimeout: "1h" });
    const second = p2.cache.getOrSet("k", loads.load);
    await flush();
    for (let s = 0; s < 60; s += 0.25) {
      clock.advance(250);
      await flush();
    }
    expect(p1.backend.count("leases.renew")).toBe(120);
    expect(loads.runs).toHaveLength(1);
    loads.runs[0]!.open("loaded");
    expect([await first, await second]).toEqual(["loaded", "loaded"]);
    p1.backend.forgetCalls();
    clock.advance(10_000);
    await flush();
    expect(p1.backend.count("leases.renew")).toBe(0);
  });

  it("is renewed again after a renewal without an answer, and lost only when another process has it", async () => {
    const { p1, clock, loads, first } = await holding();
    p1.backend.script("leases.renew", { fail: true });
    for (let i = 0; i < 3; i += 1) {
      clock.advance(500);
      await flush();
    }
    expect(p1.backend.count("leases.renew")).toBe(3);
    loads.runs[0]!.open("loaded");
    await first;
    await flush(); // No caller waits for the confirmation of the copy.
    expect(p1.cache.peek("k")).toBe("loaded");
  });

  it("is released by its own token only, so never that of the next holder (counter-example 24)", async () => {
    const { p1, p2, store, loads, first } = await holding();
    store.expireLease(K);
    const second = p2.cache.getOrSet("k", loads.load);
    await loads.arrived(2);
    const holder = store.leaseHolder(K);
    loads.runs[0]!.fail(DOWN);
    await expect(first).rejects.toBe(DOWN);
    await flush();
    expect(p1.backend.count("leases.release")).toBe(1);
    expect(store.leaseHolder(K)).toBe(holder);
    loads.runs[1]!.open("second");
    expect(await second).toBe("second");
    expect(await p1.cache.get("k")).toBe("second");
  });

  it("makes its load unstorable once a renewal reports that it was lost", async () => {
    const { p1, p2, clock, store } = await inStep();
    const loads = gatedLoads<string>();
    const fenced = watch(p1.cache, "fenced");
    const first = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    store.expireLease(K);
    const second = p2.cache.getOrSet("k", loads.load);
    await loads.arrived(2);
    clock.advance(500);
    await flush();
    loads.runs[0]!.open("first");
    await first;
    expect(fenced.map(([, { by }]) => by)).toEqual(["lease"]);
    expect(p1.backend.count("leases.store")).toBe(0);
    loads.runs[1]!.open("second");
    await second;
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["second", "second"]);
  });
});

describe("C55 where leases are not available", () => {
  it.for(["fail", "refuse", "hang"] as const)(
    "the loader runs here, no error is raised, and only a refusal leaves a copy that is trusted: they %s",
    async (how) => {
      const { p1, clock, store } = await inStep();
      const hung = gate();
      p1.backend.script(
        "leases.acquire",
        how === "hang" ? { before: hung } : { fail: how === "fail" ? true : new EncodeError("no memory") },
      );
      const call = p1.cache.getOrSet("k", () => "loaded");
      await flush();
      if (how === "hang") clock.advance(1_000);
      expect(await call).toBe("loaded");
      expect(store.keys()).toEqual([]);
      const served = how === "refuse" ? "loaded" : undefined;
      expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual([served, served]);
      p1.backend.down();
      expect(await p1.cache.get("k")).toBe("loaded");
    },
  );

  it("a lease that was granted too late is released", async () => {
    const { p1, clock, store } = await inStep();
    const late = gate();
    p1.backend.script("leases.acquire", { after: late });
    const call = p1.cache.getOrSet("k", () => "loaded");
    await late.arrived();
    clock.advance(1_000);
    expect(await call).toBe("loaded");
    expect(store.leaseHolder(K)).toMatch(/^[\w-]{16}$/);
    late.open();
    await flush();
    expect(store.leaseHolder(K)).toBe(undefined);
  });
});

describe("C56 the lease is released", () => {
  const cases = {
    "when the loader throws": async ({ cache }: SimulatedProcess) =>
      void (await cache.getOrSet("k", () => Promise.reject(DOWN)).catch(() => undefined)),
    "when it gives undefined": async ({ cache }: SimulatedProcess) => cache.getOrSet("k", () => undefined),
    "when it says noStore": async ({ cache }: SimulatedProcess) =>
      void (await cache.getOrSet("k", ({ noStore }) => noStore("loaded"))),
    "when it gives no lifetime": async ({ cache }: SimulatedProcess) =>
      void (await cache.getOrSet("k", () => "loaded", { ttl: 0 })),
    "when it gives no lifetime, and what is there cannot be removed": async ({ cache, backend }: SimulatedProcess) => {
      backend.script("remove", { fail: true });
      await cache.getOrSet("k", () => "loaded", { ttl: 0 });
    },
    "when the value cannot be encoded": async ({ cache }: SimulatedProcess) =>
      void (await cache.getOrSet("k", () => 1n)),
    "when the value is larger than the backend takes": async ({ cache }: SimulatedProcess) =>
      void (await cache.getOrSet("k", () => "x".repeat(200))),
    "when the store fails": async ({ cache, backend }: SimulatedProcess) => {
      backend.script("leases.store", { fail: true });
      await cache.getOrSet("k", () => "loaded");
    },
    "when tag versions cannot be had, before the load is over": async ({ cache, backend }: SimulatedProcess) => {
      backend.script("tags.pin", { fail: true });
      void cache.getOrSet("k", () => new Promise(() => undefined));
      await flush();
    },
    "when late tags cannot be had": async ({ cache, backend }: SimulatedProcess) => {
      backend.script("tags.unchangedSince", { fail: true });
      await cache.getOrSet("k", ({ setOptions }) => (setOptions({ tags: ["late"] }), "loaded"));
    },
    "when the last caller leaves": async ({ cache }: SimulatedProcess) => {
      const controller = new AbortController();
      const call = cache.getOrSet("k", () => new Promise(() => undefined), { signal: controller.signal });
      await flush();
      controller.abort(new Error("left"));
      await call.catch(() => undefined);
    },
    "when the last caller leaves while the lease is asked for": async ({ cache, backend }: SimulatedProcess) => {
      const controller = new AbortController();
      const answering = gate();
      backend.script("leases.acquire", { after: answering });
      const call = cache.getOrSet("k", never, { signal: controller.signal });
      await answering.arrived();
      controller.abort(new Error("left"));
      await call.catch(() => undefined);
      answering.open();
    },
    "when the cache is closed": async ({ cache }: SimulatedProcess, clock: TestClock) => {
      cache.getOrSet("k", () => new Promise(() => undefined)).catch(() => undefined);
      await flush();
      const close = cache.close({ timeout: 10 });
      clock.advance(10);
      await close;
    },
  } satisfies Record<string, (process: SimulatedProcess, clock: TestClock) => Promise<void>>;

  it.for(Object.keys(cases) as (keyof typeof cases)[])("%s", async (name) => {
    const { p1, clock, store } = await inStep({ backend: { maxEntryBytes: 100 } });
    await cases[name](p1, clock);
    await flush();
    expect(p1.backend.count("leases.acquire")).toBe(1);
    expect(store.leaseHolder(K)).toBe(undefined);
  });
});

describe("C57 waiting for the load of another process", () => {
  it("ends at softTimeout, with the stale value", async () => {
    const { p1, p2, clock } = await inStep({ ttl: 100, staleIfError: "1h" });
    await p1.cache.set("k", "old");
    clock.advance(100);
    const loads = gatedLoads<string>();
    const first = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    const second = p2.cache.getOrSet("k", never, { softTimeout: 50 });
    await flush();
    clock.advance(49);
    expect(await outcome(second)).toEqual(pending);
    clock.advance(1);
    expect(await outcome(second)).toEqual(answered("old"));
    loads.runs[0]!.open("new");
    expect(await first).toBe("new");
    await flush();
    expect(await p2.cache.get("k")).toBe("new");
  });

  it("ends at hardTimeout, with an error where there is no fallback", async () => {
    const { p2, clock, loads } = await holding();
    const second = p2.cache.getOrSet("k", never, { hardTimeout: 50 });
    await flush();
    clock.advance(50);
    await expect(second).rejects.toThrow(LoadTimeoutError);
    loads.runs[0]!.open("loaded");
    await flush();
    expect(await p2.cache.get("k")).toBe("loaded");
  });

  it("ends at loadTimeout, although the lease is renewed for ever", async () => {
    const { p2, clock } = await holding({}, { loadTimeout: "1h" });
    const second = p2.cache.getOrSet("k", never, { loadTimeout: 5_000 });
    second.catch(() => undefined);
    await flush();
    for (const ms of [1_000, 1_000, 1_000, 1_000, 999]) {
      clock.advance(ms);
      await flush();
    }
    expect(await outcome(second)).toEqual(pending);
    clock.advance(1);
    await expect(second).rejects.toThrow(LoadTimeoutError);
  });

  it("ends for a caller that leaves, and does not count as a load", async () => {
    const { p2, loads, first } = await holding({ maxLoads: 1 });
    const controller = new AbortController();
    const second = p2.cache.getOrSet("k", never, { signal: controller.signal });
    await flush();
    expect(await p2.cache.getOrSet("other", () => "other")).toBe("other");
    const left = new Error("left");
    controller.abort(left);
    await expect(second).rejects.toBe(left);
    p2.backend.forgetCalls();
    loads.runs[0]!.open("loaded");
    await first;
    await flush();
    // No caller waits any more, so no question is sent.
    expect(p2.backend.count()).toBe(0);
    expect(await outcome(p2.cache.drain())).toEqual(answered(undefined));
  });

  it("is bounded without messages: it looks again each second", async () => {
    const { p2, clock, loads, first } = await holding();
    const second = p2.cache.getOrSet("k", never);
    await flush();
    p2.link.hold();
    loads.runs[0]!.open("loaded");
    await first;
    clock.advance(999);
    expect(await outcome(second)).toEqual(pending);
    clock.advance(1);
    expect(await outcome(second)).toEqual(answered("loaded"));
  });
});

describe("a wait for the load of another process", () => {
  const NONE = { localTtl: "1m", backend: { leases: true, tagVersions: true, coherence: "none" } } as const;

  it("without messages looks again after 20 ms, then after as long as it has waited, up to a second", async () => {
    const { p2, clock, loads } = await holding(NONE, { loadTimeout: "1m" });
    const second = p2.cache.getOrSet("k", never);
    await flush();
    p2.backend.forgetCalls();
    const begunAt = clock.now();
    const looks: number[] = [];
    for (let seen = 0; clock.now() - begunAt < 4_500; clock.advance(10)) {
      await flush();
      const reads = p2.backend.count("read");
      if (reads > seen) looks.push(clock.now() - begunAt);
      seen = reads;
    }
    expect(looks).toEqual([20, 40, 80, 160, 320, 640, 1_280, 2_280, 3_280, 4_280]);
    loads.runs[0]!.open("loaded");
    await flush();
    clock.advance(780);
    expect(await outcome(second)).toEqual(answered("loaded"));
  });

  it("that is woken asks nothing for a second, and looks again soon once its link is silent", async () => {
    const { p1, p2, clock, loads } = await holding();
    void p2.cache.getOrSet("k", never);
    await flush();
    p2.backend.forgetCalls();
    clock.advance(999);
    await flush();
    expect(p2.backend.count("read")).toBe(0);
    clock.advance(1);
    await flush();
    expect(p2.backend.count("read")).toBe(1);
    p2.link.lose({ attach: "rejects" });
    void p1.cache.getOrSet("m", loads.load);
    await loads.arrived(2);
    void p2.cache.getOrSet("m", never);
    await flush();
    p2.backend.forgetCalls();
    clock.advance(20);
    await flush();
    expect(p2.backend.count("read")).toBe(1);
  });
});

describe("C58 a refresh behind an answer", () => {
  it("tries for the lease and gives up where another process has it", async () => {
    const { p1, p2, loads } = await refreshing("by p1");
    expect(await p2.cache.getOrSet("k", never)).toBe("old");
    await flush();
    expect(p2.backend.count("leases.acquire")).toBe(1);
    expect(await outcome(p2.cache.drain())).toEqual(answered(undefined));
    loads.runs[0]!.open("new");
    await flush();
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["new", "new"]);
  });

  it("waits for the lease where a caller that accepts no stale value joined it", async () => {
    const { p2, loads } = await refreshing("by both");
    const asking = gate();
    p2.backend.script("leases.acquire", { before: asking });
    expect(await p2.cache.getOrSet("k", never)).toBe("old");
    await asking.arrived();
    const strict = p2.cache.getOrSet("k", never, { staleWhileRevalidate: 0 });
    asking.open();
    await flush();
    loads.runs[0]!.open("new");
    expect(await outcome(strict)).toEqual(answered("new"));
  });

  it("goes on from an entry stored since that is stale as well, with one refresh at a time", async () => {
    const { p1, p2, clock } = await inStep({ ttl: 100, staleWhileRevalidate: "1h", maxBackgroundLoads: 1 });
    await p1.cache.set("k", "old");
    expect(await p2.cache.get("k")).toBe("old");
    clock.advance(100);
    const asking = gate();
    p2.backend.script("leases.acquire", { before: asking });
    expect(await p2.cache.getOrSet("k", () => "newest")).toBe("old");
    await asking.arrived();
    await p1.cache.set("k", "new");
    await p1.cache.markStale("k");
    asking.open();
    await flush();
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["newest", "newest"]);
  });
});

it("C24 during a failure: two processes load one at a time, and each backs off", async () => {
  const { p1, p2, clock } = await inStep({ ttl: 100, staleIfError: "1h", errorBackoff: 1_000 });
  await p1.cache.set("k", "old");
  clock.advance(100);
  let running = 0;
  let most = 0;
  let runs = 0;
  const load = async (): Promise<string> => {
    runs += 1;
    running += 1;
    most = Math.max(most, running);
    await flush();
    running -= 1;
    throw DOWN;
  };
  for (let i = 0; i < 5; i += 1) {
    expect(
      await Promise.all([p1, p2].flatMap(({ cache }) => [cache.getOrSet("k", load), cache.getOrSet("k", load)])),
    ).toEqual(["old", "old", "old", "old"]);
    clock.advance(100);
  }
  expect([runs, most]).toEqual([2, 1]);
  clock.advance(1_000);
  await Promise.all([p1, p2].map(({ cache }) => cache.getOrSet("k", load)));
  expect([runs, most]).toEqual([4, 1]);
});

describe("C61 a holder that cannot store a valid value any more lets others load at once, and answers its own callers, after", () => {
  it("a write of the key here, once it is acknowledged (counter-example 24)", async () => {
    const { p1, p2 } = await inStep();
    const loads = gatedLoads<string>();
    const removing = gate();
    p1.backend.script("remove", { after: removing });
    const deleted = p1.cache.delete("k");
    await removing.arrived();
    // It was granted after the removal, and fenced by its acknowledgement.
    const first = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    const second = p2.cache.getOrSet("k", loads.load);
    await flush();
    expect(loads.runs).toHaveLength(1);
    removing.open();
    await deleted;
    await loads.arrived(2);
    loads.runs[1]!.open("second");
    expect(await second).toBe("second");
    loads.runs[0]!.open("first");
    expect(await first).toBe("first");
    await flush();
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["second", "second"]);
  });

  it("a tag invalidated here, before the renewal is acknowledged", async () => {
    const { p1, p2, loads, first } = await holding({}, { tags: ["t"] });
    const second = p2.cache.getOrSet("k", loads.load, { tags: ["t"] });
    await flush();
    const renewing = gate();
    p1.backend.script("tags.renew", { after: renewing });
    p1.backend.forgetCalls();
    const invalidated = p1.cache.invalidateTags("t");
    await loads.arrived(2);
    expect(p1.backend.calls.slice(0, 2).map(({ operation }) => operation)).toEqual(["tags.renew", "leases.release"]);
    loads.runs[1]!.open("second");
    expect(await second).toBe("second");
    renewing.open();
    await invalidated;
    loads.runs[0]!.open("first");
    expect(await first).toBe("first");
    await flush();
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["second", "second"]);
  });

  it.for([true, false])(
    "a tag invalidated here, also with a lease granted during the call; own changes are received: %s",
    async (echoes) => {
      const { p1, p2 } = await inStep({ backend: { echoes } });
      const loads = gatedLoads<string>();
      const granting = gate();
      p1.backend.script("leases.acquire", { after: granting });
      const first = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
      await granting.arrived();
      await p1.cache.invalidateTags("t");
      const second = p2.cache.getOrSet("k", loads.load, { tags: ["t"] });
      await flush();
      granting.open();
      await loads.arrived(2);
      expect(loads.runs.map(({ context }) => context.reason)).toEqual(["miss", "miss"]);
      for (const run of loads.runs) run.open("new");
      expect([await first, await outcome(second)]).toEqual(["new", answered("new")]);
    },
  );

  it("a tag invalidated here, with a lease granted while it is renewed", async () => {
    const { p1, p2 } = await inStep({ backend: { echoes: false } });
    const loads = gatedLoads<string>();
    const renewing = gate();
    p1.backend.script("tags.renew", { before: renewing });
    const invalidated = p1.cache.invalidateTags("t");
    await renewing.arrived();
    const first = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
    await loads.arrived(1);
    const second = p2.cache.getOrSet("k", loads.load, { tags: ["t"] });
    await flush();
    expect(loads.runs).toHaveLength(1);
    renewing.open();
    await invalidated;
    await loads.arrived(2);
    for (const [i, run] of loads.runs.entries()) run.open(`load ${i + 1}`);
    expect([await first, await second]).toEqual(["load 1", "load 2"]);
  });

  it("a tag invalidated elsewhere, once its version is compared", async () => {
    const { p1, p2, loads, first } = await holding({}, { tags: ["t"] });
    p1.backend.forgetCalls();
    await p2.cache.invalidateTags("t");
    const second = p2.cache.getOrSet("k", loads.load, { tags: ["t"] });
    await loads.arrived(2);
    expect(p1.backend.calls.map(({ operation }) => operation)).toEqual(["tags.read", "leases.release"]);
    loads.runs[1]!.open("second");
    expect(await second).toBe("second");
    loads.runs[0]!.open("first");
    expect(await first).toBe("first");
    expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["second", "second"]);
  });

  it("a tag invalidated elsewhere, also during the comparison, which is repeated", async () => {
    const {
      all: [p1, p2, p3],
      store,
    } = await inStep({}, 3);
    const loads = gatedLoads<string>();
    const first = p1.cache.getOrSet("k", loads.load, { tags: ["t"] });
    await loads.arrived(1);
    await flush();
    const comparing = gate();
    p1.backend.script("tags.read", { after: comparing });
    // A message without a new version, then one with a new version before the answer about the first.
    store.evictTag("{~test}::t");
    await comparing.arrived();
    await p3.cache.invalidateTags("t");
    comparing.open();
    const second = p2.cache.getOrSet("k", loads.load, { tags: ["t"] });
    await loads.arrived(2);
    loads.runs[1]!.open("second");
    expect(await outcome(second)).toEqual(answered("second"));
    loads.runs[0]!.open("first");
    expect(await first).toBe("first");
  });

  it("a new version, not after a message alone: the first use of a tag looks the same, and two would load (counter-example 24)", async () => {
    const { p1, p2, store, loads, first } = await holding({}, { tags: ["t"] });
    await flush();
    const second = p2.cache.getOrSet("k", never, { tags: ["t"] });
    second.catch(() => undefined);
    await flush();
    const holder = store.leaseHolder(K);
    expect(holder).toMatch(/^[\w-]{16}$/);
    p2.cache.getOrSet("j", () => "j", { tags: ["first used"] }).catch(() => undefined);
    // An evicted version is not a new one yet; its new issue is received.
    store.evictTag("{~test}::t");
    await flush();
    expect(store.leaseHolder(K)).toBe(holder);
    loads.runs[0]!.open("first");
    expect([await first, await outcome(p1.cache.get("j"))]).toEqual(["first", answered("j")]);
    expect(p1.backend.count("leases.release")).toBe(0);
    // An entry stored under a version that is gone is a miss.
    await expect(second).rejects.toThrow("this loader must not run");
  });
});

describe("C11 a forced load", () => {
  it("takes the lease over, and the older holder stores nothing (counter-example 22)", async () => {
    const { p1, p2, loads, first } = await holding();
    const forced = p2.cache.getOrSet("k", loads.load, { forceRefresh: true });
    await loads.arrived(2);
    loads.runs[1]!.open("forced");
    expect(await forced).toBe("forced");
    loads.runs[0]!.open("first");
    expect(await first).toBe("first");
    await flush();
    expect(await keptOf(p1, p2)).toEqual([undefined, "forced", "forced"]);
  });

  it("compares with the version found with its lease: an entry that another program wrote and removed does not come back (counter-example 22)", async () => {
    const { p1, p2, store } = await inStep();
    await p1.cache.set("k", "v0");
    const loads = gatedLoads<string>();
    const forced = p2.cache.getOrSet("k", loads.load, { forceRefresh: true });
    await loads.arrived(1);
    // That program does not know leases, so it removes the entry only.
    expect(store.delete(K)).toBe(true);
    loads.runs[0]!.open("v1");
    expect(await forced).toBe("v1");
    await flush();
    expect([store.keys().includes(K), p2.cache.peek("k"), await p1.cache.get("k")]).toEqual([
      false,
      undefined,
      undefined,
    ]);
    expect(store.leaseHolder(K)).toBe(undefined);
  });

  it("is kept if it began later than another forced load, in any order of the answers (counter-example 23)", async () => {
    const { p1, loads, first } = await holding({}, { forceRefresh: true });
    const storing = gate();
    p1.backend.script("leases.store", { after: storing });
    loads.runs[0]!.open("v1");
    await storing.arrived();
    const second = p1.cache.getOrSet("k", loads.load, { forceRefresh: true });
    await loads.arrived(2);
    loads.runs[1]!.open("v2");
    await flush();
    storing.open();
    expect([await first, await second]).toEqual(["v1", "v2"]);
    await flush();
    expect([p1.cache.peek("k"), await p1.cache.get("k")]).toEqual(["v2", "v2"]);
  });
});

describe("batches", () => {
  it("C52 load the keys that no other process loads, and read the rest from there; two in opposite order do not wait for each other for ever", async () => {
    const { p1, p2 } = await inStep();
    const [one, two] = [gate(), gate()];
    const asked: string[][] = [];
    const load =
      (at: typeof one) =>
      async (keys: readonly string[]): Promise<[string, string][]> => {
        asked.push([...keys]);
        await at.pass();
        return keys.map((key) => [key, `${key} of ${at === one ? 1 : 2}`]);
      };
    // Each gets one of the leases first.
    const [later1, later2] = [gate(), gate()];
    p1.backend.script("leases.acquire", { key: "test::b", before: later1 });
    p2.backend.script("leases.acquire", { key: "test::a", before: later2 });
    const first = p1.cache.getOrSetMany(["a", "b"], (key) => key, load(one));
    const second = p2.cache.getOrSetMany(["b", "a"], (key) => key, load(two));
    await flush();
    later1.open();
    later2.open();
    await flush();
    expect(asked).toEqual([["a"], ["b"]]);
    one.open();
    two.open();
    expect([await first, await second]).toEqual([
      new Map([
        ["a", "a of 1"],
        ["b", "b of 2"],
      ]),
      new Map([
        ["b", "b of 2"],
        ["a", "a of 1"],
      ]),
    ]);
    expect(asked).toHaveLength(2);
  });

  it("C52 store a load after a wait under the tag versions of that time", async () => {
    const { p1, p2 } = await inStep();
    const loads = gatedLoads<string>();
    const first = p1.cache.getOrSet("a", loads.load, { tags: ["t"] });
    await loads.arrived(1);
    const second = p2.cache.getOrSetMany(
      ["a", "b"],
      (key) => key,
      (keys) => keys.map((key) => [key, `${key} of 2`] as const),
      { tags: ["t"] },
    );
    await flush();
    await p1.cache.invalidateTags("t");
    expect(await second).toEqual(
      new Map([
        ["a", "a of 2"],
        ["b", "b of 2"],
      ]),
    );
    expect(await p1.cache.getOrSet("a", never, { tags: ["t"] })).toBe("a of 2");
    loads.runs[0]!.open("a of 1");
    await first;
  });

  it("C57 wait within their limits, and end for a caller that leaves", async () => {
    const { p1, p2, clock } = await inStep();
    const loads = gatedLoads<string>();
    void p1.cache.getOrSet("a", loads.load);
    await loads.arrived(1);
    const call = (options: object): Promise<Map<string, string>> =>
      p2.cache.getOrSetMany(
        ["a", "b"],
        (key) => key,
        (keys) => keys.map((key) => [key, key] as const),
        options,
      );
    const timed = call({ hardTimeout: 50 });
    timed.catch(() => undefined);
    await flush();
    clock.advance(50);
    await expect(timed).rejects.toThrow(LoadTimeoutError);
    const controller = new AbortController();
    const left = call({ signal: controller.signal });
    await flush();
    controller.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    loads.runs[0]!.open("a");
    await flush();
    expect(await outcome(p2.cache.drain())).toEqual(answered(undefined));
  });

  it("C115 load the rest once, when a caller leaves while another process loads one of the keys", async () => {
    const { p1, p2 } = await inStep();
    const loads = gatedLoads<string>();
    void p1.cache.getOrSet("a", loads.load);
    await loads.arrived(1);
    const asking = gate();
    p2.backend.script("leases.acquire", { key: "test::c", before: asking });
    const asked: string[][] = [];
    const controller = new AbortController();
    const left = p2.cache.getOrSetMany(
      ["a", "b", "c"],
      (key) => key,
      (keys) => {
        asked.push([...keys]);
        return keys.map((key) => [key, `${key} of 2`] as const);
      },
      { signal: controller.signal },
    );
    await asking.arrived();
    const others = [p2.cache.getOrSet("b", never), p2.cache.getOrSet("c", never)];
    await flush();
    controller.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    await flush();
    // `b` has come to its load, and waits for `c`.
    expect(asked).toEqual([]);
    asking.open();
    expect(await Promise.all(others)).toEqual(["b of 2", "c of 2"]);
    expect(asked).toEqual([["b", "c"]]);
    loads.runs[0]!.open("a of 1");
  });
});

it("C26 a value deleted while a call waited for the load of another process is not a fallback for its own failure", async () => {
  const { p1, p2, clock } = await inStep({ ttl: 100, staleIfError: "1h" });
  await p1.cache.set("k", "old");
  expect(await p2.cache.get("k")).toBe("old");
  clock.advance(100);
  const loads = gatedLoads<string>();
  p1.cache.getOrSet("k", loads.load).catch(() => undefined);
  await loads.arrived(1);
  const waiting = p2.cache.getOrSet("k", () => Promise.reject(DOWN));
  await flush();
  await p2.cache.delete("k");
  await expect(waiting).rejects.toBe(DOWN);
});

it("C26 an entry that was replaced by a load of this process is not a fallback of a call that began before it", async () => {
  const { p1, p2, clock } = await inStep({ ttl: 100, staleIfError: "1h" });
  await p1.cache.set("k", "old");
  clock.advance(100);
  const asking = gate();
  p1.backend.script("leases.acquire", { key: K, before: asking });
  const older = p1.cache.getOrSet("k", () => Promise.reject(DOWN));
  await asking.arrived();
  expect(await p1.cache.getOrSet("k", () => "new", { forceRefresh: true })).toBe("new");
  await p2.cache.delete("k");
  asking.open();
  await expect(older).rejects.toBe(DOWN);
});

it("C61 no caller waits for a load that was fenced by a set that cannot be encoded", async () => {
  const { p1, p2, loads, first } = await holding();
  await expect(p1.cache.set("k", 1n)).rejects.toMatchObject({ code: "ENCODE_FAILED" });
  expect(await p2.cache.getOrSet("k", () => "there")).toBe("there");
  loads.runs[0]!.open("here");
  expect(await first).toBe("here");
  expect(await p2.cache.get("k")).toBe("there");
});

it("C52 a call that still looked when an older load was stored here loads for all processes", async () => {
  const { p1, p2, clock, loads, first } = await holding({ ttl: 100 });
  await p2.cache.invalidateTags("any");
  const looking = gate();
  p1.backend.script("read", { key: K, before: looking });
  const second = p1.cache.getOrSet("k", loads.load);
  await looking.arrived();
  loads.runs[0]!.open("first");
  expect(await first).toBe("first");
  clock.advance(100);
  looking.open();
  await loads.arrived(2);
  const third = p2.cache.getOrSet("k", never);
  await flush();
  loads.runs[1]!.open("second");
  expect([await second, await third]).toEqual(["second", "second"]);
});

it.for(["read", "leases.acquire"] as const)(
  "C52 a call that began before a load that was stored here, and loads after it, loads for all processes: %s",
  async (held) => {
    const { p1, p2 } = await inStep();
    await p1.cache.delete("k");
    const asking = gate();
    p1.backend.script(held, { key: K, before: asking });
    const loads = gatedLoads<string>();
    const older = p1.cache.getOrSet("k", loads.load);
    await asking.arrived();
    const newer = p1.cache.getOrSet("k", loads.load, { current: true });
    await loads.arrived(1);
    loads.runs[0]!.open("first");
    expect(await newer).toBe("first");
    await p2.cache.delete("k");
    asking.open();
    await loads.arrived(2);
    const elsewhere = p2.cache.getOrSet("k", never);
    await flush();
    loads.runs[1]!.open("second");
    expect([await older, await elsewhere]).toEqual(["second", "second"]);
  },
);

it("C52 a call with a lease from after the removal by a newer load without a lifetime loads for all processes", async () => {
  const { p1, p2 } = await inStep();
  const loads = gatedLoads<string>();
  const [asking, removing] = [gate(), gate()];
  p1.backend.script("leases.acquire", { before: asking });
  p1.backend.script("remove", { after: removing });
  const older = p1.cache.getOrSet("k", loads.load);
  await asking.arrived();
  // From now on no caller shares it.
  p1.link.everything();
  await flush();
  const removed = p1.cache.getOrSet("k", loads.load, { ttl: 0 });
  await loads.arrived(1);
  loads.runs[0]!.open("removed");
  await removing.arrived();
  asking.open();
  await loads.arrived(2);
  const elsewhere = p2.cache.getOrSet("k", never);
  removing.open();
  expect(await removed).toBe("removed");
  loads.runs[1]!.open("older");
  expect([await older, await elsewhere]).toEqual(["older", "older"]);
  await flush();
  expect([await p1.cache.get("k"), await p2.cache.get("k")]).toEqual(["older", "older"]);
});

it("C58 hits of a stale key that another process refreshes cost a few commands a second, not some for each hit", async () => {
  const { p2, clock, loads } = await refreshing("by p1");
  p2.backend.forgetCalls();
  for (let i = 0; i < 100; i += 1) {
    expect(await p2.cache.getOrSet("k", never)).toBe("old");
    await flush();
    clock.advance(5);
  }
  // One read, which left a stale copy, and one request for the lease with its pin of versions.
  expect(p2.backend.count()).toBeLessThanOrEqual(4);
  expect(p2.backend.count("leases.acquire")).toBe(1);
  clock.advance(500);
  expect(await p2.cache.getOrSet("k", never)).toBe("old");
  await flush();
  expect(p2.backend.count("leases.acquire")).toBe(2);
  loads.runs[0]!.open("new");
  await flush();
  expect(await p2.cache.getOrSet("k", never)).toBe("new");
});

it("a miss asks for tag versions only while they are not known, and after a change of one of them", async () => {
  const { p1, p2 } = await inStep();
  const asked = async (key: string): Promise<readonly string[]> => {
    p1.backend.forgetCalls();
    expect(await p1.cache.getOrSet(key, () => "loaded", { tags: ["t"] })).toBe("loaded");
    await flush();
    return p1.backend.calls.map(({ operation }) => operation).filter((each) => each.startsWith("tags."));
  };
  expect((await asked("first")).filter((each) => each === "tags.pin")).toEqual(["tags.pin"]);
  // Issuing them was a change, which is reported to this process as well.
  await asked("second");
  expect(await asked("third")).toEqual([]);
  await p2.cache.invalidateTags("t");
  await flush();
  expect(await asked("fourth")).toContain("tags.pin");
  expect([await p2.cache.get("third"), await p2.cache.get("fourth")]).toEqual([undefined, "loaded"]);
});
