/**
 * A bot asks for a thousand ids that don't exist. The budget of new keys answers all of it, and keeps what is used.
 *
 *     npm install hotset
 *     REDIS_URL=redis://localhost:6379 node flood.ts
 */
import { createCache, memory, redis } from "hotset";

const keyPrefix = process.env["KEY_PREFIX"] ?? "hotset-examples";
const backend = redis(process.env["REDIS_URL"] ?? "redis://localhost:6379")
  .keyPrefix(keyPrefix)
  .build();
await using cache = createCache({ name: "flood" })
  .tier(memory({ maxEntries: 100 }))
  .tier(backend)
  .defaults({ ttl: "10m", negativeTtl: "1m" })
  .build();
const products = cache.namespace("products", {
  // One in 100 s, so that this program prints the same each time. Yours may be 50.
  newKeys: { perSecond: 0.01, burst: 20, admit: "second-miss" },
});

let queries = 0;
async function findProduct(id: string): Promise<{ readonly id: string } | null> {
  queries += 1;
  return id.startsWith("p") ? { id } : null;
}
const product = (id: string) => products.getOrSet(id, () => findProduct(id));

await products.clear();
for (let i = 0; i < 10; i += 1) await product(`p${i}`);

await Promise.all(Array.from({ length: 1_000 }, (_, i) => product(`random-${i}`)));
console.log(`${products.stats().unadmitted} of 1,010 new keys were kept nowhere`);

queries = 0;
for (let i = 0; i < 10; i += 1) await product(`p${i}`);
console.log(`after the flood, ten products took ${queries} queries`);

await product("p-new");
await product("p-new");
await product("p-new");
console.log(`a new product took ${queries} queries: its second miss was stored`);
