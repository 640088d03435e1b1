/** A process that warms itself over a real Redis: what it reads, and that a change ends what it has read. */
import { createCache, json, type Cache } from "@hotset/core";
import { heartbeat, warm } from "@hotset/core/inspect";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { startOwnRedis, until } from "@hotset/test-servers";
import { afterAll, expect, it, onTestFinished } from "vitest";
import { never } from "../support/stacks.ts";

const server = await startOwnRedis();
afterAll(() => server.stop());

function open(): Cache {
  const backend = redis(server.url).valueFormat(json()).responseTimeout("20s").connectTimeout("20s").build();
  const cache = createCache({ name: "shop" }).tier(memory()).tier(backend).defaults({ ttl: "10m" }).build();
  onTestFinished(() => cache.close({ timeout: 0 }));
  return cache;
}

it("a process has in memory what others hit, and drops what they change afterwards", async () => {
  const old = open();
  await old.connect();
  heartbeat(old, { every: "1s", hottest: 100 });
  const products = old.namespace("products");
  const hit = async (): Promise<void> => {
    for (let id = 0; id < 20; id += 1)
      for (let call = 0; call < 100; call += 1) await products.getOrSet(`p${id}`, () => `product ${id}`);
  };
  const next = open();
  const own = next.namespace("products");
  await until("a record that names all keys", async () => {
    await hit();
    const { found, ended } = await warm(next, { from: "fleet", namespaces: [own], timeout: "20s" });
    return found === 20 && ended === "done";
  });
  // Nothing is loaded, and Redis is not read.
  const { latency } = next.stats().tiers[1]!;
  for (let id = 0; id < 20; id += 1) expect(await own.getOrSet(`p${id}`, never)).toBe(`product ${id}`);
  expect(next.stats().tiers[1]!.latency.read.count).toBe(latency.read.count);

  await products.set("p7", "changed");
  await until("the change", async () => (await own.getOrSet("p7", never)) === "changed");
  await old.close();
  expect(await warm(open(), { from: "fleet" })).toMatchObject({ read: 0, processes: 0, ended: "done" });
});
