import { astroCache } from "@hotset/astro";
import { createCache, type Cache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { randomPrefix } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { expect, inject, it } from "vitest";

it("C578 C586: 40 requests over two sites make a page once; an invalidation in one ends it in both, and what is made", async () => {
  const prefix = randomPrefix();
  const caches: Cache[] = [];
  const build = () => {
    const backend = redis(inject("redisUrl")).keyPrefix(prefix).valueFormat(v8()).responseTimeout("15s").build();
    caches.push(createCache({ name: "site" }).tier(memory()).tier(backend).build());
    return caches.at(-1)!;
  };
  const sites = [astroCache(build)(undefined), astroCache(build)(undefined)];
  let leave = gate();
  let runs = 0;
  const next = async () => {
    const page = `${(runs += 1)}`;
    await leave.pass();
    return new Response(page, { headers: { "CDN-Cache-Control": "max-age=60", "Cache-Tag": "pages" } });
  };
  const get = async (site: number, path = "/"): Promise<string> => {
    const request = new Request(`https://site.example${path}`);
    return (await sites[site]!.onRequest({ request, url: new URL(request.url) }, next)).text();
  };
  const asked = Array.from({ length: 40 }, (_, i) => get(i % 2));
  await expect.poll(() => caches.every((cache) => cache.stats().waiting === 20)).toBe(true);
  leave.open();
  expect(new Set(await Promise.all(asked))).toEqual(new Set(["1"]));
  await sites[0]!.invalidate({ tags: "pages" });
  await expect.poll(() => get(1)).toBe("2");
  await sites[1]!.invalidate({ path: "/" });
  await expect.poll(() => get(0)).toBe("3");

  leave = gate();
  const crossed = get(0, "/a");
  await leave.arrived();
  await sites[1]!.invalidate({ tags: "pages" });
  leave.open();
  expect([await crossed, await get(1, "/a")]).toEqual(["4", "5"]);
  await Promise.all(caches.map((cache) => cache.close()));
});
