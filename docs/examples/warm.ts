/**
 * A process that has in memory what others use before it takes traffic: here two caches in one program.
 *
 *     npm install hotset
 *     REDIS_URL=redis://localhost:6379 node warm.ts
 */
import { createCache, memory, redis, type Cache } from "hotset";
import { heartbeat, warm } from "hotset/inspect";

const keyPrefix = process.env["KEY_PREFIX"] ?? "hotset-examples";

function service(): Cache {
  const backend = redis(process.env["REDIS_URL"] ?? "redis://localhost:6379")
    .keyPrefix(keyPrefix)
    .build();
  return createCache({ name: "warm" }).tier(memory()).tier(backend).defaults({ ttl: "10m" }).build();
}

await using old = service();
await old.connect();
heartbeat(old, { every: "1s", hottest: 100 });
const products = old.namespace("products");
for (let id = 1; id <= 10; id += 1) await products.getOrSet(`p${id}`, () => ({ id }));

// Its callers, for as long as it takes until the record names the keys.
await using started = service();
const own = started.namespace("products");
let found = 0;
while (found < 10) {
  for (let id = 1; id <= 10; id += 1)
    for (let call = 0; call < 200; call += 1) await products.getOrSet(`p${id}`, () => ({ id }));
  await new Promise((resolve) => void setTimeout(resolve, 100));
  ({ found } = await warm(started, { from: "fleet", namespaces: [own], timeout: "3s" }));
}
console.log(`${found} products in memory before the first call: p7 is ${JSON.stringify(own.peek("p7"))}`);

const before = started.stats().loads;
await own.getOrSet("p7", () => ({ id: 7 }));
console.log(`${started.stats().loads - before} loads for it`);
