import { type Cache, type GetOrSetOptions, type LoadContext, type Policy } from "@hotset/core";
import { flush, gate, outcome } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const DOWN = new Error("db down");
const REENTRANT = { name: "ReentrantLoadError", code: "REENTRANT_LOAD" } as const;

describe.each(STACKS)("over %s", (stack) => {
  it("C45 a hundred callers of a missing key share one load and get its value", async () => {
    const { cache, backend } = open(stack);
    const loading = gate<object>();
    let runs = 0;
    const load = (): Promise<object> => {
      runs += 1;
      return loading.pass();
    };
    const calls = Array.from({ length: 50 }, () => cache.getOrSet("k", load));
    await loading.arrived();
    calls.push(...Array.from({ length: 50 }, () => cache.getOrSet("k", load)));
    const value = { name: "Ada" };
    loading.open(value);
    const answers = await Promise.all(calls);
    expect(answers.every((answer) => answer === value)).toBe(true);
    expect(runs).toBe(1);
    expect(backend.count("read", "test::k")).toBe(stack === "memory" ? 0 : 1);
    expect(backend.count("write", "test::k")).toBe(stack === "memory" ? 0 : 1);
    expect(cache.stats()).toMatchObject({ loads: 1, misses: 100, coalesced: 99 });
  });

  it("C45 callers of getOrSet, getOrSetMany and wrap share one load", async () => {
    const { cache } = open(stack);
    const loading = gate<string>();
    let runs = 0;
    const load = (id: number): Promise<string> => {
      runs += 1;
      return loading.pass().then((value) => `${value} ${id}`);
    };
    const user = cache.wrap(load, { name: "user" });
    const calls = [
      user(1),
      cache.getOrSet("user:1", never),
      cache.getOrSetMany([1, 1], (id) => user.key(id), never).then((found) => found.get(1)),
      cache.getOrSetMany(["user:1"], (key) => key, never).then((found) => found.get("user:1")),
      user(1),
    ];
    await loading.arrived();
    loading.open("Ada");
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 5 }, () => "Ada 1"));
    expect(runs).toBe(1);
  });

  it("C46 a hundred callers of a failing loader share one run and are all rejected (bentocache)", async () => {
    const { cache } = open(stack);
    const seen = watch(cache, "load:error");
    const loading = gate<string>();
    let runs = 0;
    const load = (): Promise<string> => {
      runs += 1;
      return loading.pass();
    };
    const calls = Array.from({ length: 50 }, () => cache.getOrSet("k", load));
    await loading.arrived();
    calls.push(...Array.from({ length: 50 }, () => cache.getOrSet("k", load)));
    loading.fail(DOWN);
    const outcomes = await Promise.all(calls.map((call) => outcome(call)));
    expect(outcomes.filter((each) => each.status === "rejected" && each.reason === DOWN)).toHaveLength(100);
    expect([runs, seen.length]).toEqual([1, 1]);
    expect(cache.stats()).toMatchObject({ loads: 1, loadErrors: 1, misses: 100 });
  });

  it.for([[0], [10_000]] as const)(
    "C47 staggered callers of a failing loader never cause two concurrent runs (bentocache), staleIfError %i",
    async ([staleIfError]) => {
      const { cache, clock } = open(stack, { ttl: 100, staleIfError, errorBackoff: 0 });
      if (staleIfError > 0) await cache.set("k", "old");
      clock.advance(100);
      let active = 0;
      let most = 0;
      let runs = 0;
      const load = async (): Promise<never> => {
        runs += 1;
        active += 1;
        most = Math.max(most, active);
        // Loads take different times, so that callers arrive on each of their ticks.
        for (let tick = 0; tick < runs % 4; tick += 1) await (tick % 2 === 0 ? flush(1) : undefined);
        active -= 1;
        throw DOWN;
      };
      const calls: ReturnType<typeof outcome>[] = [];
      for (let i = 0; i < 200; i += 1) {
        calls.push(outcome(cache.getOrSet("k", load)));
        for (let tick = 0; tick < i % 7; tick += 1) await Promise.resolve();
        if (i % 3 === 0) await flush(1);
      }
      const outcomes = await Promise.all(calls);
      expect(
        outcomes.every((each) =>
          staleIfError > 0
            ? each.status === "fulfilled" && each.value === "old"
            : each.status === "rejected" && each.reason === DOWN,
        ),
      ).toBe(true);
      expect([most, active]).toEqual([1, 0]);
      expect(runs).toBeGreaterThan(1);
      expect(runs).toBeLessThan(200);
    },
  );

  it("C48 equal keys in two namespaces share no load", async () => {
    const { cache } = open(stack);
    const spaces = [cache, cache.namespace("a"), cache.namespace("b"), cache.namespace("a").namespace("b")];
    const loading = gate();
    const calls = spaces.map((space, i) => space.getOrSet("k", () => loading.pass().then(() => i)));
    await loading.arrived(spaces.length);
    loading.open();
    expect(await Promise.all(calls)).toEqual(spaces.map((_, i) => i));
    expect(await Promise.all(spaces.map((space) => space.get("k")))).toEqual(spaces.map((_, i) => i));
  });

  it("C48 two caches of one name share no load (cacheable), and caches of different names share no entries", async () => {
    const { cache: one, clock, backend } = open(stack);
    const { cache: same } = open(stack, { clock, backend });
    const { cache: other } = open(stack, { clock, backend, name: "other" });
    const loading = [gate<string>(), gate<string>(), gate<string>()];
    const calls = [one, same, other].map((cache, i) => cache.getOrSet("k", loading[i]!.pass));
    await Promise.all(loading.map(({ arrived }) => arrived()));
    loading[0]!.fail(DOWN);
    loading[1]!.open("same");
    loading[2]!.open("other");
    expect(await Promise.all(calls.map((call) => outcome(call)))).toEqual([
      { status: "rejected", reason: DOWN },
      { status: "fulfilled", value: "same" },
      { status: "fulfilled", value: "other" },
    ]);
    expect([await one.get("k"), await same.get("k"), await other.get("k")]).toEqual([
      stack === "memory" ? undefined : "same",
      "same",
      "other",
    ]);
  });

  it("C49 a load stores the tags of all its callers", async () => {
    for (const invalidated of ["first", "early", "late", "loader", "none"]) {
      const { cache } = open(stack);
      const loading = gate<string>();
      const calls = [
        cache.getOrSet(
          "k",
          async (ctx) => {
            const value = await loading.pass();
            ctx.setOptions({ tags: ["loader"] });
            return value;
          },
          { tags: ["first"] },
        ),
        cache.getOrSet("k", never, { tags: ["early", "first"] }),
      ];
      await loading.arrived();
      calls.push(cache.getOrSet("k", never, { tags: ["late"] }));
      loading.open("Ada");
      expect(await Promise.all(calls)).toEqual(["Ada", "Ada", "Ada"]);
      expect((await cache.inspect("k"))?.tags.toSorted()).toEqual(["early", "first", "late", "loader"]);
      await cache.invalidateTags(invalidated);
      expect(await cache.get("k")).toBe(invalidated === "none" ? "Ada" : undefined);
    }
  });

  it("C49 a load is not stored when a joiner's tag was invalidated during it", async () => {
    const { cache } = open(stack);
    const loading = gate<string>();
    const first = cache.getOrSet("k", loading.pass, { tags: ["first"] });
    await loading.arrived();
    const joined = cache.getOrSet("k", never, { tags: ["joined"] });
    await cache.invalidateTags("joined");
    loading.open("old");
    expect(await Promise.all([first, joined])).toEqual(["old", "old"]);
    expect(await cache.get("k")).toBe(undefined);
  });

  it.for<readonly [string, (cache: Cache) => Promise<unknown>]>([
    ["invalidated", (cache) => cache.invalidateTags("t")],
    ["marked stale", (cache) => cache.markTagsStale("t")],
  ])(
    "a caller after a tag was %s joins a load, and gets no value that turns out to have that tag",
    async ([, change]) => {
      const { cache } = open(stack);
      const [before, after] = [gate<string>(), gate<string>()];
      const first = cache.getOrSet("k", (ctx) =>
        before.pass().then((value) => (ctx.setOptions({ tags: ["t"] }), value)),
      );
      await before.arrived();
      await change(cache);
      const second = cache.getOrSet("k", after.pass);
      const third = cache.getOrSet("k", () => "not called");
      await flush();
      expect(cache.stats().loads).toBe(1);
      before.open("old");
      await after.arrived();
      after.open("new");
      expect(await Promise.all([first, second, third])).toEqual(["old", "new", "new"]);
      expect([cache.stats().loads, await cache.get("k")]).toEqual([2, "new"]);
    },
  );

  it.for<readonly [string, GetOrSetOptions, readonly string[]]>([
    ["no tag", {}, []],
    ["another tag of the call", { tags: ["mine"] }, []],
    ["another tag of the loader", {}, ["mine"]],
  ])("a caller after a tag call joins a load of a value with %s, and gets it", async ([, options, late]) => {
    const { cache } = open(stack);
    const loading = gate<string>();
    const load = (ctx: LoadContext): Promise<string> => {
      ctx.setOptions({ tags: late });
      return loading.pass();
    };
    const answers = [cache.getOrSet("k", load, options)];
    await loading.arrived();
    for (const change of [
      () => cache.invalidateTags("t"),
      () => cache.markTagsStale("u"),
      () => cache.namespace("below").clear(),
      () => cache.getOrSet("other", () => 1, { tags: ["first use"] }),
    ]) {
      await change();
      answers.push(cache.getOrSet("k", load, options));
      await flush();
    }
    loading.open("v");
    expect(await Promise.all(answers)).toEqual(["v", "v", "v", "v", "v"]);
    expect(cache.stats().loads).toBe(2);
    // A backend that issues no versions knows only that some tag was renewed.
    expect(await cache.get("k")).toBe(late.length === 0 || stack === "memory" ? "v" : undefined);
  });

  it("a batch joins loads after a tag was invalidated, and loads once more what turns out to have that tag", async () => {
    const { cache } = open(stack);
    const loading = gate();
    const tagged = (ctx: LoadContext): Promise<string> =>
      loading.pass().then(() => {
        ctx.setOptions({ tags: ["t"] });
        return "old";
      });
    const first = ["a", "b", "set meanwhile"].map((key) => cache.getOrSet(key, tagged));
    const untagged = cache.getOrSet("c", () => loading.pass().then(() => "old"));
    await loading.arrived(4);
    await cache.invalidateTags("t");
    const runs: (readonly string[])[] = [];
    const batch = cache.getOrSetMany(
      ["a", "b", "c", "d", "set meanwhile"],
      (key) => key,
      (missing: readonly string[]) => {
        runs.push(missing);
        return missing.map((key) => [key, "new"] as const);
      },
    );
    await flush();
    expect([runs, cache.stats().loads]).toEqual([[["d"]], 5]);
    await cache.set("set meanwhile", "set");
    loading.open();
    expect(Object.fromEntries(await batch)).toEqual({ a: "new", b: "new", c: "old", d: "new", "set meanwhile": "set" });
    expect(runs).toEqual([["d"], ["a", "b"]]);
    expect(await Promise.all([...first, untagged])).toEqual(["old", "old", "old", "old"]);
    expect([...(await cache.getMany(["a", "b", "c"])).values()]).toEqual(["new", "new", "old"]);
  });

  it("a caller after a call of a known tag joins no load", async () => {
    const { cache } = open(stack);
    const before = gate<string>();
    const first = cache.getOrSet("k", before.pass, { tags: ["t"] });
    await before.arrived();
    await cache.invalidateTags("t");
    expect(await cache.getOrSet("k", () => "new", { tags: ["t"] })).toBe("new");
    before.open("old");
    expect(await first).toBe("old");
    expect(await cache.get("k")).toBe("new");
  });

  it.for<readonly [string, GetOrSetOptions, number, string]>([
    ["a forced one loads for itself", { forceRefresh: true }, 2, "mine"],
    [
      "a caller with any other options joins",
      {
        ttl: 1,
        refreshAhead: 0.5,
        jitter: 0.5,
        softTimeout: 1,
        hardTimeout: 1_000,
        loadTimeout: 1,
        errorBackoff: 1,
        staleWhileRevalidate: 1,
      },
      1,
      "theirs",
    ],
  ])("C49 among callers during a load, %s", async ([, options, loads, answer]) => {
    const { cache } = open(stack);
    const loading = gate<string>();
    const first = cache.getOrSet("k", loading.pass);
    await loading.arrived();
    const second = cache.getOrSet("k", () => "mine", options);
    await flush();
    loading.open("theirs");
    expect(await Promise.all([first, second])).toEqual(["theirs", answer]);
    expect(cache.stats().loads).toBe(loads);
  });

  it("C49 a current caller joins no load that began before its call", async () => {
    const { cache } = open(stack);
    await cache.set("other", 1);
    const loading = gate<string>();
    const first = cache.getOrSet("k", loading.pass);
    await loading.arrived();
    const second = cache.getOrSet("k", () => "mine", { current: true });
    await flush();
    loading.open("theirs");
    // Without a backend no other process exists, so the running load is not too old.
    expect(await Promise.all([first, second])).toEqual(["theirs", stack === "memory" ? "theirs" : "mine"]);
  });

  it("C50 a loader that requests its own key is refused (bentocache)", async () => {
    const { cache } = open(stack);
    await expect(cache.getOrSet("k", () => cache.getOrSet("k", never))).rejects.toMatchObject({
      ...REENTRANT,
      message: expect.stringContaining('"k"') as string,
    });
    expect(await cache.getOrSet("k", async () => outcome(cache.getOrSet("k", never)))).toMatchObject({
      status: "rejected",
      reason: REENTRANT,
    });
  });

  it.for<readonly [string, (cache: ReturnType<typeof open>["cache"]) => Promise<unknown>]>([
    [
      "after awaiting something",
      (cache) => cache.getOrSet("k", async () => flush(2).then(() => cache.getOrSet("k", never))),
    ],
    ["with a forced load", (cache) => cache.getOrSet("k", () => cache.getOrSet("k", never, { forceRefresh: true }))],
    [
      "through another key",
      (cache) => cache.getOrSet("k", () => cache.getOrSet("j", () => cache.getOrSet("k", never))),
    ],
    [
      "through another view",
      (cache) => cache.namespace("a").getOrSet("k", () => cache.namespace("a").getOrSet("k", never)),
    ],
    [
      "through a batch",
      (cache) =>
        cache.getOrSet("k", () =>
          cache.getOrSetMany(
            ["j", "k"],
            (key) => key,
            (missing) => missing.map((key) => [key, 1] as const),
          ),
        ),
    ],
    [
      "from a batch, for its first item",
      (cache) =>
        cache.getOrSetMany(
          ["k", "j"],
          (key) => key,
          async () => [["k", await cache.getOrSet("k", never)]],
        ),
    ],
    [
      "from a batch, for its last item",
      (cache) =>
        cache.getOrSetMany(
          ["j", "k"],
          (key) => key,
          async () => [["k", await cache.getOrSet("k", never)]],
        ),
    ],
    [
      "from a batch in which another item was there",
      async (cache) => {
        await cache.set("there", 1);
        return cache.getOrSetMany(
          ["k", "there"],
          (key) => key,
          async () => [["k", await cache.getOrSet("k", never)]],
        );
      },
    ],
    [
      "from one batch through another",
      (cache) =>
        cache.getOrSetMany(
          ["k", "j"],
          (key) => key,
          () => cache.getOrSetMany(["j"], (key) => key, never),
        ),
    ],
  ])("C50 a loader that requests its own key %s is refused", async ([, call]) => {
    const { cache } = open(stack);
    expect(await outcome(call(cache))).toMatchObject({ status: "rejected", reason: REENTRANT });
    expect(await cache.getOrSet("k", () => "loads")).toBe("loads");
  });

  it("C51 flights that settled, failed, timed out or were abandoned leave no state behind", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 100 });
    const policy: Policy = { hardTimeout: 10, loadTimeout: 50 };
    const controller = new AbortController();
    const calls = [
      cache.getOrSet("ok", () => 1),
      cache.getOrSet("failed", () => Promise.reject(DOWN)),
      cache.getOrSet("late", () => new Promise(() => undefined), policy),
      cache.getOrSet("left", () => new Promise(() => undefined), { signal: controller.signal }),
      cache.getOrSetMany(
        ["a", "b"],
        (key) => key,
        () => [],
      ),
      cache.get("got"),
      cache.getMany(["c", "d"]),
    ];
    const settled = Promise.allSettled(calls);
    await flush();
    controller.abort();
    clock.advance(50);
    await settled;
    // drain would wait for every running flight.
    expect(await outcome(cache.drain())).toEqual({ status: "fulfilled", value: undefined });
    clock.advance(200);
    for (const key of ["ok", "failed", "late", "left", "a", "b"]) {
      expect(await cache.getOrSet(key, () => `${key} once more`)).toBe(`${key} once more`);
      await cache.delete(key);
      expect(await cache.getOrSet(key, () => `${key} anew`)).toBe(`${key} anew`);
    }
  });
});

describe.each(STACKS_WITH_BACKEND)("a slow backend, over %s", (stack) => {
  it("C45 callers that arrive during the backend read share the read and the load", async () => {
    const { cache, backend } = open(stack);
    const reading = gate();
    backend.script("read", { key: "test::k", before: reading });
    const calls = [cache.getOrSet("k", () => "Ada")];
    await reading.arrived();
    calls.push(...Array.from({ length: 99 }, () => cache.getOrSet("k", never)));
    reading.open();
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["Ada"]));
    expect(backend.count("read", "test::k")).toBe(1);
  });
});

it("C49 a caller that joins a refresh without a free slot is answered by a load", async () => {
  const { cache, clock, backend } = open("memory over backend", {
    ttl: 100,
    staleWhileRevalidate: 1_000,
    maxBackgroundLoads: 1,
  });
  await cache.setMany([
    ["busy", "old"],
    ["k", "old"],
  ]);
  clock.advance(100);
  const [busy, reading] = [gate<string>(), gate()];
  expect(await cache.getOrSet("busy", busy.pass)).toBe("old");
  await busy.arrived();
  backend.script("read", { key: "test::k", before: reading });
  expect(await cache.getOrSet("k", () => "new")).toBe("old");
  await reading.arrived();
  const strict = cache.getOrSet("k", never, { staleWhileRevalidate: 0 });
  reading.open();
  expect(await outcome(strict)).toEqual({ status: "fulfilled", value: "new" });
  busy.open("new");
  await cache.drain();
});

describe.each(STACKS_WITH_BACKEND)("a caller that runs out of time while the backend is read, over %s", (stack) => {
  it("C37 C42 keeps the load alive that another one, which leaves by its signal, has waited for", async () => {
    const { cache, clock, backend } = open(stack, { ttl: "1h" });
    const reading = gate();
    backend.script("read", { key: "test::k", before: reading });
    const loading = gate<string>();
    const impatient = outcome(cache.getOrSet("k", loading.pass, { hardTimeout: 10 }));
    await reading.arrived();
    const controller = new AbortController();
    const other = outcome(cache.getOrSet("k", never, { signal: controller.signal }));
    clock.advance(10);
    expect((await impatient).status).toBe("rejected");
    reading.open();
    await loading.arrived();
    controller.abort();
    expect((await other).status).toBe("rejected");
    loading.open("loaded");
    await cache.drain();
    expect(await cache.get("k")).toBe("loaded");
  });
});

describe.each(STACKS)("what listeners and loaders do meanwhile, over %s", (stack) => {
  it("C42 a listener that aborts the only other caller leaves no caller behind", async () => {
    const { cache } = open(stack);
    const loading = gate<string>();
    const controller = new AbortController();
    const first = outcome(cache.getOrSet("k", loading.pass, { signal: controller.signal }));
    await loading.arrived();
    cache.on("coalesced", () => controller.abort());
    const second = cache.getOrSet("k", never);
    loading.open("loaded");
    expect([(await first).status, await second]).toEqual(["rejected", "loaded"]);
  });

  it("C42 a caller that joins a refresh and leaves does not end it", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: "1h" });
    await cache.set("k", "old");
    clock.advance(100);
    const loading = gate<string>();
    expect(await cache.getOrSet("k", loading.pass)).toBe("old");
    await loading.arrived();
    const controller = new AbortController();
    const strict = outcome(cache.getOrSet("k", never, { staleWhileRevalidate: 0, signal: controller.signal }));
    controller.abort();
    expect((await strict).status).toBe("rejected");
    loading.open("new");
    await cache.drain();
    expect(await cache.get("k")).toBe("new");
  });

  it("C42 a signal that is aborted by the loader itself, before it returns, ends the load", async () => {
    const { cache } = open(stack, { maxLoads: 1 });
    const controller = new AbortController();
    const reason = new Error("not needed");
    const call = cache.getOrSet(
      "k",
      async ({ signal }) => {
        controller.abort(reason);
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        return "late";
      },
      { signal: controller.signal },
    );
    await expect(call).rejects.toBe(reason);
    // Its slot is free again.
    expect(await cache.getOrSet("other", () => "loaded")).toBe("loaded");
    await cache.drain();
  });

  it("the event coalesced comes within the call that joins, before it returns", async () => {
    const { cache } = open(stack);
    const joined: string[] = [];
    cache.on("coalesced", ({ key }) => void joined.push(key));
    const loading = gate<string>();
    const first = cache.getOrSet("k", loading.pass);
    expect(joined).toEqual([]);
    const second = cache.getOrSet("k", loading.pass);
    expect(joined).toEqual(["k"]);
    await loading.arrived();
    loading.open("Ada");
    expect(await Promise.all([first, second])).toEqual(["Ada", "Ada"]);
  });
});
