import { createCache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { expect, it, vi } from "vitest";

it.each([
  ["development", "refused"],
  ["production", 1],
] as const)("C206 in %s a hit with an unknown option is %s", async (env, answer) => {
  vi.stubEnv("NODE_ENV", env);
  await using cache = createCache({ name: "shop" }).tier(memory()).build();
  vi.unstubAllEnvs();
  await cache.set("k", 1);
  const call = cache
    .getOrSet("k", () => 2, { ttk: "1m" } as never)
    .catch((error: Error) => {
      expect(error.message).toMatch(/^options: unknown option "ttk".*did you mean ttl\?$/);
      return "refused";
    });
  expect(await call).toBe(answer);
  expect(await cache.getOrSet("k", () => 2, { ttl: "1m" })).toBe(1);
});

it("C206 an unknown option of a call, a cache, a policy and a tier is refused with what was probably meant", async () => {
  await using cache = createCache({ name: "shop" }).tier(memory()).build();
  await expect(cache.getOrSet("k", () => 1, { grace: "1m" } as never)).rejects.toThrow(/did you mean staleIfError\?$/);
  await expect(cache.set("k", 1, { tags: [], etagg: "" } as never)).rejects.toThrow(/did you mean etag\?$/);
  expect(() => createCache({ name: "shop", maxLoad: 1 } as never)).toThrow(/did you mean maxLoads\?$/);
  expect(() => createCache({ name: "shop" }).defaults({ swr: 1 } as never)).toThrow(
    /did you mean staleWhileRevalidate\?$/,
  );
  expect(() => memory({ max: 100 } as never)).toThrow(/did you mean maxEntries\?$/);
});
