import { createCache, EncodeError, type Namespace, type StoredEntry } from "@hotset/core";
import { gzip } from "@hotset/formats";
import { memory } from "@hotset/memory";
import { createTestCache, flush, gate, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { longKeys, MOST_PENDING } from "../support/long-keys.ts";
import { inStep, type SimulatedProcess } from "../support/processes.ts";
import { failing, numbered } from "../support/sources.ts";
import { counted, open, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

/** The default deadline of a call to the backend. */
const DEADLINE_MS = 1_000;
const sourceDown = new Error("the source is down");
const refusal = new Error("WRONGTYPE Operation against a key holding the wrong kind of value");

/** Moves time in steps, shorter than a deadline: all that is due at a step happens before the next. */
async function elapse(clock: TestClock, ms: number, stepMs: number = 250): Promise<void> {
  for (let left = ms; left > 0; left -= stepMs) {
    clock.advance(Math.min(stepMs, left));
    await flush(2);
  }
}

/** Lets one call after another fail until the breaker opens. */
async function openBreaker(space: Namespace): Promise<void> {
  for (let i = 0; i < 5; i += 1) await space.get(`unreachable ${i}`);
}

const unhandled: unknown[] = [];
const collect = (reason: unknown): void => void unhandled.push(reason);
beforeAll(() => void process.on("unhandledRejection", collect));
afterAll(() => void process.off("unhandledRejection", collect));

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  describe("C92 with the backend unreachable", () => {
    it.for<readonly [string, true | Error]>([
      ["unreachable", true],
      ["answering with errors (cachified)", refusal],
    ])("%s", async ([, error]) => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      const users = cache.namespace("users");
      await users.set("kept", "old");
      if (error === true) backend.down();
      else backend.down(error);
      const kept = stack === "backend" ? undefined : "old";
      expect(await users.get("kept")).toBe(kept);
      expect(users.peek("kept")).toBe(kept);
      expect(await users.has("kept")).toBe(kept !== undefined);
      expect(await users.getMany(["kept", "other"])).toEqual(new Map(kept === undefined ? [] : [["kept", kept]]));
      expect((await users.inspect("kept"))?.tier).toBe(kept && "memory");
      const load = numbered();
      expect(await users.getOrSet("k", load)).toBe("value-1");
      expect(await users.getOrSet("k", load)).toBe(stack === "backend" ? "value-2" : "value-1");
      expect(
        await users.getOrSetMany(
          ["a", "b"],
          (item) => item,
          (missing) => missing.map((item) => [item, `${item}!`]),
        ),
      ).toEqual(
        new Map([
          ["a", "a!"],
          ["b", "b!"],
        ]),
      );
      expect(await users.getOrSet("tagged", load, { tags: ["t"], forceRefresh: true })).toMatch(/^value/);
      await expect(users.getOrSet("failing", failing(sourceDown))).rejects.toBe(sourceDown);
    });

    it("writes report that they are pending", async () => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      backend.down();
      expect(await cache.set("a", 1)).toEqual({ status: "pending" });
      expect(
        await cache.setMany([
          ["b", 2],
          ["c", 3],
        ]),
      ).toEqual({ stored: 0, pending: 2, refused: 0 });
      expect(await cache.delete("d")).toEqual({ status: "pending" });
      expect(await cache.deleteMany(["e", "f"])).toEqual({ deleted: 0, missing: 0, pending: 2 });
      expect(await cache.markStale("g")).toEqual({ status: "pending" });
      expect(await cache.invalidateTags("t")).toEqual({ status: "pending" });
      expect(await cache.clear()).toEqual({ status: "pending" });
      expect(cache.peek("a")).toBe(undefined);
    });

    it("reads are answered from memory, stale where that is allowed", async () => {
      const { cache, clock, backend } = open(stack, { ttl: 100, staleIfError: "1h" });
      await cache.set("k", "old");
      clock.advance(100);
      backend.down();
      const answer = cache.getOrSet("k", failing(sourceDown));
      if (stack === "backend") await expect(answer).rejects.toBe(sourceDown);
      else expect(await answer).toBe("old");
    });

    it("failures are reported as events, and not to callers", async () => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      const errors = watch(cache, "backend:error");
      backend.down();
      await cache.namespace("users").get("k");
      expect(errors).toEqual([
        [
          "backend:error",
          {
            cache: "test",
            namespace: ["users"],
            tier: "scripted",
            operation: "read",
            error: expect.objectContaining({ code: "BACKEND_UNAVAILABLE", tier: "scripted", operation: "read" }),
          },
        ],
      ]);
      expect(cache.stats().tiers.at(-1)).toMatchObject({ label: "scripted", errors: 1 });
    });
  });

  describe("C92 a backend that hangs costs its deadline once", () => {
    const hang = (backend: ReturnType<typeof open>["backend"]) =>
      backend.script("*", { times: Infinity, before: gate() });

    it.for<readonly [string, (space: Namespace) => Promise<unknown>, unknown]>([
      ["get", (space) => space.get("k"), undefined],
      ["has", (space) => space.has("k"), false],
      ["getMany", (space) => space.getMany(["k", "j"]), new Map()],
      ["inspect", (space) => space.inspect("k"), undefined],
      ["getOrSet", (space) => space.getOrSet("k", () => "loaded"), "loaded"],
      ["a tagged getOrSet", (space) => space.getOrSet("k", () => "loaded", { tags: ["a", "b"] }), "loaded"],
      ["a forced getOrSet", (space) => space.getOrSet("k", () => "loaded", { forceRefresh: true }), "loaded"],
      [
        "getOrSet with a late tag",
        (space) =>
          space.getOrSet("k", ({ setOptions }) => {
            setOptions({ tags: ["late"] });
            return "loaded";
          }),
        "loaded",
      ],
      [
        "getOrSetMany",
        (space) =>
          space.getOrSetMany(
            ["k", "j"],
            (item) => item,
            (items) => items.map((item) => [item, item]),
          ),
        new Map([
          ["k", "k"],
          ["j", "j"],
        ]),
      ],
      ["set", (space) => space.set("k", "v", { tags: ["t"] }), { status: "pending" }],
      ["delete", (space) => space.delete("k"), { status: "pending" }],
      ["markStale", (space) => space.markStale("k"), { status: "pending" }],
      ["invalidateTags", (space) => space.invalidateTags("a", "b"), { status: "pending" }],
      ["clear", (space) => space.clear(), { status: "pending" }],
    ])("%s", async ([, call, expected]) => {
      const { cache, clock, backend } = open(stack, { ttl: "1h" });
      hang(backend);
      const answer = call(cache);
      await flush();
      clock.advance(DEADLINE_MS - 1);
      expect(await outcome(answer)).toEqual({ status: "pending" });
      clock.advance(1);
      expect(await outcome(answer)).toEqual({ status: "fulfilled", value: expected });
    });

    it.for(["read", "pin", "late tags", "store"] as const)(
      "once for all steps of a flight: it hangs at the %s",
      async (point) => {
        const { cache, clock, backend } = open(stack, { ttl: "1h" });
        await cache.set("warm", "value", { tags: ["warm"] });
        // What `set` pinned is taken as current for that long.
        clock.advance(1_000);
        backend.script("read", { key: "test::k", before: 900 });
        const hanging = gate();
        if (point === "read") backend.script("read", { key: "{~test}::", before: hanging });
        // The tag versions are read beside the entry; then they are pinned.
        if (point === "pin") {
          backend.script("read", { key: "{~test}::" });
          backend.script("read", { key: "{~test}::", before: hanging });
        }
        if (point === "late tags") backend.script("read", { key: "{~test}::late", before: hanging });
        if (point === "store") backend.script("write", { key: "test::k", before: hanging });
        const answer = cache.getOrSet("k", ({ setOptions }) => {
          setOptions({ tags: ["late"] });
          return "loaded";
        });
        await flush();
        clock.advance(900);
        await flush();
        clock.advance(99);
        expect(await outcome(answer)).toEqual({ status: "pending" });
        clock.advance(1);
        expect(await outcome(answer)).toEqual({ status: "fulfilled", value: "loaded" });
        hanging.open();
        await elapse(clock, 2_000);
        await cache.drain();
      },
    );

    it("but it waits on where that time ends while others are answered", async () => {
      const { cache, clock, backend } = open(stack, { ttl: "1h" });
      backend.script("read", { key: "test::k", before: 600 });
      const answer = cache.getOrSet("k", () => "loaded");
      await flush();
      backend.script("read", { key: "{~test}::", before: 900 });
      clock.advance(300);
      await flush();
      clock.advance(300);
      await flush();
      await Promise.all(Array.from({ length: 150 }, (_, i) => cache.delete(`other ${i}`)));
      for (let i = 0; i < 4; i += 1) {
        clock.advance(225);
        await flush();
      }
      expect(await answer).toBe("loaded");
      await cache.drain();
      expect(backend.store.keys()).toContain("test::k");
    });

    it("a flight goes on without it after the first failure", async () => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      backend.script("read", { key: "test::k", fail: true });
      expect(await cache.getOrSet("k", () => "loaded", { tags: ["t"] })).toBe("loaded");
      await cache.drain();
      expect(backend.calls.map(({ operation, keys }) => [operation, ...keys])).toEqual([
        ["read", "test::k"],
        // In the same tick.
        ...["{~test}::", "{~test}::t", "{~~test}::t"].map((key) => ["read", key]),
      ]);
      expect(backend.store.keys()).toEqual([]);
    });

    it("with a wait for a replay, too", async () => {
      const { cache, clock, backend } = open(stack, { ttl: "1h" });
      const keys = Array.from({ length: 250 }, (_, i) => `k${i}`);
      await cache.setMany(keys.map((key) => [key, "deleted"]));
      backend.script("remove", { times: keys.length, fail: refusal });
      expect(await cache.deleteMany(keys)).toEqual({ deleted: 0, missing: 0, pending: 250 });
      // In the order of the calls, a hundred at a time: that would take three seconds.
      backend.script("remove", { times: Infinity, before: 900 });
      const got = cache.get("k249");
      const loaded = cache.getOrSet("k248", () => "loaded");
      await flush();
      clock.advance(900);
      await flush();
      clock.advance(99);
      expect(await outcome(got)).toEqual({ status: "pending" });
      expect(await outcome(loaded)).toEqual({ status: "pending" });
      clock.advance(1);
      expect(await outcome(got)).toEqual({ status: "fulfilled", value: undefined });
      expect(await outcome(loaded)).toEqual({ status: "fulfilled", value: "loaded" });
      await elapse(clock, 5_000);
    });
  });
});

describe.each(STACKS_WITH_BACKEND)("over %s, with the backend unreachable", (stack) => {
  describe("C93 a removal is remembered and replayed", () => {
    it("the value never reappears after recovery (bentocache)", async () => {
      const { cache, clock, backend, stored } = open(stack, { ttl: "1h", staleIfError: "1h" });
      await cache.set("k", "deleted");
      backend.down();
      expect(await cache.delete("k")).toEqual({ status: "pending" });
      expect(cache.stats().pending).toBe(1);
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect(cache.peek("k")).toBeUndefined();

      backend.up();
      expect(await cache.get("k", { allowStale: true })).toBeUndefined();
      expect(stored()).toEqual([]);
      expect(cache.stats().pending).toBe(0);
      clock.advance("1m");
      expect(await cache.getMany(["k", "other"])).toEqual(new Map());
      await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
    });

    it("by itself, without any call", async () => {
      const { cache, clock, backend, stored } = open(stack, { ttl: "1h" });
      await cache.set("k", "deleted");
      const recovered = watch(cache, "recover");
      backend.down();
      await cache.delete("k");
      await elapse(clock, 5_000);
      expect(stored()).toEqual(["test::k"]);
      backend.up();
      await elapse(clock, 30_000);
      expect(stored()).toEqual([]);
      expect(recovered).toEqual([
        ["recover", { cache: "test", namespace: [], tier: "scripted", replayed: 1, overflowed: false }],
      ]);
    });

    it("where the backend executed it and the answer was lost", async () => {
      const { cache, backend, clock } = open(stack, { ttl: "1h" });
      await cache.set("k", "deleted");
      backend.script("remove", { loseAnswer: true });
      expect(await cache.delete("k")).toEqual({ status: "pending" });
      expect(await cache.get("k")).toBeUndefined();
      await elapse(clock, 5_000);
      expect(cache.stats().pending).toBe(0);
    });

    it.for<readonly [string, "invalidateTags" | "markTagsStale" | "clear"]>([
      ["invalidateTags", "invalidateTags"],
      ["markTagsStale", "markTagsStale"],
      ["clear", "clear"],
    ])("the same holds for %s", async ([, call]) => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      await cache.set("k", "older", { tags: ["t"] });
      await cache.set("without the tag", "other");
      backend.down();
      expect(await (call === "clear" ? cache.clear() : cache[call]("t"))).toEqual({ status: "pending" });
      expect(await cache.get("k")).toBeUndefined();
      expect(cache.stats().pending).toBe(1);
      backend.up();
      expect(await cache.get("k")).toBeUndefined();
      expect(await cache.getOrSet("k", () => "newer", { tags: ["t"] })).toBe("newer");
      expect(await cache.get("without the tag")).toBe(call === "clear" ? undefined : "other");
    });

    it("a read that was sent before the replay brings nothing back", async () => {
      const { cache, backend, clock } = open(stack, { ttl: "1h" });
      await cache.set("k", "older", { tags: ["t"] });
      backend.down();
      await cache.invalidateTags("t");
      backend.up();
      await elapse(clock, 500);
      const answering = gate();
      backend.script("read", { key: "{~test}::t", after: answering });
      const read = cache.get("k");
      await answering.arrived();
      expect(cache.stats().pending).toBe(1);
      await elapse(clock, 750);
      expect(cache.stats().pending).toBe(0);
      answering.open();
      expect(await read).toBeUndefined();
      expect(cache.peek("k")).toBeUndefined();
    });
  });

  it("C94 a set is remembered as a removal: this process never serves the older value again (bentocache)", async () => {
    const { cache, backend, clock, stored } = open(stack, { ttl: "1h", staleIfError: "1h" });
    await cache.set("k", "older");
    backend.down();
    expect(await cache.set("k", "newer")).toEqual({ status: "pending" });
    const here = stack === "backend" ? undefined : "newer";
    expect(await cache.get("k")).toBe(here);
    backend.up();
    expect(await cache.get("k")).toBe(here);
    await elapse(clock, 10_000);
    expect(stored()).toEqual([]);
    expect(await cache.get("k", { allowStale: true })).toBeUndefined();
    const there = open("backend", { clock, backend }).cache;
    expect(await there.get("k", { allowStale: true })).toBeUndefined();
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    expect(await there.get("k")).toBe("loaded");
  });

  it("C95 a replay: sends invalidations, once for each key, and no value", async () => {
    const { cache, backend, clock, stored } = open(stack, { ttl: "1h" });
    await cache.setMany([
      ["a", "older"],
      ["b", "older"],
      ["c", "older"],
    ]);
    await cache.set("tagged", "older", { tags: ["t"] });
    backend.down();
    await cache.set("a", "newer");
    await cache.set("a", "newest");
    await cache.delete("b");
    await cache.set("b", "newer");
    await cache.delete("c");
    await cache.markStale("c");
    await cache.invalidateTags("t");
    await cache.markTagsStale("t");
    expect(cache.stats().pending).toBe(4);
    await elapse(clock, 2_000);
    backend.up();
    backend.forgetCalls();
    const recovered = watch(cache, "recover");
    await elapse(clock, 30_000);
    expect(recovered).toEqual([
      ["recover", { cache: "test", namespace: [], tier: "scripted", replayed: 4, overflowed: false }],
    ]);
    expect(backend.calls.filter(({ operation }) => operation === "remove").map(({ keys }) => keys[0])).toEqual([
      "test::a",
      "test::b",
      "test::c",
    ]);
    expect(
      backend.calls.filter(({ operation }) => operation === "write").every(({ keys }) => keys[0]!.startsWith("{~")),
    ).toBe(true);
    expect(stored()).toEqual(["test::tagged"]);
    expect(await cache.get("tagged")).toBeUndefined();
  });

  it("C96 pending invalidations are bounded, and become a clear of the cache", async () => {
    const { cache, backend, clock } = open(stack, { ttl: "1h" });
    const users = cache.namespace("users");
    const keys = longKeys(MOST_PENDING + 1, "test:users::");
    const [first, last] = [keys[0]!, keys.at(-1)!];
    for (const key of [first, last, "bystander"]) await users.set(key, "older");
    backend.down();
    const recovered = watch(cache, "pending:overflow", "recover");
    for (let i = 0; i < keys.length; i += 1_000) await users.deleteMany(keys.slice(i, i + 1_000));
    expect(cache.stats().pending).toBe(1);
    expect(await users.get(first)).toBeUndefined();
    backend.up();
    expect(await users.getMany(keys.slice(0, 100))).toEqual(new Map());
    await elapse(clock, 60_000, 25);
    expect(cache.stats().pending).toBe(0);
    expect(recovered).toEqual([
      ["pending:overflow", { cache: "test", namespace: [], tier: "scripted", effect: "clear" }],
      ["recover", { cache: "test", namespace: [], tier: "scripted", replayed: 1, overflowed: true }],
    ]);
    const there = open("backend", { clock, backend }).cache.namespace("users");
    expect(await there.getMany([first, last, "bystander"])).toEqual(new Map());
    expect(await users.getOrSet(first, () => "loaded")).toBe("loaded");
    expect(await there.get(first)).toBe("loaded");
  });
});

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  describe("C97 the breaker", () => {
    it("opens after five transport errors in a row, and then sends no call", async () => {
      const { cache, backend } = open(stack, { ttl: "1h" });
      const states = watch(cache, "backend:state");
      backend.down();
      for (let i = 0; i < 4; i += 1) await cache.get("k");
      expect(states).toEqual([]);
      expect(cache.stats().tiers.at(-1)?.state).toBe("down");
      await cache.get("k");
      expect(states).toEqual([["backend:state", { cache: "test", namespace: [], tier: "scripted", state: "down" }]]);
      expect(cache.stats().tiers.at(-1)?.state).toBe("down");

      backend.forgetCalls();
      backend.up();
      const errors = watch(cache, "backend:error");
      expect(await cache.get("k")).toBeUndefined();
      expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
      expect(await cache.getMany(["a", "b"])).toEqual(new Map());
      expect(await cache.set("k", "set")).toEqual({ status: "pending" });
      expect(await cache.delete("k")).toEqual({ status: "pending" });
      expect(await cache.markStale("k")).toEqual({ status: "pending" });
      expect(await cache.invalidateTags("t")).toEqual({ status: "pending" });
      expect(backend.calls).toEqual([]);
      expect(errors).toEqual([]);
    });

    it.for<readonly [string, Error]>([
      ["an error reply", refusal],
      ["an error of the library that is not a transport error", new EncodeError("no")],
    ])("stays closed after %s", async ([, error]) => {
      const { cache, backend } = open(stack);
      const states = watch(cache, "backend:state");
      backend.down(error);
      for (let i = 0; i < 20; i += 1) await cache.get("k");
      expect(backend.count("read", "test::k")).toBe(20);
      expect(states).toEqual([]);
    });

    it("lets one call through as the probe, after one second, and closes when it is answered", async () => {
      const { cache, clock, backend } = open(stack);
      const states = watch(cache, "backend:state");
      backend.down();
      await openBreaker(cache);
      backend.up();
      backend.forgetCalls();
      clock.advance(999);
      await cache.get("k");
      expect(backend.calls).toEqual([]);

      clock.advance(1);
      const answering = gate();
      backend.script("read", { key: "test::k", after: answering });
      const probe = cache.get("k");
      await answering.arrived();
      await Promise.all(Array.from({ length: 100 }, (_, i) => cache.get(`k${i}`)));
      expect(backend.calls.filter(({ keys }) => !keys[0]!.startsWith("{~")).map(({ keys }) => keys[0])).toEqual([
        "test::k",
      ]);
      answering.open();
      await probe;
      await cache.get("k1");
      expect(backend.count("read", "test::k1")).toBe(1);
      expect(states.map(([, { state }]) => state)).toEqual(["down", "up"]);
    });
  });

  describe("C98 an entry that does not decode", () => {
    const garbage: Record<string, (entry: StoredEntry) => StoredEntry> = {
      "other bytes": (entry) => ({ ...entry, data: Uint8Array.of(0xff, 0xfe, 0x00) }),
      "no bytes": (entry) => ({ ...entry, data: new Uint8Array(0) }),
      "half of them": (entry) => ({ ...entry, data: entry.data.subarray(0, entry.data.length >> 1) }),
      "meta that is none": (entry) => ({ ...entry, meta: "{not json" }),
      "meta of another shape": (entry) => ({ ...entry, meta: "[1, 2]" }),
      "meta that is null": (entry) => ({ ...entry, meta: "null" }),
      "meta with other types": (entry) => ({
        ...entry,
        meta: JSON.stringify(["json", null, 0, 0, 7, { g: "no list" }]),
      }),
      "an unknown format": (entry) => ({ ...entry, meta: entry.meta.replace('"json"', '"cbor"') }),
      "an unknown compressor": (entry) => ({ ...entry, meta: entry.meta.replace(/"c":"[^"]*"/, '"c":"lz4"') }),
    };
    const spoil = (
      backend: ReturnType<typeof open>["backend"],
      key: string,
      how: (entry: StoredEntry) => StoredEntry,
    ): void => backend.store.set(key, how(backend.store.get(key)!));

    it.for(Object.entries(garbage))(
      "is a miss, reported once, overwritten by the next load: %s (bentocache)",
      async ([, how]) => {
        const { backend, clock } = open("backend", { backend: { compressor: gzip({ minBytes: 0 }) } });
        const writer = open("backend", { backend, clock, ttl: "1h", staleIfError: "1h" }).cache;
        await writer.set("k", "value ".repeat(100), { tags: ["t"] });
        await writer.set("sound", "sound");
        spoil(backend, "test::k", how);

        const { cache } = open(stack, { backend, clock, ttl: "1h", staleIfError: "1h" });
        const told = watch(cache, "decode:error");
        const states = watch(cache, "backend:state");
        for (let i = 0; i < 20; i += 1) expect(await cache.get("k")).toBeUndefined();
        expect(await cache.get("k", { allowStale: true })).toBeUndefined();
        expect(await cache.has("k")).toBe(false);
        expect(await cache.inspect("k")).toBeUndefined();
        expect(await cache.getMany(["k", "sound"])).toEqual(new Map([["sound", "sound"]]));
        expect(told).toEqual([
          [
            "decode:error",
            {
              cache: "test",
              namespace: [],
              key: "k",
              tier: "scripted",
              error: expect.objectContaining({ code: "DECODE_FAILED", tier: "scripted", operation: "decode" }),
            },
          ],
        ]);
        expect(states.map(([, { state }]) => state)).toEqual(["up"]);

        await expect(cache.getOrSet("k", failing(sourceDown))).rejects.toBe(sourceDown);
        const loaded = "loaded ".repeat(100);
        expect(await cache.getOrSet("k", () => loaded)).toBe(loaded);
        expect(await cache.get("k")).toBe(loaded);
        expect(await writer.get("k")).toBe(loaded);

        spoil(backend, "test::k", how);
        const later = open(stack, { backend, clock, ttl: "1h" });
        const toldAgain = watch(later.cache, "decode:error");
        expect(
          await later.cache.getOrSetMany(
            ["k", "sound"],
            (item) => item,
            (items) => items.map((item) => [item, "again"]),
          ),
        ).toEqual(
          new Map([
            ["k", "again"],
            ["sound", "sound"],
          ]),
        );
        expect(toldAgain.length).toBe(1);
      },
    );
  });
});

it.for(STACKS_WITH_BACKEND)(
  "C101 a thousand random faults: leave no rejection unhandled and no call unanswered: %s",
  async (stack) => {
    let state = 20_261_120;
    const below = (bound: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return (state >>> 8) % bound;
    };
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, deadlineMs: 50 });
    const builder = createCache({ name: "test", clock, maxBackgroundLoads: 3 });
    const cache = (stack === "backend" ? builder.tier(backend) : builder.tier(memory({ maxEntries: 5 })).tier(backend))
      .defaults({
        ttl: 40,
        staleWhileRevalidate: 40,
        staleIfError: 200,
        errorBackoff: 5,
        loadTimeout: 60,
        hardTimeout: 80,
        refreshAhead: 0.5,
      })
      .build();
    for (const name of [
      "hit",
      "stale",
      "miss",
      "load",
      "load:error",
      "store",
      "fenced",
      "backend:error",
      "decode:error",
      "recover",
    ] as const)
      cache.on(name, () => {
        throw new Error("a listener that throws");
      });

    const spoilt: StoredEntry = { data: Uint8Array.of(0xff), staleInMs: 1_000, expiresInMs: 1_000, meta: "" };
    const faults = [
      () => ({ fail: true as const }),
      () => ({ fail: refusal }),
      () => ({ before: gate() }),
      () => ({ after: gate() }),
      () => ({ before: below(80) }),
      () => ({ after: below(80) }),
      () => ({ loseAnswer: true as const }),
      () => ({ loseAnswer: refusal }),
      () => ({ answer: () => spoilt }),
    ];
    const load = async (): Promise<unknown> => {
      const delayMs = below(100);
      if (delayMs > 50) await new Promise<void>((resolve) => clock.schedule(resolve, delayMs));
      switch (below(6)) {
        case 0:
          throw new Error("the source is down");
        case 1:
          return undefined;
        case 2:
          return 1n;
        case 3:
          return new Promise(() => undefined);
        default:
          return below(1_000);
      }
    };
    const key = (): string => `k${below(8)}`;
    const calls: readonly (() => Promise<unknown>)[] = [
      () => cache.get(key()),
      () => cache.getMany([key(), key(), key()]),
      () => cache.inspect(key()),
      () => cache.getOrSet(key(), load, { tags: ["t"] }),
      () => cache.getOrSet(key(), load, { forceRefresh: below(2) === 0, signal: AbortSignal.abort(new Error("left")) }),
      () =>
        cache.getOrSet(key(), ({ setOptions }) => {
          setOptions({ tags: ["late"] });
          return load();
        }),
      () =>
        cache.getOrSetMany(
          [key(), key()],
          (item) => item,
          async (items) => {
            const value = await load();
            return items.map((item) => [item, value]);
          },
        ),
      () => cache.set(key(), below(1_000), { tags: ["t"] }),
      () => cache.set(key(), below(10) === 0 ? 1n : "value"),
      () => cache.delete(key()),
      () => cache.deleteMany([key(), key()]),
      () => cache.markStale(key()),
      () => cache.invalidateTags("t"),
      () => cache.markTagsStale("t", "late"),
      () => cache.namespace("users").clear(),
      () => cache.clear(),
    ];

    unhandled.length = 0;
    const injections: (() => void)[] = [];
    let latestMs = 0;
    const underWay = new Set<Promise<unknown>>();
    while (injections.length < 1_000) {
      if (below(3) === 0) {
        injections.push(backend.script("*", faults[below(faults.length)]!()));
      }
      const call = calls[below(calls.length)]!();
      const startedAt = clock.now();
      underWay.add(call);
      call
        .catch(() => undefined)
        .finally(() => {
          latestMs = Math.max(latestMs, clock.now() - startedAt);
          underWay.delete(call);
        });
      if (below(2) === 0) {
        clock.advance(below(20));
        await flush(1);
      }
    }
    for (let i = 0; i < 100 && underWay.size !== 0; i += 1) {
      clock.advance(10);
      await flush(2);
    }
    expect(underWay.size).toBe(0);
    // Eight writes of one key may wait in a queue, and each of them has its deadline.
    expect(latestMs).toBeLessThanOrEqual(400);
    expect(unhandled).toEqual([]);

    // With the faults gone the cache works.
    for (const takeBack of injections) takeBack();
    const closing = cache.drain();
    await elapse(clock, 60_000, 25);
    await closing;
    await cache.delete("k0");
    expect(await cache.getOrSet("k0", () => "sound")).toBe("sound");
    expect(await cache.get("k0")).toBe("sound");
    expect(cache.stats()).toMatchObject({ pending: 0 });
    expect(unhandled).toEqual([]);
  },
);

describe("a store that the backend refuses", () => {
  const FULL = new Error("OOM command not allowed");
  const refused = async (): Promise<{ readonly p1: SimulatedProcess; readonly p2: SimulatedProcess }> => {
    const { p1, p2 } = await inStep();
    p1.backend.script("leases.acquire", { fail: FULL, times: Infinity });
    p1.backend.script("leases.store", { fail: FULL, times: Infinity });
    return { p1, p2 };
  };

  it("leaves a copy that is served until a change of its key elsewhere", async () => {
    const { p1, p2 } = await refused();
    const source = counted("one", "two");
    for (let i = 0; i < 20; i += 1) expect(await p1.cache.getOrSet("k", source.load)).toBe("one");
    await p2.cache.delete("k");
    await flush();
    expect([await p1.cache.getOrSet("k", source.load), source.runs]).toEqual(["two", 2]);
  });

  it("leaves none that is trusted if its key changed while it was loaded", async () => {
    const { p1, p2 } = await refused();
    const loading = gate<string>();
    const call = p1.cache.getOrSet("k", loading.pass);
    await loading.arrived();
    await p2.cache.delete("k");
    await flush();
    loading.open("older");
    expect([await call, p1.cache.peek("k")]).toEqual(["older", undefined]);
  });

  it("leaves a copy without versions, where those are refused, that any tag event ends", async () => {
    const { p1, p2 } = await refused();
    p1.backend.script("tags.pin", { fail: FULL, times: Infinity });
    const source = counted("one", "two");
    const load = async (): Promise<unknown> => p1.cache.getOrSet("k", source.load, { tags: ["t"] });
    expect([await load(), await load(), source.runs]).toEqual(["one", "one", 1]);
    await p2.cache.invalidateTags("t");
    await flush();
    expect([await load(), source.runs]).toEqual(["two", 2]);
  });

  it.each([
    ["forced", { forceRefresh: true }],
    ["current", { current: true }],
  ])("leaves none that is trusted where the key was not read before the load: %s", async (_, options) => {
    const { p1 } = await refused();
    expect([await p1.cache.getOrSet("k", () => "one", options), p1.cache.peek("k")]).toEqual(["one", undefined]);
  });

  it("leaves none that outlives the trust in messages", async () => {
    const { p1 } = await refused();
    await p1.cache.getOrSet("k", () => "one");
    p1.link.lose({ attach: "hangs" });
    expect(p1.cache.peek("k")).toBe(undefined);
  });
});

describe.each(["getOrSet", "get"] as const)("C33 a copy served by %s while the backend is away", (how) => {
  it("is a hit from the local tier", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, coherence: "reported" });
    const cache = createTestCache({ clock, ttl: "1h", local: memory(), backend });
    await cache.connect();
    await cache.set("k", "value");
    backend.link.lose();
    backend.down();
    const hits = watch(cache, "hit");
    expect(await (how === "get" ? cache.get("k") : cache.getOrSet("k", failing()))).toBe("value");
    expect(hits).toMatchObject([["hit", { key: "k", tier: "memory" }]]);
  });
});

describe("R1-10 markStale over a backend that can only remove", () => {
  const opened = async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, markStale: false });
    const cache = createTestCache({ clock, ttl: "1h", local: memory(), backend });
    await cache.set("k", "value");
    return { cache, backend };
  };

  it("says whether there was an entry, once it is removed", async () => {
    const { cache, backend } = await opened();
    const removing = gate();
    backend.script("remove", { before: removing });
    const marking = cache.markStale("k");
    await removing.arrived();
    expect(await outcome(marking)).toEqual({ status: "pending" });
    removing.open();
    expect(await marking).toEqual({ status: "stale" });
    expect(await cache.markStale("k")).toEqual({ status: "missing" });
    expect(await cache.get("k", { allowStale: true })).toBe(undefined);
  });

  it("is pending while the backend is away", async () => {
    const { cache, backend } = await opened();
    backend.down();
    expect(await cache.markStale("k")).toEqual({ status: "pending" });
  });
});
