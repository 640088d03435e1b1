/** Several processes, each with its links to one main backend and one gutter. Each link is cut alone, time is moved. */
import { type Cache, type CacheEvents, type Fence, json, type GetOrSetOptions } from "@hotset/core";
import {
  createTestCache,
  flush,
  gate,
  outcome,
  scriptedBackend,
  TestClock,
  type ScriptedBackend,
} from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gutter } from "./gutter.ts";

interface Process {
  readonly cache: Cache;
  readonly main: ScriptedBackend;
  readonly small: ScriptedBackend;
  /** Loads `source.value` and counts, or waits at a gate. */
  get(key?: string, options?: GetOrSetOptions): Promise<unknown>;
}

const K = "test::k";
const CAPABLE = { leases: true, tagVersions: true } as const;

/** Processes that are attached to main. `loads` counts the loads of all. */
async function fleet(count: number) {
  const clock = new TestClock();
  const firstMain = scriptedBackend({ clock, label: "main", coherence: "reported", ...CAPABLE });
  const firstSmall = scriptedBackend({ clock, label: "small", ...CAPABLE });
  // Their versions differ, as those of two servers do.
  await firstSmall.tagVersions!.pin(["{~test}:t"]);
  firstSmall.store.evictIssuer();
  const source = { value: "v1", loads: 0, before: undefined as Promise<unknown> | undefined };
  const load = async (): Promise<string> => {
    source.loads += 1;
    const { value, before } = source;
    await before;
    return value;
  };
  const start = (main: ScriptedBackend, small: ScriptedBackend): Process => {
    const cache = createTestCache({ clock, ttl: "1h", backend: gutter(main, small, { clock }) });
    return { cache, main, small, get: (key = "k", options = {}) => cache.getOrSet(key, load, options) };
  };
  const all = Array.from({ length: count }, (_, i) =>
    i === 0 ? start(firstMain, firstSmall) : start(firstMain.peer(), firstSmall.peer()),
  );
  for (const { cache } of all) await cache.connect();
  /** In steps, so that each due call is answered before the next. */
  const elapse = async (ms: number, step = 20): Promise<void> => {
    for (let passed = 0; passed < ms; passed += step) {
      clock.advance(Math.min(step, ms - passed));
      await flush(2);
    }
  };
  const down = (...processes: readonly Process[]): void => processes.forEach(({ main }) => main.down());
  const up = async (...processes: readonly Process[]): Promise<void> => {
    processes.forEach(({ main }) => main.up());
    await elapse(2_000);
  };
  return { clock, source, all, elapse, down, up, main: firstMain, small: firstSmall };
}

const valueIn = (backend: ScriptedBackend, key: string = K): unknown => {
  const stored = backend.store.get(key);
  return stored && json().decode(stored.data);
};

describe("while main is unreachable", () => {
  it("C690 one process loads a key for all, once in each ttl", async () => {
    const { source, all, elapse, down } = await fleet(5);
    down(...all);
    const loading = gate();
    source.before = loading.pass();
    const first = all.map(({ get }) => get());
    await elapse(100);
    expect(source.loads).toBe(1);
    loading.open();
    await elapse(1_000);
    expect(await Promise.all(first)).toEqual(Array.from({ length: 5 }, () => "v1"));
    source.value = "v2";
    for (let s = 1; s < 9; s += 1) {
      expect(await Promise.all(all.map(({ get }) => get()))).toEqual(Array.from({ length: 5 }, () => "v1"));
      await elapse(1_000, 200);
    }
    expect(source.loads).toBe(1);
    await elapse(1_000, 200);
    const again = all.map(({ get }) => get());
    await elapse(1_000);
    expect(await Promise.all(again)).toEqual(Array.from({ length: 5 }, () => "v2"));
    expect(source.loads).toBe(2);
  });

  it("C690 the value has its tags and its freshness there: no process refreshes what is fresh", async () => {
    const { source, all, down, elapse } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    down(...all);
    const options = { tags: ["t"], ttl: "1h", refreshAhead: 0.5 } as const;
    await p1.get("k", options);
    await elapse(5_000, 500);
    await p2.get("k", options);
    const found = await p2.cache.inspect("k");
    expect(found).toMatchObject({ state: "fresh", tags: ["t"], freshForMs: 3_600_000 - 5_000, expiresInMs: 5_000 });
    await flush();
    expect(source.loads).toBe(1);
  });

  it("C690 the call that finds out waits for main once, and no later one does", async () => {
    const { all, clock } = await fleet(1);
    const [{ get, main, small }] = all as [Process];
    main.script("*", { before: gate(), times: Infinity });
    const first = get();
    await flush();
    clock.advance(999);
    expect(await outcome(first)).toEqual({ status: "pending" });
    clock.advance(1);
    await flush();
    expect(await first).toBe("v1");
    main.forgetCalls();
    expect(await get("l")).toBe("v1");
    expect(main.calls.map(({ operation }) => operation).filter((each) => each !== "attach")).toEqual([]);
    expect(small.count("leases.store")).toBe(2);
  });

  it("C690 with both unreachable the error is that of main, and each process loads for itself", async () => {
    const { all, down, source, elapse } = await fleet(2);
    const errors: CacheEvents["backend:error"][] = [];
    all[0]!.cache.on("backend:error", (event) => errors.push(event));
    down(...all);
    for (const { small } of all) small.down();
    for (const { get } of all) expect(await get()).toBe("v1");
    expect(source.loads).toBe(2);
    await elapse(100);
    expect(errors[0]?.error.message).toContain("main: ");
    expect(errors.every(({ error }) => !error.message.includes("small"))).toBe(true);
    // Copies in memory stand in, as without a gutter.
    for (const { get } of all) expect(await get()).toBe("v1");
    expect(source.loads).toBe(2);
  });

  it("C690 a call with current is answered by a load", async () => {
    const { all, down, source } = await fleet(2);
    down(...all);
    await all[0]!.get();
    source.value = "v2";
    expect(await all[1]!.get("k", { current: true })).toBe("v2");
  });

  it("C690 what a load was under way for when main was lost is stored nowhere", async () => {
    const { all, down, source, elapse, main, small } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    const loading = gate();
    source.before = loading.pass();
    const first = p1.get();
    await flush();
    down(...all);
    source.value = "v2";
    source.before = undefined;
    const second = p2.get();
    await elapse(100);
    expect(await second).toBe("v2");
    loading.open();
    await elapse(100);
    expect(await first).toBe("v1");
    expect([valueIn(main), valueIn(small)]).toEqual([undefined, "v2"]);
    expect(await p1.get()).toBe("v2");
  });
});

describe("changes while main is unreachable", () => {
  it.each<[string, (cache: Cache) => Promise<{ readonly status: string }>]>([
    ["delete", (cache) => cache.delete("k")],
    ["set", (cache) => cache.set("k", "mine")],
    ["markStale", (cache) => cache.markStale("k")],
    ["invalidateTags", (cache) => cache.invalidateTags("t")],
    ["markTagsStale", (cache) => cache.markTagsStale("t")],
    ["clear", (cache) => cache.clear()],
  ])("are pending for main, and effective in the gutter: %s", async (_, change) => {
    const { all, down, source, elapse } = await fleet(3);
    const [p1, p2, p3] = all as [Process, Process, Process];
    down(...all);
    await p2.get("k", { tags: ["t"] });
    source.value = "v2";
    expect((await change(p1.cache)).status).toBe("pending");
    expect(p1.cache.stats().pending).toBe(1);
    const both = [p2, p3].map(({ get }) => get("k", { tags: ["t"] }));
    await elapse(500);
    expect(await Promise.all(both)).toEqual(["v2", "v2"]);
    expect(source.loads).toBe(2);
  });

  it.each<[string, (cache: Cache) => Promise<unknown>, most: number]>([
    ["a key", (cache) => cache.delete("k"), 2],
    ["a tag", (cache) => cache.invalidateTags("t"), 3],
  ])("their repetitions end nothing that was loaded since: %s", async (_, change, most) => {
    const { all, down, source, elapse } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    down(...all);
    await p2.get("k", { tags: ["t"] });
    await change(p1.cache);
    for (let s = 0; s < 8; s += 1) {
      // Each read of the one that made the change repeats it first.
      void p1.cache.get("k");
      const found = p2.get("k", { tags: ["t"] });
      await elapse(1_000, 100);
      expect(await found).toBe("v1");
    }
    expect(source.loads).toBeLessThanOrEqual(most);
  });

  it("a change that main did not get is not forgotten for what is stored in the gutter", async () => {
    const { all, down, up, source, elapse } = await fleet(1);
    const [{ cache, get, main }] = all as [Process];
    await get();
    down(...all);
    source.value = "v2";
    await cache.delete("k");
    expect(await get("k", { forceRefresh: true })).toBe("v2");
    const fence = cache.fence("k");
    await elapse(100);
    await cache.set("k", "v2", { since: await fence });
    expect(cache.stats().pending).toBe(1);
    expect(valueIn(main)).toBe("v1");
    await up(...all);
    expect(cache.stats().pending).toBe(0);
    expect(await get()).toBe("v2");
  });
});

describe("changes that main takes while the gutter answers", () => {
  it.each<[string, boolean]>([
    ["in a namespace that main does not know", false],
    ["over an entry", true],
  ])("C693 a set is not stored under versions of the gutter: %s", async (_, isThere) => {
    const { all, elapse, main } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    if (isThere) await p1.cache.set("k", "old", { tags: ["t"] });
    main.script("read", { fail: true });
    await p1.cache.get("other");
    expect(await p1.cache.set("k", "mine", { tags: ["t"] })).toEqual({ status: "pending" });
    expect(valueIn(main)).toBe(undefined);
    await elapse(2_000);
    expect(p1.cache.stats().pending).toBe(0);
    await p1.cache.set("k", "again", { tags: ["t"] });
    expect(await p2.cache.get("k")).toBe("again");
  });

  it("one that comes again in a later outage is carried out again", async () => {
    const { all, down, elapse, main, small } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    down(...all);
    await p1.cache.delete("k");
    const end = main.script("remove", { fail: true, times: Infinity });
    main.up();
    await elapse(2_000);
    // The store takes the place of the removal that is pending.
    await p1.get("k", { forceRefresh: true });
    expect(p1.cache.stats().pending).toBe(0);
    end();
    down(p1);
    await p1.cache.get("other");
    await p2.get();
    expect(valueIn(small)).toBe("v1");
    await p1.cache.delete("k");
    expect(valueIn(small)).toBe(undefined);
  });
});

describe("with only some processes without main", () => {
  it("a change by one that reaches it is hidden from the others for ttl at most", async () => {
    const { all, down, source, elapse } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    down(p2);
    await p2.get();
    await elapse(1_000, 100);
    source.value = "v2";
    await p1.cache.set("k", "v2");
    expect(await p2.get()).toBe("v1");
    await elapse(8_900, 100);
    expect(await p2.get()).toBe("v1");
    await elapse(100);
    expect(await p2.get()).toBe("v2");
  });

  it("one that keeps a copy of its own change serves that; the others get the change after ttl at most", async () => {
    const { all, down, source, elapse } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    down(p2);
    await p2.get();
    source.value = "v2";
    await p1.cache.set("k", "v2");
    // Its copy is confirmed.
    await flush();
    down(p1);
    expect([await p1.get(), await p2.get(), source.loads]).toEqual(["v2", "v1", 1]);
    await elapse(10_000, 100);
    expect([await p2.get(), await p1.get()]).toEqual(["v2", "v2"]);
  });

  it.each<[string, (cache: Cache, since: Fence) => Promise<unknown>]>([
    ["a delete", (cache) => cache.delete("k")],
    ["a set", (cache) => cache.set("k", "v2")],
    ["a tag call", (cache) => cache.invalidateTags("t")],
    ["a set behind a fence", (cache, since) => cache.set("k", "v2", { since })],
    ["a forced load", (cache) => cache.getOrSet("k", () => "v2", { forceRefresh: true })],
  ])("one that changes a key, and loses main then, serves nothing older: %s", async (_, change) => {
    const { all, down, source, elapse } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    down(p2);
    await p2.get("k", { tags: ["t"] });
    await elapse(2_000, 200);
    source.value = "v2";
    const since = await p1.cache.fence("k");
    // It loses main before a copy of its own is confirmed.
    const confirmed = gate();
    p1.main.script("leases.confirm", { after: confirmed });
    await change(p1.cache, since);
    down(p1);
    confirmed.open();
    const found = p1.get("k", { tags: ["t"] });
    await elapse(200);
    expect(await found).toBe("v2");
    // From then on no process does, and a value that is loaded later is served.
    expect([await p2.get("k", { tags: ["t"] }), await p1.get("k", { tags: ["t"] })]).toEqual(["v2", "v2"]);
    expect(source.loads).toBe(2);
  });

  it("nor what a load from before its change stores later", async () => {
    const { all, down, source, elapse } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    down(p2);
    const loading = gate();
    source.before = loading.pass();
    const slow = p2.get();
    await elapse(200);
    source.value = "v2";
    await p1.cache.delete("k");
    await elapse(3_000, 200);
    loading.open();
    await flush();
    expect(await slow).toBe("v1");
    down(p1);
    source.before = undefined;
    const found = p1.get();
    await elapse(200);
    expect(await found).toBe("v2");
  });
});

describe("when main answers again", () => {
  it("C693 nothing of the gutter is served, from memory neither", async () => {
    const { all, down, up, source } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    await p1.cache.set("k", "in main");
    down(...all);
    await p1.get();
    await p2.get();
    source.value = "v2";
    await up(...all);
    expect([await p1.get(), await p2.get()]).toEqual(["in main", "in main"]);
    await p1.cache.delete("k");
    expect([await p1.get(), await p2.get()]).toEqual(["v2", "v2"]);
  });

  it("C693 a value that was loaded for the gutter is not stored in main, and no copy of it is trusted", async () => {
    const { all, down, up, source, main, small } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    down(p1);
    const loading = gate();
    source.before = loading.pass();
    const late = p1.get();
    await flush();
    source.value = "v2";
    await p2.cache.delete("k");
    await up(p1);
    loading.open();
    expect(await late).toBe("v1");
    await flush();
    expect([valueIn(main), valueIn(small)]).toEqual([undefined, undefined]);
    source.before = undefined;
    expect(await p1.get()).toBe("v2");
  });

  it("C693 entries are valid immediately: no version of the gutter is known any more", async () => {
    const { all, down, up, source } = await fleet(2);
    const [p1, p2] = all as [Process, Process];
    down(...all);
    await p1.get("k", { tags: ["t"] });
    await up(...all);
    for (const { get } of [p1, p2, p1]) await get("k", { tags: ["t"] });
    expect(source.loads).toBe(2);
    await p2.cache.set("k", "v3", { tags: ["t"] });
    expect(await p1.get("k", { tags: ["t"] })).toBe("v3");
  });

  it("C693 a lease of main from before counts no more, even if main did not lose it", async () => {
    const { all, source, elapse, main } = await fleet(1);
    const [{ get, cache }] = all as [Process];
    const loading = gate();
    source.before = loading.pass();
    const first = get();
    await flush();
    main.script("read", { fail: true });
    await cache.get("other");
    await elapse(1_500);
    loading.open();
    expect(await first).toBe("v1");
    await flush();
    expect(valueIn(main)).toBe(undefined);
  });

  it("C693 main that fails now and then is left for a second each time", async () => {
    const { all, elapse, main, small } = await fleet(1);
    const [{ cache }] = all as [Process];
    main.script("read", { fail: true });
    await cache.get("k");
    expect(small.count("read", K)).toBe(1);
    await elapse(980);
    await cache.get("k");
    expect(small.count("read", K)).toBe(2);
    await elapse(40);
    await cache.get("k");
    expect([small.count("read", K), main.count("read", K)]).toEqual([2, 2]);
  });
});
