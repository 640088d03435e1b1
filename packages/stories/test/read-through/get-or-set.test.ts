import type { Cache, EntryOptions, GetOrSetOptions, LoadContext } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { flush, gate, outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep } from "../support/processes.ts";
import { counted, never, open, rejectionsDuring, STACKS } from "../support/stacks.ts";

type Nothing = (ctx: LoadContext) => undefined;
/** What finds nothing, when, and whether the caller gets the value before. */
const FINDING_NOTHING: readonly [string, number, boolean, (cache: Cache, load: Nothing) => Promise<unknown>][] = [
  ["a forced load", 50, false, (cache, load) => cache.getOrSet("k", load, { forceRefresh: true })],
  ["a load for its age", 50, false, (cache, load) => cache.getOrSet("k", load, { maxAge: 0 })],
  ["a refresh ahead", 50, true, (cache, load) => cache.getOrSet("k", load, { refreshAhead: 0.1 })],
  ["a stale refresh", 100, true, (cache, load) => cache.getOrSet("k", load)],
];

describe.each(STACKS)("over %s", (stack) => {
  it.for([[0], [""], [false], [null], [NaN], [-0]] as const)(
    "C1 a cached %s is a hit and is loaded once",
    async ([value]) => {
      const { cache } = open(stack, { backend: { format: v8() } });
      const source = counted<unknown>(value);
      expect(await cache.getOrSet("k", source.load)).toBe(value);
      expect(await cache.getOrSet("k", never)).toBe(value);
      expect(await cache.get("k")).toBe(value);
      expect(await cache.getMany(["k"])).toEqual(new Map([["k", value]]));
      expect(source.runs).toBe(1);
      expect(cache.stats()).toMatchObject({ loads: 1, misses: 1, hits: 3 });
    },
  );

  it.for([[0], [""], [false], [null]] as const)("C1 a %s stored with set is a hit", async ([value]) => {
    const { cache } = open(stack);
    await cache.set("k", value);
    expect(await cache.getOrSet("k", never)).toBe(value);
    expect(await cache.getOrSetMany(["k"], (key) => key, never)).toEqual(new Map([["k", value]]));
  });

  it("C2 undefined is returned to all callers, stored in no tier, and loaded again by the next call", async () => {
    const { cache, stored } = open(stack);
    const loading = gate<undefined>();
    const answers = [cache.getOrSet("k", loading.pass), cache.getOrSet("k", never)];
    loading.open(undefined);
    expect(await Promise.all(answers)).toEqual([undefined, undefined]);
    expect(await cache.has("k")).toBe(false);
    expect(cache.peek("k")).toBe(undefined);
    expect(stored()).toEqual([]);
    expect(await cache.getOrSet("k", () => "there")).toBe("there");
  });

  describe.each(FINDING_NOTHING)("C2 undefined from %s", (_how, at, isBehind, call) => {
    it("ends what was there, once, and nothing is removed where nothing is", async () => {
      const { cache, clock, backend, stored } = open(stack, { ttl: 100, staleWhileRevalidate: 1_000 });
      const loaded: unknown[] = [];
      cache.on("load", ({ result, background }) => loaded.push([result, background]));
      await cache.set("k", "old");
      clock.advance(at);
      const rejections = await rejectionsDuring(async () => {
        expect(await call(cache, () => undefined)).toBe(isBehind ? "old" : undefined);
        await cache.drain();
      });
      expect([loaded, rejections, stored()]).toEqual([[["no-store", isBehind]], [], []]);
      expect(await cache.get("k", { allowStale: true })).toBe(undefined);
      backend.forgetCalls();
      expect(await cache.getOrSet("k", () => undefined)).toBe(undefined);
      expect(backend.count("remove")).toBe(0);
      expect(await cache.getOrSet("k", () => "there")).toBe("there");
    });

    it("leaves what was there after noStore", async () => {
      const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 1_000 });
      await cache.set("k", "old");
      clock.advance(at);
      await call(cache, ({ noStore }) => noStore(undefined));
      await cache.drain();
      expect(await cache.get("k", { allowStale: true })).toBe("old");
    });
  });

  it("C2 an item that a batch leaves out", async () => {
    const { cache } = open(stack, { negativeTtl: 100 });
    await cache.setMany([
      ["a", "old"],
      ["b", "old"],
    ]);
    const found = await cache.getOrSetMany(["a", "b"], String, () => [["a", "new"]], { forceRefresh: true });
    expect(found.has("b")).toBe(false);
    expect([await cache.get("a"), await cache.get("b")]).toEqual(["new", undefined]);
  });

  it("C3 get and has distinguish an absent key from a null value", async () => {
    const { cache } = open(stack);
    const found = async () => [await cache.get("k"), await cache.has("k"), (await cache.getMany(["k"])).has("k")];
    expect(await found()).toEqual([undefined, false, false]);
    await cache.set("k", null);
    expect(await found()).toEqual([null, true, true]);
    await cache.delete("k");
    expect(await found()).toEqual([undefined, false, false]);
  });

  const reasons = [new Error("db down"), undefined, null, 0, "", false, "text"];
  const ways: [string, (reason: unknown) => () => unknown][] = [
    [
      "a synchronous throw",
      (reason) => () => {
        throw reason;
      },
    ],
    ["a rejection", (reason) => async () => Promise.reject(reason)],
    [
      "a thenable's rejection",
      // oxlint-disable-next-line unicorn/no-thenable -- like a query builder
      (reason) => () => ({ then: (_: unknown, reject: (reason: unknown) => void) => reject(reason) }),
    ],
  ];
  it.for(ways.flatMap(([way, make]) => reasons.map((reason) => [way, reason, make(reason)] as const)))(
    "C4 %s: every waiter is rejected with the reason %s (cacheable)",
    async ([, reason, load]) => {
      const { cache } = open(stack);
      const outcomes = await Promise.all(
        [cache.getOrSet("k", load), cache.getOrSet("k", load), cache.getOrSet("k", load)].map((each) => outcome(each)),
      );
      for (const each of outcomes) {
        expect(each.status).toBe("rejected");
        expect((each as { reason: unknown }).reason).toBe(reason);
      }
      expect(await cache.getOrSet("k", () => "back")).toBe("back");
    },
  );

  it("C5 a failing load keeps the stale value stored", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 300, staleIfError: 1_000, errorBackoff: 0 });
    const fail = (): never => {
      throw new Error("db down");
    };
    await cache.set("k", "old", { tags: ["t"], etag: '"1"' });
    clock.advance(100);
    expect(await cache.getOrSet("k", fail)).toBe("old"); // in the background, after the stale answer
    await cache.drain();
    clock.advance(300);
    expect(await cache.getOrSet("k", fail)).toBe("old"); // in the foreground
    await expect(cache.getOrSet("k", fail, { staleIfError: 0 })).rejects.toThrow("db down");
    clock.advance(599);
    expect(await cache.getOrSet("k", fail)).toBe("old");
    expect(await cache.inspect("k")).toMatchObject({ state: "stale", tags: ["t"], etag: '"1"', expiresInMs: 101 });
  });

  it("C8 a miss in every tier loads once and stores the value in every tier", async () => {
    const { cache, backend, stored } = open(stack);
    const source = counted("Ada");
    expect(await Promise.all([cache.getOrSet("k", source.load), cache.getOrSet("k", source.load)])).toEqual([
      "Ada",
      "Ada",
    ]);
    expect(source.runs).toBe(1);
    expect(cache.peek("k")).toBe(stack === "backend" ? undefined : "Ada");
    expect(stored()).toEqual(stack === "memory" ? [] : ["test::k"]);
    if (stack !== "memory") expect(new TextDecoder().decode(backend.store.get("test::k")!.data)).toBe('"Ada"');
    expect(await cache.getOrSet("k", never)).toBe("Ada");
  });

  it.for([[0], [-1], [-Infinity], ["0s"], ["-5m"]] as const)(
    "C9 a ttl of %s stores nothing and removes the old value (bentocache)",
    async ([ttl]) => {
      const { cache, stored } = open(stack);
      await cache.set("k", "old");
      expect(await cache.set("k", "new", { ttl })).toEqual({ status: "refused" });
      expect([await cache.get("k"), stored()]).toEqual([undefined, []]);

      await cache.set("k", "old");
      expect(await cache.getOrSet("k", () => "new", { ttl, forceRefresh: true })).toBe("new");
      expect([await cache.get("k"), stored()]).toEqual([undefined, []]);

      await cache.set("k", "old");
      expect(await cache.getOrSet("k", ({ setOptions }) => (setOptions({ ttl }), "new"), { forceRefresh: true })).toBe(
        "new",
      );
      expect([await cache.get("k"), stored()]).toEqual([undefined, []]);

      const source = counted("one", "two");
      expect(await cache.getOrSet("k", source.load, { ttl, staleIfError: "1h" })).toBe("one");
      expect(await cache.getOrSet("k", source.load, { ttl, staleIfError: "1h" })).toBe("two");
    },
  );

  it("C9 an entry with an infinite ttl never expires, with or without stale windows", async () => {
    const { cache, clock } = open(stack);
    // Every entry depends on tag versions. A backend without tag versions of its own stores them for 30 days.
    const longMs = (stack === "backend" ? 29 : 1_000 * 365) * 86_400_000;
    await cache.set("a", 1, { ttl: Infinity });
    await cache.set("b", 2, { ttl: Infinity, staleIfError: 100, staleWhileRevalidate: 10 });
    await cache.getOrSet("c", () => 3, { ttl: Infinity, refreshAhead: 0.5 });
    clock.advance(longMs);
    expect([await cache.get("a"), await cache.get("b"), await cache.get("c")]).toEqual([1, 2, 3]);
    expect(await cache.inspect("b")).toMatchObject({ state: "fresh", freshForMs: Infinity, expiresInMs: Infinity });
  });

  it("C9 a ttl above 2^31 milliseconds expires at its exact time", async () => {
    const { cache, clock } = open(stack);
    await cache.set("k", 1, { ttl: 2 ** 31 + 5 });
    clock.advance(2 ** 31 + 4);
    expect(await cache.get("k")).toBe(1);
    clock.advance(1);
    expect(await cache.get("k")).toBe(undefined);
  });

  it("C11 a forced load does not join an earlier load; later callers and readers get its result (cachified)", async () => {
    const { cache } = open(stack);
    const [before, forced] = [gate<string>(), gate<string>()];
    const first = cache.getOrSet("k", before.pass);
    await before.arrived();
    const second = cache.getOrSet("k", forced.pass, { forceRefresh: true });
    await forced.arrived();
    const third = cache.getOrSet("k", never);
    forced.open("after the mutation");
    expect(await Promise.all([second, third])).toEqual(["after the mutation", "after the mutation"]);
    before.open("before the mutation");
    expect(await first).toBe("before the mutation");
    expect(await cache.get("k")).toBe("after the mutation");
    expect(await cache.getOrSet("k", never)).toBe("after the mutation");
  });

  it("C11 two forced calls load twice and the later call's value stays, in either order of completion", async () => {
    for (const lastToEnd of [0, 1]) {
      const { cache } = open(stack);
      const gates = [gate<string>(), gate<string>()];
      const calls = gates.map(({ pass }) => cache.getOrSet("k", pass, { forceRefresh: true }));
      await Promise.all(gates.map(({ arrived }) => arrived()));
      gates[1 - lastToEnd]!.open(`call ${1 - lastToEnd}`);
      await calls[1 - lastToEnd];
      gates[lastToEnd]!.open(`call ${lastToEnd}`);
      expect(await Promise.all(calls)).toEqual(["call 0", "call 1"]);
      expect(await cache.get("k")).toBe("call 1");
    }
  });

  it("C12 reads without a loader start no load and write nothing back", async () => {
    const { cache, clock, backend } = open(stack, { ttl: 100, staleIfError: 1_000, staleWhileRevalidate: 1_000 });
    await cache.set("k", "old");
    clock.advance(100);
    const writes = backend.count("write");
    expect(await cache.get("k")).toBe(undefined);
    expect(await cache.getMany(["k"])).toEqual(new Map());
    expect(await cache.has("k")).toBe(false);
    expect(cache.peek("k")).toBe(undefined);
    expect(await cache.get("k", { allowStale: true })).toBe("old");
    expect(await cache.getMany(["k"], { allowStale: true })).toEqual(new Map([["k", "old"]]));
    await cache.drain();
    expect(cache.stats().loads).toBe(0);
    expect(backend.count("write")).toBe(writes);
    clock.advance(1_000);
    expect(await cache.get("k", { allowStale: true })).toBe(undefined);
    expect(backend.count("write")).toBe(writes);
  });
});

describe("promotion", () => {
  it("C6 a promoted copy lives for the rest of the entry's lifetime", async () => {
    const { clock, backend, cache: writer } = open("memory over backend", { ttl: 1_000 });
    await writer.set("k", "Ada");
    clock.advance(600);
    const { cache } = open("memory over backend", { ttl: 1_000, clock, backend });
    expect(await cache.getOrSet("k", never)).toBe("Ada");
    expect(await cache.inspect("k")).toMatchObject({ tier: "memory", ageMs: 600, freshForMs: 400, expiresInMs: 400 });
    backend.forgetCalls();
    clock.advance(399);
    expect(await cache.get("k")).toBe("Ada");
    expect(backend.count()).toBe(0);
    clock.advance(1);
    expect(await cache.get("k")).toBe(undefined);
  });

  it.for([["get"], ["getMany"], ["getOrSet"], ["getOrSetMany"]] as const)(
    "C6 a copy promoted by %s lives for localTtl when that is shorter than the entry's lifetime",
    async ([by]) => {
      const { clock, backend, cache: writer } = open("backend", { ttl: 1_000 });
      await writer.set("k", "Ada");
      const { cache } = open("memory over backend", { ttl: 1_000, localTtl: 100, clock, backend });
      const read = (): Promise<unknown> =>
        by === "get"
          ? cache.get("k")
          : by === "getMany"
            ? cache.getMany(["k"]).then((found) => found.get("k"))
            : by === "getOrSet"
              ? cache.getOrSet("k", never)
              : cache.getOrSetMany(["k"], (key) => key, never).then((found) => found.get("k"));
      for (let round = 0; round < 3; round += 1) {
        backend.forgetCalls();
        expect(await read()).toBe("Ada");
        expect(backend.count(undefined, "test::k")).toBe(1);
        clock.advance(99);
        expect(await read()).toBe("Ada");
        expect(backend.count(undefined, "test::k")).toBe(1);
        clock.advance(1);
      }
    },
  );

  it.for([["get"], ["getMany"]] as const)(
    "C21 %s returns nothing for an entry that expires during the read",
    async ([by]) => {
      const { cache, clock, backend } = open("backend", { ttl: 300 });
      await cache.set("k", "Ada");
      const answering = gate();
      backend.script(by === "getMany" ? "batch.read" : "read", { key: "test::k", after: answering });
      const reading =
        by === "get" ? cache.get("k", { allowStale: true }) : cache.getMany(["k", "j"], { allowStale: true });
      await answering.arrived();
      clock.advance(300);
      answering.open();
      expect(await reading).toEqual(by === "getMany" ? new Map() : undefined);
    },
  );

  const limited: [string, EntryOptions, GetOrSetOptions][] = [
    ["set", { localTtl: 100 }, {}],
    ["the call's options", {}, { localTtl: 100 }],
    ["the loader's setOptions", {}, {}],
  ];
  it.for(limited)(
    "C7 a localTtl given by %s applies again after eviction and promotion",
    async ([by, entryOptions, callOptions]) => {
      const { cache, clock, backend } = open("memory over backend", { ttl: 10_000, memory: { maxEntries: 1 } });
      if (by === "set") await cache.set("k", "Ada", entryOptions);
      else
        await cache.getOrSet(
          "k",
          (ctx) => (by === "the loader's setOptions" && ctx.setOptions({ localTtl: 100 }), "Ada"),
          callOptions,
        );
      await cache.set("other", 1);
      expect(cache.peek("k")).toBe(undefined);
      expect(await cache.get("k")).toBe("Ada");
      expect(cache.peek("k")).toBe("Ada");
      clock.advance(99);
      expect(cache.peek("k")).toBe("Ada");
      clock.advance(1);
      expect(cache.peek("k")).toBe(undefined);
      backend.forgetCalls();
      expect(await cache.get("k")).toBe("Ada");
      expect(backend.count("read", "test::k")).toBe(1);
    },
  );

  it("C2 undefined ends the value in all processes, later where the backend does not answer", async () => {
    const { p1, p2 } = await inStep();
    for (const answers of [true, false]) {
      await p1.cache.set("k", "old");
      for (const { cache } of [p1, p2]) expect(await cache.get("k")).toBe("old");
      if (!answers) p1.backend.script("remove", { fail: true });
      expect(await p1.cache.getOrSet("k", () => undefined, { forceRefresh: true })).toBe(undefined);
      expect(await p1.cache.getOrSet("k", () => "next")).toBe("next");
      await flush();
      expect([p1.cache.stats().pending, await p2.cache.get("k")]).toEqual([0, "next"]);
    }
  });

  it("C7 a localTtl of 0 for one call keeps its value in the backend alone, here and in other processes", async () => {
    const { p1, p2 } = await inStep();
    await p1.cache.getOrSet("loaded", () => "Ada", { localTtl: 0 });
    expect(await p1.cache.getOrSet("loaded", never)).toBe("Ada");
    expect(await p2.cache.getOrSet("loaded", never)).toBe("Ada");
    expect([p1.cache.peek("loaded"), p2.cache.peek("loaded")]).toEqual([undefined, undefined]);

    await p1.cache.set("stored", "Bea");
    await flush();
    expect(await p2.cache.getOrSet("stored", never, { localTtl: 0 })).toBe("Bea");
    expect([p1.cache.peek("stored"), p2.cache.peek("stored")]).toEqual(["Bea", undefined]);
    expect(await p2.cache.getOrSet("stored", never)).toBe("Bea");
    expect(p2.cache.peek("stored")).toBe("Bea");
    // A copy that is there already is what the backend has.
    p2.backend.forgetCalls();
    expect(await p2.cache.getOrSet("stored", never, { localTtl: 0 })).toBe("Bea");
    expect(p2.backend.count()).toBe(0);
  });
});

describe("a value that the local tier cannot keep", () => {
  it.for<readonly [string, { readonly localTtl?: number }, string]>([
    ["too large", {}, "x".repeat(5_000)],
    ["without a localTtl", { localTtl: 0 }, "x"],
  ])(
    "is refused when it is %s and there is no other tier, and the old value is removed",
    async ([, options, value]) => {
      const { cache } = open("memory", { memory: { maxBytes: 10_000 } });
      const results: string[] = [];
      cache.on("load", ({ result }) => results.push(result));
      await cache.set("k", "old");
      expect(await cache.set("k", value, options)).toEqual({ status: "refused" });
      expect(await cache.get("k")).toBe(undefined);
      expect(
        await cache.setMany(
          [
            ["k", value],
            ["j", value],
          ],
          options,
        ),
      ).toEqual({ stored: 0, pending: 0, refused: 2 });
      expect(await cache.getOrSet("k", () => value, options)).toBe(value);
      expect([results, await cache.has("k")]).toEqual([["refused"], false]);
    },
  );

  it("is still stored in the backend", async () => {
    const { cache, stored } = open("memory over backend", { memory: { maxBytes: 10_000 } });
    expect(await cache.set("k", "x".repeat(5_000))).toMatchObject({ status: "stored" });
    expect([cache.peek("k"), stored()]).toEqual([undefined, ["test::k"]]);
  });
});

it("long durations on the system clock: C9 a ttl longer than setTimeout supports causes no process warning", async () => {
  const { createCache } = await import("@hotset/core");
  const { memory } = await import("@hotset/memory");
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warned);
  const cache = createCache({ name: "long" })
    .tier(memory())
    .defaults({ ttl: 2 ** 31 + 5, hardTimeout: 2 ** 31 + 5, softTimeout: 2 ** 31, loadTimeout: 2 ** 40 })
    .build();
  await cache.set("k", 1, { staleIfError: 2 ** 32 });
  expect(await cache.getOrSet("j", async () => flush().then(() => 2))).toBe(2);
  await flush();
  process.off("warning", warned);
  expect(warnings).toEqual([]);
  expect([await cache.get("k"), await cache.get("j")]).toEqual([1, 2]);
  await cache.close();
});
