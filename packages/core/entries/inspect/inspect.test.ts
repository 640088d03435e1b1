import {
  BackendUnavailableError,
  createCache,
  ConfigurationError,
  InvalidArgumentError,
  type Backend,
  type WalkedKeys,
} from "@hotset/core";
import { heartbeat, inspect, type ProcessRecord } from "@hotset/core/inspect";
import { createTestCache, flush, gate, mapTier, scriptedBackend, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";

let clock: TestClock;
beforeEach(() => void (clock = new TestClock()));

async function collected<T>(pages: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const page of pages) all.push(page);
  return all;
}

describe("figures", () => {
  it("are of each namespace that is counted, with those below it", async () => {
    const cache = createTestCache({ clock });
    using inspection = inspect(cache, { remember: 0 });
    await cache
      .namespace("a")
      .namespace("b")
      .getOrSet("k", () => 1);
    await cache.namespace("a").getOrSet("k", () => 1);
    await cache.namespace("a").getOrSet("k", () => 1);
    expect(
      inspection.namespaces().map(({ namespace, hits, misses, loads }) => [namespace, hits, misses, loads]),
    ).toEqual([
      [[], 1, 2, 2],
      [["a"], 1, 2, 2],
      [["a", "b"], 0, 1, 1],
    ]);
    expect([inspection.name, inspection.stats().hits]).toEqual([cache.name, 1]);
  });

  it("are of each group of keys, in all namespaces, for every call", async () => {
    const cache = createTestCache({
      clock,
      ttl: 100,
      staleIfError: 1_000,
      keyGroups: [
        { name: "user", match: "user:" },
        // Expressions with a memory match each time.
        { name: "page", match: /^\/\w+$/g },
      ],
    });
    using inspection = inspect(cache);
    const below = cache.namespace("below");
    for (let i = 0; i < 3; i += 1) await cache.getOrSet("user:1", () => "Ada");
    await below.getOrSet("user:1", () => "Ada");
    await Promise.all([cache.getOrSet("/a", async () => "a"), cache.getOrSet("/a", async () => "a")]);
    await cache.getMany(["/a", "user:1", "other"]);
    await cache.getOrSetMany(
      ["user:2", "/a"],
      (key) => key,
      (missing) => new Map(missing.map((key) => [key, key])),
    );
    clock.advance(100);
    await cache.getOrSet("user:1", () => Promise.reject(new Error("down")));
    const counted = inspection.groups().map(({ group, hits, staleHits, misses, loads, loadErrors, coalesced }) => ({
      group,
      counts: [hits, staleHits, misses, loads, loadErrors, coalesced],
    }));
    expect(counted).toEqual([
      { group: "user", counts: [3, 1, 3, 4, 1, 0] },
      { group: "page", counts: [2, 0, 2, 1, 0, 1] },
    ]);
    const { hits, staleHits, misses, loads } = cache.stats();
    expect([hits, staleHits, misses, loads]).toEqual([5, 1, 6, 5]);
    expect(below.stats()).toMatchObject({ hits: 0, misses: 1, loads: 1 });
  });

  it.each([
    [{ name: "a" }, "keyGroups must be a list of at most 50 groups, got an object"],
    [[{ name: "", match: "a" }], 'keyGroups: name must be a non-empty string, once each, got ""'],
    [[{ name: "a", match: "" }], 'keyGroups: match of "a" must be a non-empty text or a RegExp, got ""'],
    [
      [
        { name: "a", match: "a" },
        { name: "a", match: "b" },
      ],
      'keyGroups: name must be a non-empty string, once each, got "a"',
    ],
    [[{ name: "a", match: "a", rank: 1 }], 'keyGroups: unknown option "rank"; accepted: name, match'],
    [[undefined], "keyGroups: options must be an object, got null; accepted: name, match"],
  ])("refuses %o as groups", (keyGroups, message) => {
    expect(() => createCache({ name: "shop", keyGroups: keyGroups as never })).toThrow(new ConfigurationError(message));
  });
});

describe("entries in memory", () => {
  it("are shown with their state, age, size and tags, and are not used by that", async () => {
    const cache = createTestCache({
      clock,
      ttl: 100,
      staleIfError: 1_000,
      local: mapTier({ maxEntries: 3 }),
      backend: false,
    });
    using inspection = inspect(cache);
    await cache.set("old", "x", { tags: ["t"] });
    clock.advance(100);
    await cache.namespace("a").set("k", "y", { ttl: 500 });
    await cache.set("gone", "z", { tags: ["u"] });
    await cache.invalidateTags("u");
    const shown = Array.from(inspection.entries());
    expect(shown.toSorted((one, other) => (one.key < other.key ? -1 : 1))).toEqual([
      {
        hits: 0,
        namespace: [],
        key: "gone",
        state: "over",
        ageMs: 0,
        freshForMs: 100,
        expiresInMs: 1_100,
        tags: ["u"],
      },
      { hits: 0, namespace: ["a"], key: "k", state: "fresh", ageMs: 0, freshForMs: 500, expiresInMs: 1_500, tags: [] },
      {
        hits: 0,
        namespace: [],
        key: "old",
        state: "stale",
        ageMs: 100,
        freshForMs: 0,
        expiresInMs: 1_000,
        tags: ["t"],
      },
    ]);
    // The walk was no use of the oldest one.
    await cache.set("new", 1);
    expect(Array.from(inspection.entries(), ({ key }) => key)).not.toContain("old");
  });

  it("are not confirmed while changes are not reported", async () => {
    const backend = scriptedBackend({ clock, coherence: "reported" });
    const cache = createTestCache({ clock, backend });
    using inspection = inspect(cache);
    await cache.connect();
    await cache.getOrSet("k", () => 1);
    await flush();
    const state = (): readonly string[] => Array.from(inspection.entries(), (each) => each.state);
    expect(state()).toEqual(["unconfirmed"]);
    await cache.getOrSet("k", () => 0);
    expect(state()).toEqual(["fresh"]);
    backend.link.lose();
    expect(state()).toEqual(["unconfirmed"]);
  });

  it("have their hits, from samples", async () => {
    const cache = createTestCache({ clock, backend: false });
    await cache.set("hot", 1);
    await cache.set("cold", 1);
    {
      using inspection = inspect(cache);
      using other = inspect(cache);
      for (let i = 0; i < 20_000; i += 1) await cache.getOrSet("hot", () => 0);
      await cache.getOrSet("cold", () => 0);
      const hits = new Map(Array.from(inspection.entries(), (each) => [each.key, each.hits]));
      expect(hits.get("hot")! > 10_000 && hits.get("hot")! < 40_000 && hits.get("cold")! <= 64).toBe(true);
      expect(Array.from(other.entries(), (each) => each.hits).toSorted()).toEqual([...hits.values()].toSorted());
    }
    using later = inspect(cache);
    expect(Array.from(later.entries(), (each) => each.hits)).toEqual([0, 0]);
  });
});

describe("what runs", () => {
  it("are loads with their callers, from their read to their store", async () => {
    const cache = createTestCache({ clock, maxLoads: 1 });
    using inspection = inspect(cache);
    const [first, second] = [gate<number>(), gate<number>()];
    const calls = [cache.getOrSet("a", () => first.pass())];
    await flush();
    clock.advance(30);
    calls.push(
      cache.getOrSet("a", () => 0),
      cache.getOrSet("b", () => second.pass()),
    );
    await flush();
    clock.advance(5);
    const caller = { isJoined: false, isNested: false };
    expect(inspection.loads()).toEqual([
      {
        ...{ namespace: [], key: "a", phase: "loading", reason: "miss", startedAt: expect.any(Number) },
        ...{ forMs: 35, loadingForMs: 35 },
        callers: [
          { ...caller, waitingMs: 35 },
          { ...caller, waitingMs: 5, isJoined: true },
        ],
      },
      {
        ...{ namespace: [], key: "b", phase: "queued", reason: "miss", startedAt: expect.any(Number), forMs: 5 },
        callers: [{ ...caller, waitingMs: 5 }],
      },
    ]);
    void cache.delete("a");
    expect(inspection.loads()[0]).toMatchObject({ fencedBy: "delete" });
    first.open(1);
    second.open(2);
    await Promise.all(calls);
    expect(inspection.loads()).toEqual([]);
  });

  it("are leases that it holds, and those of others that it waits for", async () => {
    const backend = scriptedBackend({ clock, leases: true });
    const cache = createTestCache({ clock, backend });
    using inspection = inspect(cache);
    await backend.leases!.acquire({ key: `${cache.name}::theirs`, token: "other", leaseMs: 60_000, seen: "" });
    const value = gate<number>();
    const calls = [cache.getOrSet("mine", () => value.pass()), cache.getOrSet("theirs", () => 0, { hardTimeout: 50 })];
    await flush();
    clock.advance(20);
    expect(inspection.leases().toSorted((one, other) => (one.key < other.key ? -1 : 1))).toEqual([
      { namespace: [], key: "mine", state: "held", forMs: 20, callers: 1 },
      { namespace: [], key: "theirs", state: "elsewhere", forMs: 20, callers: 1 },
    ]);
    value.open(1);
    clock.advance(30);
    expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  it("are fallbacks with the error behind them, and back-offs, until a load is stored", async () => {
    const cache = createTestCache({ clock, ttl: 100, staleIfError: 10_000, errorBackoff: 1_000 });
    using inspection = inspect(cache);
    await cache.set("k", "old");
    clock.advance(100);
    const fail = (): Promise<string> => Promise.reject(new RangeError("db down"));
    await cache.getOrSet("k", fail);
    clock.advance(10);
    await cache.getOrSet("k", fail);
    const error = { name: "RangeError", message: "db down" };
    const [fallback] = inspection.fallbacks();
    expect(fallback).toMatchObject({ namespace: [], key: "k", cause: "error", served: 2, error });
    expect(fallback!.lastAt - fallback!.since).toBe(10);
    expect(inspection.backoffs()).toEqual([{ namespace: [], key: "k", cause: "failed", forMs: 990, error }]);
    clock.advance(1_000);
    await cache.getOrSet("k", () => "new");
    expect([inspection.fallbacks(), inspection.backoffs()]).toEqual([[], []]);
  });
});

describe("failures", () => {
  it("are the last one of each tier, with the reply of the server, and leave warnings of the cache alone", async () => {
    const backend = scriptedBackend({ clock });
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
    const cache = createCache({ name: "shop", clock }).tier(backend).build();
    using inspection = inspect(cache);
    expect(inspection.failures()).toEqual([]);
    backend.script("read", { fail: new Error("OOM command not allowed\nand the command") });
    await cache.getOrSet("k", () => 1);
    const failure = { tier: "scripted", at: expect.any(Number), operation: "read" };
    const message = "scripted: read was refused: OOM command not allowed";
    expect(inspection.failures()).toEqual([{ ...failure, kind: "BACKEND_REFUSED", message }]);
    backend.script("read", { fail: new BackendUnavailableError("scripted: gone", { tier: "scripted" }) });
    await cache.getOrSet("other", () => 1);
    expect(inspection.failures()).toEqual([{ ...failure, kind: "BACKEND_UNAVAILABLE", message: "scripted: gone" }]);
    const texts = warned.mock.calls.map(([text]) => String(text)).filter((text) => !text.includes("lease"));
    warned.mockRestore();
    expect(texts).toEqual([expect.stringContaining("OOM command not allowed"), expect.stringContaining("gone")]);
  });
});

describe("invalidations", () => {
  it("have their time and their origin, the last one first, as many as are remembered", async () => {
    const cache = createTestCache({ clock });
    using inspection = inspect(cache, { remember: 2 });
    const heard: string[] = [];
    const off = inspection.onInvalidation(({ key, tags }) => void heard.push(key ?? tags![0]!));
    inspection.onInvalidation(() => {
      throw new Error("a listener");
    });
    for (const key of ["a", "b", "c", "d", "e"]) await cache.delete(key);
    off();
    await cache.namespace("n").invalidateTags("t", "u");
    const at = expect.any(Number) as number;
    expect(inspection.invalidations()).toEqual([
      { at, namespace: ["n"], scope: "tags", mode: "remove", tags: ["t", "u"], origin: "here" },
      { at, namespace: [], scope: "key", mode: "remove", key: "e", origin: "here" },
    ]);
    expect(heard).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("are counted for a minute by what they invalidate, however many there are", async () => {
    const cache = createTestCache({ clock });
    using inspection = inspect(cache, { remember: 2 });
    for (let i = 0; i < 70; i += 1) await cache.invalidateTags("t");
    clock.advance(30_000);
    for (let i = 0; i < 5; i += 1) await cache.delete("k");
    await cache.invalidateTags("t");
    const at = expect.any(Number) as number;
    const tag = { namespace: [], scope: "tags", tags: ["t"], origin: "here", lastAt: at } as const;
    const key = { namespace: [], scope: "key", key: "k", origin: "here", lastAt: at, times: 5 } as const;
    expect(inspection.invalidationCounts()).toEqual([{ ...tag, times: 71 }, key]);
    clock.advance(30_000);
    expect(inspection.invalidationCounts()).toEqual([key, { ...tag, times: 1 }]);
    clock.advance(30_000);
    expect(inspection.invalidationCounts()).toEqual([]);
  });

  it("leave a new version of a tag in the backend, which is shown", async () => {
    const cache = createTestCache({ clock, backend: scriptedBackend({ clock, tagVersions: true }) });
    using inspection = inspect(cache);
    const below = cache.namespace("a").namespace("b");
    await below.set("k", 1, { tags: ["t"] });
    const [first] = await inspection.tagVersions(["a", "b"], ["t", "never used"]);
    await below.invalidateTags("t");
    const [second, none] = await inspection.tagVersions(["a", "b"], ["t", "never used"]);
    expect([typeof first, typeof second, first === second, none]).toEqual(["string", "string", false, undefined]);
    using without = inspect(createTestCache({ clock }));
    expect(await without.tagVersions([], ["t"])).toEqual([undefined]);
  });

  it("are no longer remembered once it is closed", async () => {
    const cache = createTestCache({ clock });
    const inspection = inspect(cache);
    inspection.close();
    inspection.close();
    await cache.delete("a");
    expect(inspection.invalidations()).toEqual([]);
  });
});

describe("redactKeys", () => {
  it("applies to keys, tags and messages of errors", async () => {
    const cache = createTestCache({ clock, redactKeys: true, ttl: 10, staleIfError: 100 });
    using inspection = inspect(cache);
    await cache.set("secret", 1, { tags: ["secret"] });
    clock.advance(10);
    await cache.getOrSet("secret", () => Promise.reject(new Error("no secret")));
    await cache.invalidateTags("secret");
    await cache.delete("secret");
    void cache.getOrSet("secret", () => new Promise(() => undefined));
    await cache.set("secret:2", 1, { tags: ["secret"] });
    const all = [...inspection.entries(), ...inspection.fallbacks(), ...inspection.backoffs(), ...inspection.loads()];
    const text = JSON.stringify([all, inspection.invalidations()]);
    expect(inspection.redactsKeys).toBe(true);
    expect([all.length >= 3, text.includes("[redacted]"), text.includes("secret")]).toEqual([true, true, false]);
  });
});

describe("entries in the backend", () => {
  const pages: readonly WalkedKeys[] = [
    {
      keys: [
        { key: "shop::a", staleInMs: -5, expiresInMs: 10, bytes: 3 },
        { key: "shop:n::a", expiresInMs: Infinity },
      ],
      looked: 5,
      total: 9,
    },
    { keys: [{ key: "shop:~processes::0" }, { key: "shops::a" }, { key: "shop:n:m::b" }], looked: 9 },
  ];
  const asked: unknown[] = [];
  const walkable = (): Backend => ({
    ...scriptedBackend({ clock }),
    async *walk({ prefix, contains }) {
      asked.push({ prefix, contains });
      yield* pages;
    },
  });
  const open = (backend: Backend) => createTestCache({ name: "shop", clock, backend });

  it("come page by page, without those of others and records of processes", async () => {
    using inspection = inspect(open(walkable()));
    expect(inspection.canListBackend).toBe(true);
    expect(await collected(inspection.stored())).toEqual([
      {
        entries: [
          { namespace: [], key: "a", freshForMs: -5, expiresInMs: 10, bytes: 3 },
          { namespace: ["n"], key: "a", expiresInMs: Infinity },
        ],
        looked: 5,
        total: 9,
      },
      { entries: [{ namespace: ["n", "m"], key: "b" }], looked: 9 },
    ]);
    const some = await collected(inspection.stored({ namespace: ["n:x"], search: "b" }));
    expect(some.flatMap(({ entries }) => entries.map(({ key }) => key))).toEqual(["b"]);
    expect(asked).toEqual([
      { prefix: "shop:", contains: undefined },
      { prefix: "shop:n%3Ax:", contains: "b" },
    ]);
  });

  it("end by a signal, and are refused where they cannot be listed", async () => {
    using inspection = inspect(open(walkable()));
    const controller = new AbortController();
    let count = 0;
    for await (const _ of inspection.stored({ signal: controller.signal })) {
      count += 1;
      controller.abort();
    }
    expect(count).toBe(1);
    await expect(collected(inspection.stored({ find: "a" } as never))).rejects.toThrow(InvalidArgumentError);
    using other = inspect(open(scriptedBackend({ clock })));
    expect(other.canListBackend).toBe(false);
    await expect(collected(other.stored())).rejects.toThrow(
      new ConfigurationError("stored: scripted cannot be walked"),
    );
  });
});

describe("records of processes", () => {
  const LIFE_MS = 15_000;

  /** A cache of a process that writes its record every five seconds. */
  async function beating() {
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ name: "shop", clock, backend });
    await cache.get("used");
    const beat = heartbeat(cache, { name: "web-1", every: LIFE_MS / 3 });
    onTestFinished(() => beat.stop());
    await flush();
    const stored = backend.store.get("shop:~processes::0")!;
    const own = JSON.parse(new TextDecoder().decode(stored.data)) as ProcessRecord;
    /** As another process would write it, into a place of the store. */
    const write = (at: number, record: Partial<ProcessRecord>): Promise<void> => {
      const data = new TextEncoder().encode(JSON.stringify({ ...own, ...record }));
      const life = { staleInMs: LIFE_MS, expiresInMs: LIFE_MS };
      return backend.write(`shop:~processes::${at}`, { data, ...life, meta: "" });
    };
    return { backend, cache, own, write };
  }

  it("say what each does, until it stops, and whose an invalidation was", async () => {
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ name: "shop", clock, backend });
    using inspection = inspect(cache);
    await cache.getOrSet("k", () => 1);
    const beat = heartbeat(cache, { name: "web-1", every: "5s" });
    onTestFinished(() => beat.stop());
    await flush();
    const [own] = await inspection.processes();
    expect(own).toMatchObject({ name: "web-1", isOwn: true, coherence: "none", trust: "always", state: "up" });
    expect(own).toMatchObject({ hits: 0, misses: 1, loads: 1, hitRatio: 0, entries: 1, runtime: process.version });
    expect(own!.version).toMatch(/^\d+\.\d+\.\d+/);
    // As another process would write it.
    const theirs: Partial<ProcessRecord> = {
      ...own,
      ...{ id: "another", name: "worker-7" },
      invalidations: [{ at: clock.now(), namespace: [], scope: "tags", mode: "remove", tags: ["t"] }],
    };
    const data = new TextEncoder().encode(JSON.stringify(theirs));
    await backend.write("shop:~processes::5", { data, staleInMs: 1e5, expiresInMs: 1e5, meta: "" });
    const broken = new TextEncoder().encode('{"id":"x"}');
    await backend.write("shop:~processes::6", { data: broken, staleInMs: 1e5, expiresInMs: 1e5, meta: "" });
    expect((await inspection.processes()).map(({ name, isOwn }) => [name, isOwn])).toEqual([
      ["web-1", true],
      ["worker-7", false],
    ]);
    await cache.delete("k");
    expect(inspection.invalidations()[0]).toMatchObject({ key: "k", origin: "here", process: "web-1" });
    clock.advance(5_000);
    await flush();
    expect((await inspection.processes())[0]!.invalidations).toMatchObject([{ scope: "key", key: "k" }]);
    for (let i = 0; i < 300; i += 1) await cache.invalidateTags("t");
    clock.advance(5_000);
    await flush();
    const [{ invalidations, lastMinute }] = (await inspection.processes()) as [ProcessRecord];
    expect(invalidations.length).toBe(50);
    const lastAt = expect.any(Number) as number;
    expect(lastMinute).toEqual([
      { namespace: [], scope: "tags", tags: ["t"], times: 300, lastAt },
      { namespace: [], scope: "key", key: "k", times: 1, lastAt },
    ]);
    await beat.stop();
    expect((await inspection.processes()).map(({ name }) => name)).toEqual(["worker-7"]);
  });

  it("go once the cache begins to close, and with the last process that keeps one", async () => {
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ name: "shop", clock, backend });
    await cache.get("used");
    heartbeat(cache, { name: "web-1" });
    await flush();
    expect(backend.store.get("shop:~processes::0")).toBeDefined();
    const read = gate();
    const load = cache.getOrSet("k", async () => {
      await read.pass();
      return 1;
    });
    const closed = cache.close();
    await flush();
    // A load that is waited for does not keep it.
    expect(backend.store.get("shop:~processes::0")).toBe(undefined);
    read.open();
    await Promise.all([load, closed]);
    expect(backend.calls.at(-1)).not.toContain("~processes");
  });

  it("have what decides the answers of their process", async () => {
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ name: "shop", clock, backend, maxLoads: 7, ttl: "3s" });
    await cache.get("used");
    const beat = heartbeat(cache, { name: "web-1", release: "v42" });
    onTestFinished(() => beat.stop());
    await flush();
    using inspection = inspect(cache);
    const [{ settings }] = (await inspection.processes()) as [ProcessRecord];
    expect(settings).toMatchObject({ release: "v42", coherence: "none", maxLoads: "7", "default ttl": "3000" });
    expect(settings).toMatchObject({ "value format": backend.format.id, compression: backend.compressor.id });
    // Given as "3s" elsewhere, it is the same.
    expect(settings).not.toHaveProperty("default givenTtl");
  });

  it("are as old as the backend says, also where the clock of their process is wrong", async () => {
    const { cache, own, write } = await beating();
    using inspection = inspect(cache);
    for (const [i, aheadMs] of [300_000, -300_000].entries()) {
      const instants = { startedAt: own.startedAt + aheadMs, at: own.at + aheadMs };
      await write(i + 1, { ...instants, id: `${i}`, name: `web-${i + 2}` });
    }
    clock.advance(4_000);
    const [, ahead, behind] = await inspection.processes();
    const same = { at: own.at, startedAt: own.startedAt, ageMs: 4_000 };
    expect([ahead, behind]).toMatchObject([
      { ...same, name: "web-2", clockAheadMs: 300_000 },
      { ...same, name: "web-3", clockAheadMs: -300_000 },
    ]);
  });

  it("are kept for ten minutes once they ended late, and not where they were taken away", async () => {
    const { backend, cache, write } = await beating();
    using inspection = inspect(cache);
    const start = (at: number, name: string, id = name): Promise<void> =>
      write(at, { id, name, startedAt: clock.now(), at: clock.now() });
    const pass = async (beats: number): Promise<void> => {
      for (let i = 0; i < beats; i += 1) {
        clock.advance(LIFE_MS / 3);
        await flush();
      }
    };
    const lost = (): readonly string[] => inspection.lostProcesses().map(({ name }) => name);
    for (const [i, name] of ["killed", "closed", "deployed"].entries()) await start(i + 1, name);
    await pass(1);
    await backend.remove("shop:~processes::2");
    await pass(1);
    expect([inspection.knownProcesses().map(({ name }) => name), lost()]).toEqual([
      ["deployed", "killed", "web-1"],
      [],
    ]);
    await pass(2);
    expect(lost()).toEqual(["deployed", "killed"]);
    // The next release has the same name.
    await start(1, "deployed", "next");
    await pass(1);
    expect(lost()).toEqual(["killed"]);
    await pass(120);
    expect(lost()).not.toContain("killed");
  });

  it("say when processes started in the last hour, whether they live, and what each does otherwise", async () => {
    const { cache, own, write } = await beating();
    using inspection = inspect(cache);
    const begin = clock.now();
    const instant = (): number => own.at + clock.now() - begin;
    const starts = (): readonly unknown[] =>
      inspection
        .processStarts()
        .filter(({ name }) => name !== "web-1")
        .map(({ name, startedAt, isLiving, changed }) => [
          ...[name, startedAt - own.at, isLiving],
          changed.map(({ setting, was, is }) => `${setting}: ${was} > ${is}`).join(", "),
        ]);
    const start = (at: number, id: string, name: string, settings: Record<string, string>): Promise<void> =>
      write(at, { id, name, startedAt: instant(), at: instant(), settings });
    const pass = async (ms: number): Promise<void> => {
      clock.advance(ms);
      await flush();
    };
    await pass(1_000);
    await start(1, "a", "web-2", { release: "v1", "default ttl": "60000" });
    await pass(4_000);
    expect(starts()).toEqual([["web-2", 1_000, true, ""]]);
    await pass(1_000);
    const second = 6_000;
    await start(2, "b", "web-2", { release: "v2", "default ttl": "60000" });
    await start(3, "c", "web-3", { release: "v2", "default ttl": "30000" });
    await pass(4_000);
    // Compared with the one of its name, or else with the last one before.
    expect(starts()).toEqual([
      ["web-2", second, true, "release: v1 > v2"],
      ["web-3", second, true, "release: v1 > v2, default ttl: 60000 > 30000"],
      ["web-2", 1_000, false, ""],
    ]);
    for (let i = 0; i < 720; i += 1) await pass(5_000);
    expect(starts()).toEqual([]);
  });

  it("keep a clear while keys are deleted", async () => {
    const { cache } = await beating();
    await cache.clear();
    for (let i = 0; i < 60; i += 1) await cache.delete(`k${i}`);
    clock.advance(5_000);
    await flush();
    using inspection = inspect(cache);
    const [{ invalidations }] = (await inspection.processes()) as [ProcessRecord];
    expect([invalidations.length, invalidations[0]!.key, invalidations.at(-1)!.scope]).toEqual([
      50,
      "k59",
      "namespace",
    ]);
  });

  it("move to another place where two processes took the same", async () => {
    const backend = scriptedBackend({ clock });
    const cache = createTestCache({ name: "shop", clock, backend });
    const beat = heartbeat(cache, { name: "one", every: 1_000 });
    onTestFinished(() => beat.stop());
    await flush();
    // It does not open the connection: that would keep the process alive.
    expect(backend.calls).toEqual([]);
    await cache.get("used");
    clock.advance(1_000);
    await flush();
    const stored = backend.store.get("shop:~processes::0")!;
    const record = { ...(JSON.parse(new TextDecoder().decode(stored.data)) as ProcessRecord), id: "b", name: "two" };
    await backend.write("shop:~processes::0", { ...stored, data: new TextEncoder().encode(JSON.stringify(record)) });
    clock.advance(1_000);
    await flush();
    using inspection = inspect(cache);
    expect((await inspection.processes()).map(({ name }) => name)).toEqual(["one", "two"]);
  });

  it.each([
    [{ name: "" }, "heartbeat: name must be a text of 1 to 200 characters"],
    [{ every: "10ms" }, "heartbeat: every must be from 1s to 1h, got 10ms"],
    [{ often: 1 }, 'heartbeat: unknown option "often"; accepted: name, every'],
    [{ release: 42 }, "heartbeat: release must be a text of 100 characters at most"],
  ] as const)("refuses %o", (options, message) => {
    const cache = createTestCache({ clock });
    expect(() => heartbeat(cache, options as never)).toThrow(message);
  });

  it("need a backend, and a name of the cache", () => {
    const local = createTestCache({ clock });
    expect(() => heartbeat(local)).toThrow("heartbeat: the cache has no backend");
    const nameless = createTestCache({ name: "", clock, backend: true });
    expect(() => heartbeat(nameless)).toThrow("heartbeat: records of processes need a cache with a name");
  });
});

it.each([undefined, {}, createTestCache().namespace("a")])("refuses %o in place of a cache", (given) => {
  expect(() => inspect(given as never)).toThrow(ConfigurationError);
});

it.each([-1, 1.5, 100_001, "1"])("refuses to remember %o", (remember) => {
  expect(() => inspect(createTestCache(), { remember: remember as number })).toThrow(
    `inspect: remember must be a whole number from 0 to 100000, got ${remember}`,
  );
});
