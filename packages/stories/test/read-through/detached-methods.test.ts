import { memory } from "@hotset/memory";
import { createCache, type Cache } from "hotset";
import { expect, it } from "vitest";
import { open } from "../support/stacks.ts";

/** Every public method, with arguments that it accepts. */
const CALLS: { readonly [Method in keyof Cache]?: readonly unknown[] } = {
  getOrSet: ["k", () => 1],
  getOrSetMany: [["k"], String, () => new Map()],
  get: ["k"],
  getMany: [["k"]],
  peek: ["k"],
  has: ["k"],
  inspect: ["k"],
  explain: ["k"],
  set: ["k", 1],
  setMany: [[]],
  touch: ["k"],
  delete: ["k"],
  deleteMany: [["k"]],
  fence: ["k"],
  markStale: ["k"],
  invalidateTags: ["t"],
  markTagsStale: ["t"],
  clear: [],
  stats: [],
  on: ["get", () => undefined],
  namespace: ["n"],
  wrap: [() => 1, { name: "f" }],
  bypass: ["none"],
  connect: [],
  drain: [],
  close: [],
};

/** Methods that return a promise reject, and do not throw. */
const SYNCHRONOUS = ["peek", "explain", "stats", "on", "namespace", "wrap", "bypass"];

const failure = async (call: () => unknown): Promise<unknown> => {
  let answer: unknown;
  try {
    answer = call();
  } catch (error) {
    return { thrown: error };
  }
  return Promise.resolve(answer).then(
    (value) => ({ value }),
    (error: unknown) => ({ rejected: error }),
  );
};

it("a method called without its cache says how to call it, and every method does", async () => {
  const { cache } = open("memory");
  const methods = new Set<string>();
  for (let each: object = cache; each !== Object.prototype; each = Object.getPrototypeOf(each) as object)
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(each)))
      if (typeof value === "function") methods.add(name);
  methods.delete("constructor");
  expect(new Set(Object.keys(CALLS))).toEqual(methods);

  const others = [undefined, {}, Object.create(cache) as object, new Proxy(cache, {})];
  for (const [name, args] of Object.entries(CALLS))
    for (const other of others) {
      const method = cache[name as keyof Cache] as (this: unknown, ...args: unknown[]) => unknown;
      expect(await failure(() => method.call(other, ...args))).toMatchObject({
        [SYNCHRONOUS.includes(name) ? "thrown" : "rejected"]: {
          code: "INVALID_ARGUMENT",
          message: `${name} must be called as cache.${name}(...); to pass it on, write (...args) => cache.${name}(...args)`,
        },
      });
    }
  await cache.close();
});

it("a method taken off a namespace, or given to map, says the same", async () => {
  const { cache } = open("memory");
  const { get } = cache.namespace("users");
  const rejected = {
    rejected: { code: "INVALID_ARGUMENT", message: expect.stringMatching(/^get must be called as cache/) },
  };
  expect(await failure(() => get("1"))).toMatchObject(rejected);
  expect(await failure(() => Promise.all(["1", "2"].map(cache.get as never)))).toMatchObject(rejected);
});

it("a wrapped function that is called as a method gets its this, in a background load too", async () => {
  const { cache, clock } = open("memory", { ttl: 100, staleWhileRevalidate: 1_000 });
  class Prices {
    rate = 2;
    of = cache.wrap(
      function (this: Prices, cents: number): number {
        return cents * this.rate;
      },
      { name: "price" },
    );
  }
  const prices = new Prices();
  expect(await prices.of(10)).toBe(20);
  prices.rate = 3;
  expect(await prices.of.call(prices, 10)).toBe(20);
  expect(await prices.of.refresh.call(prices, 10)).toBe(30);
  prices.rate = 4;
  clock.advance(100);
  expect(await prices.of(10)).toBe(30);
  await cache.drain();
  expect(await prices.of(10)).toBe(40);
});

it("at run time undefined sets nothing, in every option of a cache", async () => {
  const nothing = (...names: string[]): never => Object.fromEntries(names.map((name) => [name, undefined])) as never;
  const policy = [
    ...["ttl", "staleWhileRevalidate", "staleIfError", "negativeTtl", "localTtl", "jitter", "refreshAhead"],
    ...["softTimeout", "hardTimeout", "loadTimeout", "errorBackoff"],
  ];
  const cache = createCache({
    ...(nothing("version", "maxLoads", "waitUntil", "maxBackgroundLoads", "maxWaiting", "logger") as object),
    ...(nothing("redactKeys", "explain", "freezeShared", "clock") as object),
    name: "shop",
  })
    .tier(memory(nothing("label", "maxEntries", "maxBytes", "maxEntryBytes", "sizeOf", "values", "eviction")))
    .defaults(nothing(...policy))
    .build();
  const users = cache.namespace<number>("users", nothing(...policy, "schema"));
  const call = ["tags", "forceRefresh", "maxAge", "current", "signal"];
  expect(await users.getOrSet("a", () => 1, nothing(...policy, ...call, "onServed"))).toBe(1);
  expect(await users.get("a", nothing("allowStale"))).toBe(1);
  const many = await users.getOrSetMany(["b"], String, () => new Map([["b", 2]]), nothing(...policy, ...call));
  expect([...many]).toEqual([["b", 2]]);
  await users.set("c", 3, nothing(...policy.slice(0, 6), "tags", "etag", "lastModified"));
  expect((await users.touch("c", nothing("ttl"))).status).toBe("touched");
  const double = users.wrap((n: number) => n * 2, { ...(nothing(...policy, "tags", "key") as object), name: "double" });
  expect(await double(2)).toBe(4);
  for (const key of ["a", "b", "c"]) expect((await users.inspect(key))?.freshForMs).toBeGreaterThan(59_000);
  await cache.close(nothing("timeout"));
});
