import type { CacheEvents, EntryOptions, GetOrSetOptions, LoadContext, Policy } from "@hotset/core";
import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";

const DOWN = new Error("db down");
const fail = (): never => {
  throw DOWN;
};

describe.each(STACKS)("over %s", (stack) => {
  it("C13 options that a loader sets apply to that write only", async () => {
    const { cache, clock } = open(stack, { ttl: 100 });
    await cache.getOrSet("k", (ctx) => {
      ctx.setOptions({
        ttl: 500,
        staleIfError: 50,
        tags: ["t"],
        etag: '"1"',
        lastModified: "Thu, 01 Jan 1970 00:00:00 GMT",
      });
      return 1;
    });
    expect(await cache.inspect("k")).toMatchObject({
      freshForMs: 500,
      expiresInMs: 550,
      tags: ["t"],
      etag: '"1"',
      lastModified: "Thu, 01 Jan 1970 00:00:00 GMT",
    });
    await cache.getOrSet("other", () => 2);
    expect(await cache.inspect("other")).toMatchObject({ freshForMs: 100, expiresInMs: 100, tags: [] });
    clock.advance(550);
    await cache.getOrSet("k", () => 3);
    const info = await cache.inspect("k");
    expect(info).toMatchObject({ freshForMs: 100, expiresInMs: 100, tags: [] });
    expect([info?.etag, info?.lastModified]).toEqual([undefined, undefined]);
  });

  it("C42 a copy of the context has its signal, which aborts with the load", async () => {
    const { cache, clock } = open(stack, { loadTimeout: 100 });
    const signals: AbortSignal[] = [];
    const call = cache.getOrSet("k", (ctx) => {
      const copy = { ...ctx, attempt: 1 };
      signals.push(ctx.signal, copy.signal);
      return new Promise<number>(() => {});
    });
    const failure = call.catch((error: unknown) => error);
    await flush();
    clock.advance(100);
    expect(await failure).toMatchObject({ code: "LOAD_TIMEOUT" });
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    expect(signals[1]).toBe(signals[0]);
  });

  it("C13 option objects of callers, loaders and defaults are never changed (bentocache)", async () => {
    const defaults: Policy = Object.freeze({ ttl: 100, staleIfError: 10 });
    const { cache } = open(stack, defaults);
    const callTags = Object.freeze(["call"]);
    const call: GetOrSetOptions = Object.freeze({ tags: callTags, ttl: 200 });
    const loaderTags = ["loader"];
    const given: EntryOptions = { tags: loaderTags, ttl: 300 };
    await cache.getOrSet("k", (ctx) => (ctx.setOptions(given), 1), call);
    expect(await cache.inspect("k")).toMatchObject({ tags: ["call", "loader"], freshForMs: 300 });
    expect([call, given, loaderTags]).toEqual([
      { tags: ["call"], ttl: 200 },
      { tags: ["loader"], ttl: 300 },
      ["loader"],
    ]);
    // A later change of the loader's own objects does not change the entry.
    loaderTags.push("late");
    await cache.invalidateTags("late");
    expect(await cache.get("k")).toBe(1);
    expect(await cache.inspect("k")).toMatchObject({ tags: ["call", "loader"] });
  });

  it("C13 tags from setOptions are added to the call's tags and stored; the last setOptions call wins", async () => {
    const { cache } = open(stack);
    for (const [i, tag] of ["call", "second"].entries()) {
      await cache.getOrSet(
        "k",
        (ctx) => {
          ctx.setOptions({ tags: ["first"], ttl: 500, etag: '"1"' });
          ctx.setOptions({ tags: ["second", "call"], ttl: 700 });
          return i;
        },
        { tags: ["call"] },
      );
      const info = await cache.inspect("k");
      expect(info).toMatchObject({ tags: ["call", "second"], freshForMs: 700 });
      expect(info?.etag).toBe(undefined);
      await cache.invalidateTags("first");
      expect(await cache.get("k")).toBe(i);
      await cache.invalidateTags(tag);
      expect(await cache.get("k")).toBe(undefined);
    }
  });

  it("C14 options set by a loader in the background apply", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 1_000 });
    await cache.set("k", "old");
    clock.advance(100);
    const loading = gate<string>();
    expect(
      await cache.getOrSet("k", async (ctx) => {
        const value = await loading.pass();
        ctx.setOptions({ ttl: 700, staleWhileRevalidate: 0, tags: ["t"], etag: '"2"' });
        return value;
      }),
    ).toBe("old");
    loading.open("new");
    await cache.drain();
    expect(await cache.get("k")).toBe("new");
    expect(await cache.inspect("k")).toMatchObject({ freshForMs: 700, expiresInMs: 700, tags: ["t"], etag: '"2"' });
    await cache.invalidateTags("t");
    expect(await cache.get("k")).toBe(undefined);
  });

  it("C15 noStore returns the value to all waiters and leaves a stale value in both tiers unchanged (bentocache)", async () => {
    const { cache, clock, backend, stored } = open(stack, { ttl: 100, staleIfError: 1_000 });
    const results: string[] = [];
    cache.on("load", ({ result }) => results.push(result));
    await cache.set("k", "old");
    clock.advance(100);
    const [before] = stored().map((key) => backend.store.get(key));
    const loading = gate<string>();
    const answers = [cache.getOrSet("k", async (ctx) => ctx.noStore(await loading.pass())), cache.getOrSet("k", never)];
    await loading.arrived();
    loading.open("not kept");
    expect(await Promise.all(answers)).toEqual(["not kept", "not kept"]);
    expect(results).toEqual(["no-store"]);
    expect(stored().map((key) => backend.store.get(key))).toEqual(before === undefined ? [] : [before]);
    expect(await cache.get("k", { allowStale: true })).toBe("old");
    expect(await cache.getOrSet("k", fail)).toBe("old");
  });

  it("C16 a failed load is answered with the stale value and is not retried during errorBackoff", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: 10_000, errorBackoff: 500 });
    const served: unknown[] = [];
    await cache.set("k", "old");
    clock.advance(100);
    let runs = 0;
    const load = (): never => {
      runs += 1;
      throw DOWN;
    };
    const call = (): Promise<unknown> =>
      cache.getOrSet("k", load, { onServed: ({ status, cause, error }) => served.push([status, cause, error]) });
    expect(await call()).toBe("old");
    clock.advance(499);
    expect(await call()).toBe("old");
    expect(runs).toBe(1);
    clock.advance(1);
    expect(await call()).toBe("old");
    expect(runs).toBe(2);
    expect(served).toEqual([
      ["stale", "error", DOWN],
      ["stale", "error", undefined],
      ["stale", "error", DOWN],
    ]);
  });

  const paths: [string, number, Policy, boolean, LoadContext["reason"]][] = [
    ["in the foreground", 200, { staleIfError: 1_000 }, false, "stale"],
    ["in the background", 100, { staleWhileRevalidate: 1_000 }, true, "stale"],
    ["ahead of expiry", 80, { refreshAhead: 0.8 }, true, "refresh-ahead"],
    ["forced", 50, {}, false, "forced"],
  ];
  it.for(paths)(
    "C17 C20 a load %s receives the replaced value and whether a caller waits",
    async ([, afterMs, policy, background, reason]) => {
      const { cache, clock } = open(stack, { ttl: 100, ...policy });
      await cache.set("k", "old", { etag: '"1"', lastModified: "yesterday" });
      clock.advance(afterMs);
      const seen: LoadContext[] = [];
      const answer = await cache.getOrSet(
        "k",
        (ctx) => {
          seen.push(ctx);
          return "new";
        },
        { forceRefresh: reason === "forced" },
      );
      await cache.drain();
      expect(answer).toBe(background ? "old" : "new");
      expect(seen).toHaveLength(1);
      const [{ key, stale, signal, ...rest }] = seen as [LoadContext];
      expect([key, rest.background, rest.reason]).toEqual(["k", background, reason]);
      expect(signal).toBeInstanceOf(AbortSignal);
      expect(signal.aborted).toBe(false);
      expect(stale).toMatchObject({ value: "old", etag: '"1"', lastModified: "yesterday" });
      expect(await cache.get("k")).toBe("new");
    },
  );

  it.for(paths.filter(([, , , , reason]) => reason !== "forced"))(
    "C18 notModified %s keeps value and tags and makes the entry fresh again",
    async ([, afterMs, policy, background]) => {
      const { cache, clock } = open(stack, { ttl: 100, ...policy });
      const results: string[] = [];
      cache.on("load", ({ result }) => results.push(result));
      await cache.set("k", { name: "Ada" }, { etag: '"1"', lastModified: "yesterday", tags: ["t"] });
      clock.advance(afterMs);
      expect(await cache.getOrSet("k", ({ stale }) => stale!.notModified())).toEqual({ name: "Ada" });
      if (background) await cache.drain();
      expect(results).toEqual(["not-modified"]);
      expect(await cache.get("k")).toEqual({ name: "Ada" });
      expect(await cache.inspect("k")).toMatchObject({
        state: "fresh",
        ageMs: 0,
        freshForMs: 100,
        tags: ["t"],
        etag: '"1"',
        lastModified: "yesterday",
      });
      await cache.invalidateTags("t");
      expect(await cache.get("k", { allowStale: true })).toBe(undefined);
    },
  );

  it("C18 notModified applies the options that the loader set", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: 1_000 });
    await cache.set("k", "Ada", { etag: '"1"', tags: ["old"] });
    clock.advance(100);
    await cache.getOrSet(
      "k",
      ({ stale, setOptions }) => {
        setOptions({ ttl: 700, tags: ["new"], etag: '"2"' });
        return stale!.notModified();
      },
      { tags: ["call"] },
    );
    const info = await cache.inspect("k");
    expect(info).toMatchObject({ freshForMs: 700, etag: '"2"' });
    expect(info?.tags.toSorted()).toEqual(["call", "new", "old"]);
  });

  it("C18 notModified puts an entry that was marked stale by tag under the current tag versions", async () => {
    const { cache } = open(stack, { ttl: 100, staleWhileRevalidate: 1_000 });
    await cache.set("k", "Ada", { tags: ["t"] });
    await cache.markTagsStale("t");
    expect(await cache.get("k")).toBe(undefined);
    expect(await cache.getOrSet("k", ({ stale }) => stale!.notModified())).toBe("Ada");
    await cache.drain();
    expect(await cache.get("k")).toBe("Ada");
    expect(await cache.inspect("k")).toMatchObject({ state: "fresh", tags: ["t"] });
  });

  it.for([
    ["invalidateTags", "tags"],
    ["markTagsStale", "tags"],
    ["delete", "delete"],
    ["markStale", "stale"],
    ["clear", "clear"],
    ["set", "set"],
  ] as const)("C18 notModified does not bring back an entry after %s during the load", async ([mutation, by]) => {
    const { cache, clock } = open(stack, { ttl: 100, staleIfError: 10_000 });
    const fenced: string[] = [];
    cache.on("fenced", (event) => fenced.push(event.by));
    await cache.set("k", "Ada", { tags: ["t"] });
    clock.advance(100);
    const loading = gate();
    const answer = cache.getOrSet("k", async ({ stale }) => {
      await loading.pass();
      return stale!.notModified();
    });
    await loading.arrived();
    if (mutation === "invalidateTags" || mutation === "markTagsStale") await cache[mutation]("t");
    else if (mutation === "set") await cache.set("k", "Grace");
    else await (mutation === "clear" ? cache.clear() : cache[mutation]("k"));
    loading.open();
    expect(await answer).toBe("Ada");
    expect(fenced).toEqual([by]);
    expect(await cache.get("k")).toBe(mutation === "set" ? "Grace" : undefined);
  });

  it("C20 ctx.key is the caller's key in every namespace", async () => {
    const { cache } = open(stack);
    const keys: string[] = [];
    const load = ({ key }: LoadContext): number => keys.push(key);
    await cache.getOrSet("a:b::c", load);
    await cache.namespace("n").namespace("m").getOrSet("a:b::c", load);
    expect(keys).toEqual(["a:b::c", "a:b::c"]);
  });

  it("C20 ctx.signal first read after an abort is already aborted", async () => {
    const { cache, clock } = open(stack, { loadTimeout: 100 });
    const loading = gate();
    let late: AbortSignal | undefined;
    const call = cache.getOrSet("k", async (ctx) => {
      await loading.pass();
      late = ctx.signal;
    });
    await loading.arrived();
    clock.advance(100);
    await expect(call).rejects.toMatchObject({ code: "LOAD_TIMEOUT" });
    loading.open();
    await flush();
    expect(late?.aborted).toBe(true);
    expect(late?.reason).toMatchObject({ code: "LOAD_TIMEOUT" });
  });
});

describe.each(STACKS_WITH_BACKEND)("between two processes over %s", (stack) => {
  it("C17 C19 validators and the stale value that another process stored reach the loader", async () => {
    const { cache: writer, clock, backend } = open("backend", { ttl: 100, staleIfError: 1_000 });
    await writer.getOrSet(
      "k",
      (ctx) => (ctx.setOptions({ etag: 'W/"1"', lastModified: "yesterday", tags: ["t"] }), { name: "Ada" }),
    );
    clock.advance(100);
    const { cache } = open(stack, { clock, backend, ttl: 100, staleIfError: 1_000 });
    const seen: unknown[] = [];
    expect(
      await cache.getOrSet("k", ({ stale, reason }) => {
        seen.push(reason, stale?.value, stale?.etag, stale?.lastModified);
        return stale!.notModified();
      }),
    ).toEqual({ name: "Ada" });
    expect(seen).toEqual(["stale", { name: "Ada" }, 'W/"1"', "yesterday"]);
    expect(await writer.inspect("k")).toMatchObject({
      state: "fresh",
      freshForMs: 100,
      etag: 'W/"1"',
      lastModified: "yesterday",
      tags: ["t"],
    });
    expect(await writer.get("k")).toEqual({ name: "Ada" });
  });

  it.each([
    ["does not bring back an entry whose tag", "t", undefined],
    ["is stored when an unrelated tag", "else", "Ada"],
  ])("C18 notModified %s another process invalidated during the load", async (_, invalidated, left) => {
    const { cache: other, clock, backend } = open("backend", { ttl: 100, staleIfError: 1_000 });
    await other.set("k", "Ada", { tags: ["t"] });
    clock.advance(100);
    const { cache } = open(stack, { clock, backend, ttl: 100, staleIfError: 1_000 });
    const loading = gate();
    const answer = cache.getOrSet("k", async ({ stale }) => {
      await loading.pass();
      return stale!.notModified();
    });
    await loading.arrived();
    await other.invalidateTags(invalidated);
    loading.open();
    expect(await answer).toBe("Ada");
    expect([await other.get("k"), await other.get("k", { allowStale: true })]).toEqual([left, left]);
  });

  it("C13 a value with too many bytes of validators to store is returned, reported, and kept in memory alone", async () => {
    const { cache, stored } = open(stack);
    const errors: CacheEvents["backend:error"][] = [];
    const results: string[] = [];
    cache.on("backend:error", (event) => errors.push(event));
    cache.on("load", ({ result }) => results.push(result));
    const etag = "t".repeat(8 * 2 ** 20);
    expect(await cache.getOrSet("k", (ctx) => (ctx.setOptions({ etag }), 1))).toBe(1);
    expect([errors.map(({ tier, error }) => [tier, error.code]), results]).toEqual([
      [["scripted", "ENCODE_FAILED"]],
      [stack === "backend" ? "refused" : "stored"],
    ]);
    expect([await cache.has("k"), stored()]).toEqual([stack !== "backend", []]);
    await expect(cache.set("k", 1, { etag })).rejects.toMatchObject({ code: "ENCODE_FAILED", tier: "scripted" });
    expect([await cache.has("k"), stored()]).toEqual([false, []]);
  });
});
