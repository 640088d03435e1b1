import { createCache, json } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { memory } from "@hotset/memory";
import { fromClient, redis } from "@hotset/redis";
import { redis as redisOfHotset } from "hotset";
import { createClient } from "redis";
import { expect, it, vi } from "vitest";

it.each([
  ["development", "refused"],
  ["production", 1],
] as const)("in %s a hit with an unknown option is %s", async (env, answer) => {
  vi.stubEnv("NODE_ENV", env);
  await using cache = createCache({ name: "shop" }).tier(memory()).build();
  vi.unstubAllEnvs();
  await cache.set("k", 1);
  const call = cache
    .getOrSet("k", () => 2, { ttk: "1m" } as never)
    .catch((error: Error) => {
      expect(error.message).toMatch(/^options: unknown option "ttk"; did you mean ttl\?; accepted: ttl, /);
      return "refused";
    });
  expect(await call).toBe(answer);
  expect(await cache.getOrSet("k", () => 2, { ttl: "1m" })).toBe(1);
});

it("an unknown option of a call, a cache, a policy and a tier is refused with what was probably meant", async () => {
  await using cache = createCache({ name: "shop" }).tier(memory()).build();
  await expect(cache.getOrSet("k", () => 1, { grace: "1m" } as never)).rejects.toThrow(/did you mean staleIfError\?; /);
  await expect(cache.set("k", 1, { tags: [], etagg: "" } as never)).rejects.toThrow(/did you mean etag\?; /);
  expect(() => createCache({ name: "shop", maxLoad: 1 } as never)).toThrow(/did you mean maxLoads\?; /);
  expect(() => createCache({ name: "shop" }).defaults({ swr: 1 } as never)).toThrow(
    /did you mean staleWhileRevalidate\?; /,
  );
  expect(() => memory({ max: 100 } as never)).toThrow(/did you mean maxEntries\?; /);
});

/** Without the types, which refuse it too. */
const untyped = (fn: unknown): ((...given: unknown[]) => unknown) => fn as never;
const shop = createCache({ name: "shop" });
const full = shop.tier(memory());

it.each<[string, () => unknown, string]>([
  ["redis", () => untyped(redis)("redis://localhost", { keyPrefix: "shop" }), "redis(url).keyPrefix(prefix)"],
  ["redis of hotset", () => untyped(redisOfHotset)("redis://localhost", { keyPrefix: "a" }), "keyPrefix(prefix)"],
  ["fromClient", () => untyped(fromClient)(createClient(), { keyPrefix: "shop" }), "keyPrefix(prefix)"],
  ["createCache", () => untyped(createCache)({ name: "shop" }, { maxLoads: 1 }), "one object of options"],
  ["tier", () => untyped(shop.tier.bind(shop))(memory(), memory()), "once for each tier"],
  ["defaults", () => untyped(shop.defaults.bind(shop))({ ttl: 1 }, { jitter: 0.1 }), "one object"],
  ["build", () => untyped(full.build.bind(full))({ ttl: 1 }), ".defaults(policy)"],
  ["memory", () => untyped(memory)({ maxEntries: 1 }, { maxBytes: 1 }), "one object of options"],
  ["msgpack", () => untyped(msgpack)({ useRecords: true }), "it has no options"],
  ["json", () => untyped(json)({ space: 2 }), "it has no options"],
  ["v8", () => untyped(v8)({ version: 1 }), "it has no options"],
])("%s refuses a further argument, and says where it belongs", (_, call, advice) => {
  expect(call).toThrow(
    expect.objectContaining({ name: "ConfigurationError", message: expect.stringContaining(advice) as string }),
  );
});

it("undefined sets nothing as a further argument either", () => {
  expect(() => untyped(memory)(undefined, undefined)).not.toThrow();
  expect(() => untyped(shop.tier.bind(shop))(memory(), undefined)).not.toThrow();
});
