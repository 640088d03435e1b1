/**
 * A deploy that changes the shape of cached values, with both releases running: here two caches in one program.
 *
 *     npm install hotset
 *     REDIS_URL=redis://localhost:6379 node shapes.ts
 */
import { createCache, memory, redis, type Cache } from "hotset";
import { shaped } from "hotset/shapes";

const keyPrefix = process.env["KEY_PREFIX"] ?? "hotset-examples";

function service(): Cache {
  const backend = redis(process.env["REDIS_URL"] ?? "redis://localhost:6379")
    .keyPrefix(keyPrefix)
    .build();
  return createCache({ name: "shapes" }).tier(memory()).tier(backend).defaults({ ttl: "10m" }).build();
}

await using before = service();
await using after = service();
await after.clear();
// With a schema of zod, valibot or arktype, `shape: "auto"` makes this text.
const oldProducts = shaped<{ readonly price: number }>(before, "products", { shape: "price" });
const newProducts = shaped<{ readonly cents: number }>(after, "products", { shape: "cents" });

let price = 199;
let loads = 0;
const inOld = () => oldProducts.getOrSet("lamp", () => ((loads += 1), { price: price / 100 }));
const inNew = () => newProducts.getOrSet("lamp", () => ((loads += 1), { cents: price }));

for (let times = 0; times < 3; times += 1) await Promise.all([inOld(), inNew()]);
console.log(`${JSON.stringify([await inOld(), await inNew()])}, ${loads} loads`);

price = 149;
const { status } = await oldProducts.delete("lamp");
console.log(`${status} by the old release`);
// Another process drops its copy when the message comes.
while ((await inNew()).cents !== 149) await new Promise((resolve) => void setTimeout(resolve, 5));
console.log(`${JSON.stringify([await inOld(), await inNew()])}, ${loads} loads`);
