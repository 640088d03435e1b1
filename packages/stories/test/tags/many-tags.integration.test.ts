/** A call on very many tags over a real server, which serves others meanwhile. */
import { startOwnRedis } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { over, patient } from "../support/over-redis.ts";

it("C439 20,000 tags are invalidated over Redis, by scripts of at most 64 keys", { timeout: 120_000 }, async () => {
  await using server = await startOwnRedis();
  const cache = over(patient(server.url).build(), { stack: "memory over backend" });
  const other = over(patient(server.url).build());
  await Promise.all([cache.connect(), other.connect()]);
  const tags = Array.from({ length: 20_000 }, (_, i) => `tag ${i}`);
  const some = tags.slice(0, 100);
  const tagged = { tags: some };
  await cache.set("first", 1, tagged);
  await cache.set("last", 1, { tags: [tags.at(-1)!] });
  await cache.set("other", 1, { tags: ["no such tag"] });
  await server.command("CONFIG", "RESETSTAT");
  expect(await cache.invalidateTags(tags)).toMatchObject({ status: "done" });
  const scripts = (await server.info("commandstats"))["cmdstat_evalsha"]!;
  expect(Number(/calls=(\d+)/.exec(scripts)![1])).toBe(Math.ceil(tags.length / 63));
  const found = await other.getMany(["first", "last", "other"]);
  expect([...found]).toEqual([["other", 1]]);
  // A write under 100 tags, and a load whose loader adds them, need versions of as many.
  await cache.set("first", 2, tagged);
  const load = ({ setOptions }: { setOptions(options: typeof tagged): void }): number => {
    setOptions(tagged);
    return 3;
  };
  expect(await cache.getOrSet("loaded", load)).toBe(3);
  expect([await other.get("first"), await other.get("loaded")]).toEqual([2, 3]);
});
