/** Two caches over one SQLite file, one PostgreSQL, or one Redis in each layout: fences, and marks with an end. */
import { join } from "node:path";
import { json, systemClock, type Backend, type Cache, type Fence } from "@hotset/core";
import { postgres } from "@hotset/postgres";
import { redis } from "@hotset/redis";
import { sqlite } from "@hotset/sqlite";
import { randomPrefix, startOwnRedis, startPostgres, temporaryDirectory } from "@hotset/test-servers";
import { createTestCache } from "@hotset/testing";
import { afterAll, expect, it } from "vitest";

const [postgresServer, redisServer] = await Promise.all([startPostgres(), startOwnRedis()]);
afterAll(() => Promise.all([postgresServer.stop(), redisServer.stop()]));

const STORES: readonly (readonly [string, () => Promise<() => Backend>])[] = [
  [
    "SQLite",
    async () => {
      const file = join(await temporaryDirectory("fences"), "cache.db");
      return () => sqlite(file);
    },
  ],
  [
    "PostgreSQL",
    async () => {
      const schema = randomPrefix();
      // A server that waits for a processor is late, and not lost.
      return () => postgres({ url: postgresServer.url, schema, deadline: "1m" });
    },
  ],
  ...(["full", "string"] as const).map(
    (layout) =>
      [
        `Redis, ${layout}`,
        async () => {
          const prefix = randomPrefix();
          const patient = redis(redisServer.url).responseTimeout("1m").connectTimeout("1m");
          return () => patient.keyPrefix(prefix).valueFormat(json()).layout(layout).build();
        },
      ] as const,
  ),
];

const CHANGES: readonly ((cache: Cache) => Promise<unknown>)[] = [
  (cache) => cache.delete("k"),
  (cache) => cache.markStale("k"),
  (cache) => cache.set("k", "theirs"),
  (cache) => cache.invalidateTags("t"),
  (cache) => cache.clear(),
];

const pair = (backend: () => Backend): [Cache, Cache] =>
  [0, 1].map(() => createTestCache({ clock: systemClock, backend: backend(), ttl: "1h" })) as [Cache, Cache];

it.each(STORES)("C591: what one cache changes, fences of the other see: %s", async (_, start) => {
  const backend = await start();
  const [a, b] = [1, 2].map(() =>
    createTestCache({ clock: systemClock, backend: backend(), local: false, ttl: "1h", staleIfError: "1h" }),
  ) as [Cache, Cache];
  for (const change of CHANGES) {
    const since = await a.fence("k");
    await change(b);
    const left = await b.get("k");
    expect(await a.set("k", "before", { since, tags: ["t"] })).toEqual({ status: "refused" });
    await expect.poll(async () => [await a.get("k"), await b.get("k")]).toEqual([left, left]);
  }
  const since = await a.fence("k");
  expect(await a.set("k", "new", { since, tags: ["t"] })).toEqual({ status: "stored" });
  await expect.poll(async () => b.get("k")).toBe("new");
  await Promise.all([a.close(), b.close()]);
});

it.each(STORES)(
  "C591: an entry that ends under a fence is no change, a delete after its end is: %s",
  async (_, start) => {
    const [a, b] = pair(await start());
    await Promise.all([a.connect(), b.connect()]);
    for (const isChanged of [false, true]) {
      let since: Fence | undefined;
      // A busy machine may take longer than the entry lives.
      await expect
        .poll(async () => {
          await b.set("k", "old", { ttl: "2s" });
          since = await a.fence("k");
          return [await a.get("k"), await b.get("k")];
        })
        .toEqual(["old", "old"]);
      await expect.poll(async () => [await a.get("k"), await b.get("k")]).toEqual([undefined, undefined]);
      if (isChanged) await b.delete("k");
      expect(await a.set("k", "new", { since })).toEqual({ status: isChanged ? "refused" : "stored" });
      await expect.poll(async () => b.get("k")).toBe(isChanged ? undefined : "new");
    }
    await Promise.all([a.close(), b.close()]);
  },
);

it.each(STORES)("a fence knows of changes by others as they are reported, and of no own ones: %s", async (_, start) => {
  const [a, b] = pair(await start());
  // Before changes are reported one may be missed: a fence from then is not current any more once they are.
  await Promise.all([a.connect(), b.set("other", 1)]);
  await expect.poll(async () => a.get("other")).toBe(1);
  let fence!: { readonly isUnchanged: boolean };
  let n = 1;
  // Where the link has no processor for a while, changes may be missed: then one is not current either.
  await expect
    .poll(async () => {
      fence = (await a.fence("k")) as unknown as typeof fence;
      for (const until = n + 2; n < until;) {
        n += 1;
        await b.set("other", n);
        await expect.poll(async () => a.get("other")).toBe(n);
      }
      return fence.isUnchanged;
    })
    .toBe(true);
  await b.delete("k");
  await expect.poll(() => fence.isUnchanged).toBe(false);
  await Promise.all([a.close(), b.close()]);
});
