/** `inherit`: what an entry takes over from the cached values that its loader got. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Cache } from "@hotset/core";
import { flush, gate, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { inStep } from "../support/processes.ts";
import { never, open, STACKS } from "../support/stacks.ts";

const INHERIT = { inherit: true } as const;

/** A page made of one product, which is fresh for 10 s and has a tag. */
const product = (cache: Pick<Cache, "getOrSet">): Promise<string> =>
  cache.getOrSet("product", () => "product", { ttl: "10s", tags: ["product:1"] });
const page = async (cache: Cache): Promise<string> => `page of ${await product(cache)}`;

describe.each(STACKS)("C454 over %s an entry with inherit", (stack) => {
  it("has the tags of what its loader got, loaded for it or found, and is fresh for no longer", async () => {
    const { cache, clock } = open(stack, { ttl: "1m" });
    expect(await cache.getOrSet("page", () => page(cache), INHERIT)).toBe("page of product");
    expect(await cache.inspect("page")).toMatchObject({ tags: ["product:1"], freshForMs: 10_000 });
    clock.advance("4s");
    await cache.getOrSet("second", () => page(cache), { ...INHERIT, tags: ["own"] });
    expect(await cache.inspect("second")).toMatchObject({ tags: ["own", "product:1"], freshForMs: 6_000 });
    await cache.invalidateTags("product:1");
    expect([await cache.get("page"), await cache.get("second")]).toEqual([undefined, undefined]);
  });

  it("without it, or with false, has its own alone; defaults, a namespace and wrap may say it", async () => {
    const { cache } = open(stack, { ttl: "1m", inherit: true });
    await cache.getOrSet("on", () => page(cache));
    await cache.getOrSet("off", () => page(cache), { inherit: false });
    expect([await cache.inspect("on"), await cache.inspect("off")]).toMatchObject([
      { tags: ["product:1"], freshForMs: 10_000 },
      { tags: [], freshForMs: 60_000 },
    ]);
    const plain = open(stack, { ttl: "1m" });
    await plain.cache.getOrSet("page", () => page(plain.cache));
    expect(await plain.cache.inspect("page")).toMatchObject({ tags: [], freshForMs: 60_000 });
    const pages = plain.cache.namespace("pages", INHERIT);
    await pages.getOrSet("page", () => page(plain.cache));
    expect(await pages.inspect("page")).toMatchObject({ tags: ["product:1"] });
    const wrapped = plain.cache.wrap(async (_id: number) => page(plain.cache), { ...INHERIT, name: "page" });
    await wrapped(1);
    expect(await plain.cache.inspect(wrapped.key(1))).toMatchObject({ tags: ["product:1"], freshForMs: 10_000 });
  });

  it.for<readonly [string, (cache: Cache) => Promise<unknown>]>([
    ["get", (cache) => cache.get("product")],
    ["getMany", (cache) => cache.getMany(["product", "none"])],
    ["getOrSetMany", (cache) => cache.getOrSetMany(["product"], (key) => key, never)],
    [
      "getOrSet with options that a plain hit does not take",
      (cache) => cache.getOrSet("product", never, { onServed: () => undefined }),
    ],
    ["a wrapped function", (cache) => cache.wrap(async () => product(cache), { ...INHERIT, name: "wrapped" })()],
  ])("inherits what it gets by %s", async ([, use]) => {
    const { cache } = open(stack, { ttl: "1m" });
    await product(cache);
    await cache.getOrSet("page", async () => ({ used: await use(cache) }), INHERIT);
    expect(await cache.inspect("page")).toMatchObject({ tags: ["product:1"], freshForMs: 10_000 });
  });

  it("keeps its limit when it is touched, and within it is touched like any other", async () => {
    const { cache, clock } = open(stack, { ttl: "1h" });
    await cache.set("product", 1, { ttl: "1m", tags: ["product"] });
    const made = await cache.getOrSet("page", () => cache.get("product"), { ...INHERIT, ttl: "10s" });
    expect(made).toBe(1);
    const touched = async (): Promise<unknown> => [
      await cache.touch("page", { ttl: "20s" }),
      await cache.inspect("page"),
    ];
    for (const [passed, freshForMs] of [
      [5, 20_000],
      [19, 20_000],
      [19, 17_000],
      [16, 1_000],
    ] as const) {
      clock.advance(passed * 1_000);
      expect(await touched()).toMatchObject([{ status: "touched" }, { freshForMs, tags: ["product"] }]);
    }
    clock.advance(1_000);
    expect(await touched()).toEqual([{ status: "missing" }, undefined]);
  });

  it("a batch: each of its entries inherits from all that the loader got", async () => {
    const { cache } = open(stack, { ttl: "1m" });
    const load = async (ids: readonly number[]): Promise<[number, string][]> => {
      await product(cache);
      return ids.map((id) => [id, `page ${id}`]);
    };
    await cache.getOrSetMany([1, 2], (id) => `page:${id}`, load, { ...INHERIT, tags: (id) => [`id:${id}`] });
    expect([await cache.inspect("page:1"), await cache.inspect("page:2")]).toMatchObject([
      { tags: ["id:1", "product:1"], freshForMs: 10_000 },
      { tags: ["id:2", "product:1"], freshForMs: 10_000 },
    ]);
    await cache.getOrSetMany([3], (id) => `page:${id}`, load);
    expect(await cache.inspect("page:3")).toMatchObject({ tags: [], freshForMs: 60_000 });
  });

  it("takes nothing of what a load inside it used, unless that inherits too", async () => {
    const { cache } = open(stack, { ttl: "1m" });
    const middle = (options: object) => cache.getOrSet("middle", () => page(cache), { tags: ["middle"], ...options });
    await cache.getOrSet("page", () => middle({}), INHERIT);
    expect(await cache.inspect("page")).toMatchObject({ tags: ["middle"], freshForMs: 60_000 });
    await Promise.all([cache.delete("page"), cache.delete("middle")]);
    await cache.getOrSet("page", () => middle(INHERIT), INHERIT);
    expect(await cache.inspect("page")).toMatchObject({ tags: ["middle", "product:1"], freshForMs: 10_000 });
  });

  it("inherits what a call inside it shares with another caller, and nothing of what that one gets", async () => {
    const { cache } = open(stack, { ttl: "1m" });
    const loading = gate<string>();
    const options = { ttl: "10s", tags: ["shared"] } as const;
    const first = cache.getOrSet("product", () => loading.pass(), options);
    await loading.arrived();
    const made = cache.getOrSet("page", () => cache.getOrSet("product", never, options), INHERIT);
    await flush();
    await cache.getOrSet("elsewhere", () => 1, { tags: ["elsewhere"] });
    loading.open("product");
    expect(await Promise.all([first, made])).toEqual(["product", "product"]);
    expect(await cache.inspect("page")).toMatchObject({ tags: ["shared"], freshForMs: 10_000 });
  });

  it.for<readonly [string, (cache: Cache) => Promise<unknown>]>([
    ["a stale value", (cache) => cache.get("stale", { allowStale: true })],
    [
      "a stale value that is refreshed",
      (cache) => cache.getOrSet("stale", () => "newer", { staleWhileRevalidate: "1h" }),
    ],
    [
      "a stale value in place of an error",
      (cache) => cache.getOrSet("stale", () => Promise.reject(new Error("down")), { staleIfError: "1h" }),
    ],
    ["a value of noStore", (cache) => cache.getOrSet("k", ({ noStore }) => noStore("not stored"))],
    ["a value of notShared", (cache) => cache.getOrSet("k", ({ notShared }) => notShared("mine"))],
    ["a value with a ttl of 0", (cache) => cache.getOrSet("k", () => 1, { ttl: 0 })],
    ["undefined, which is stored nowhere", (cache) => cache.getOrSet("k", () => undefined)],
  ])("made of %s is stored nowhere, and leaves what was there", async ([, use]) => {
    const { cache, clock } = open(stack, { ttl: "1m" });
    await cache.set("stale", "old", { ttl: "1s", staleWhileRevalidate: "1h", staleIfError: "1h" });
    await cache.set("page", "before", { ttl: "1s", staleWhileRevalidate: "1h" });
    clock.advance("2s");
    const results: string[] = [];
    cache.on("load", ({ key, result }) => void (key === "page" && results.push(result)));
    const load = async () => ({ used: await use(cache) });
    expect(await cache.getOrSet("page", load, { ...INHERIT, forceRefresh: true })).toHaveProperty("used");
    expect(results).toEqual(["no-store"]);
    expect(await cache.get("page", { allowStale: true })).toBe("before");
  });

  it("is stale when a tag that it inherits is marked stale", async () => {
    const { cache } = open(stack, { ttl: "1m", staleWhileRevalidate: "1h" });
    await cache.getOrSet("page", () => page(cache), INHERIT);
    await cache.markTagsStale("product:1");
    expect(await cache.inspect("page")).toMatchObject({ state: "stale" });
  });

  it.each(["before", "after"])(
    "is not stored where a tag that it inherits is invalidated meanwhile, %s the loader got the value",
    async (when) => {
      const { cache } = open(stack, { ttl: "1m" });
      const results: string[] = [];
      cache.on("load", ({ key, result }) => void (key === "page" && results.push(result)));
      await product(cache);
      const loading = gate();
      const load = async (): Promise<string> => {
        const early = when === "after" ? await page(cache) : undefined;
        await loading.pass();
        return early ?? page(cache);
      };
      const made = cache.getOrSet("page", load, INHERIT);
      await loading.arrived();
      await cache.invalidateTags("product:1");
      loading.open();
      expect([await made, await cache.get("page"), results]).toEqual(["page of product", undefined, ["fenced"]]);
    },
  );
});

describe("C454 what an entry inherits from elsewhere", () => {
  it("a namespace: the tags by name, so that a call of the cache reaches it, and one of that namespace does not", async () => {
    const { cache } = open("memory over backend", { ttl: "1m" });
    const [products, pages] = [cache.namespace("products"), cache.namespace("pages", INHERIT)];
    await pages.getOrSet("page", () => product(products));
    expect(await pages.inspect("page")).toMatchObject({ tags: ["product:1"], freshForMs: 10_000 });
    await products.invalidateTags("product:1");
    expect([await products.get("product"), await pages.get("page")]).toEqual([undefined, "product"]);
    await cache.invalidateTags("product:1");
    expect(await pages.get("page")).toBe(undefined);
  });

  it("another cache: its freshness alone, also where its clock differs", async () => {
    const { cache } = open("memory", { ttl: "1m" });
    const clock = new TestClock();
    clock.advance("5m");
    const other = open("memory", { name: "other", ttl: "1m", clock }).cache;
    await cache.getOrSet("page", () => product(other), INHERIT);
    expect(await cache.inspect("page")).toMatchObject({ tags: [], freshForMs: 10_000 });
    await cache.getOrSet("nested", () => other.getOrSet("of", () => page(cache)), INHERIT);
    expect(await cache.inspect("nested")).toMatchObject({ tags: [], freshForMs: 60_000 });
  });

  it("nothing outside of its load: a caller in the same request, and one whose async context is another", async () => {
    const { cache } = open("memory", { ttl: "1m" });
    const request = new AsyncLocalStorage<string>();
    await request.run("ada", async () => {
      const loading = gate<string>();
      const made = cache.getOrSet("page", () => loading.pass(), INHERIT);
      await product(cache);
      loading.open("page");
      await made;
    });
    expect(await cache.inspect("page")).toMatchObject({ tags: [], freshForMs: 60_000 });
  });
});

describe("an inherited tag that changes elsewhere", () => {
  it("after the loader got the value: the entry is stored nowhere", async () => {
    const { p1: here, p2: there } = await inStep();
    const loading = gate();
    const made = here.cache.getOrSet(
      "page",
      async () => {
        const found = await page(here.cache);
        await loading.pass();
        return found;
      },
      INHERIT,
    );
    await loading.arrived();
    await there.cache.invalidateTags("product:1");
    await flush();
    loading.open();
    expect(await made).toBe("page of product");
    expect([await here.cache.get("page"), await there.cache.get("page")]).toEqual([undefined, undefined]);
  });

  it.for<readonly [string, (there: Cache) => Promise<unknown>]>([
    ["invalidated", (there) => there.invalidateTags("product:1")],
    ["marked stale", (there) => there.markTagsStale("product:1")],
  ])("before the load, which gets an older copy as it does not know: %s", async ([, change]) => {
    const { p1: here, p2: there } = await inStep();
    await product(here.cache);
    here.link.hold();
    await change(there.cache);
    // Another tag: the versions are those of now, and the product is an older one.
    const load = async (): Promise<string> => `page of ${await here.cache.getOrSet<string>("product", never)}`;
    expect(await here.cache.getOrSet("page", load, { ...INHERIT, tags: ["another"] })).toBe("page of product");
    here.link.deliver();
    await flush();
    expect([await here.cache.get("page"), await there.cache.get("page")]).toEqual([undefined, undefined]);
  });

  it.for<readonly [string, (there: Cache) => Promise<unknown>]>([
    ["invalidated", (there) => there.invalidateTags("product:1")],
    ["marked stale", (there) => there.markTagsStale("product:1")],
    ["cleared with all others", (there) => there.clear()],
  ])("the same where nothing is reported, and localTtl ends an older copy: %s", async ([, change]) => {
    const { p1: here, p2: there } = await inStep({ localTtl: "10m", backend: { coherence: "none" } });
    await product(here.cache);
    await change(there.cache);
    await there.cache.set("newer", "newer", { tags: ["product:1"] });
    const results: string[] = [];
    here.cache.on("load", ({ result }) => results.push(result));
    const older = () => here.cache.getOrSet<string>("product", never);
    const newer = () => here.cache.get("newer");
    await here.cache.getOrSet("older", older, INHERIT);
    await here.cache.getOrSet("both", async () => [await newer(), await older()], INHERIT);
    await here.cache.getOrSet("both again", async () => [await older(), await newer()], INHERIT);
    await here.cache.getOrSet("newest", newer, INHERIT);
    expect(results).toEqual(["fenced", "fenced", "fenced", "stored"]);
    expect([...(await there.cache.getMany(["older", "both", "both again", "newest"]))]).toEqual([["newest", "newer"]]);
  });
});
