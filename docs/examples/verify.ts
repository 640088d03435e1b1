// A cache that compares its fresh hits with the source: three mistakes that no hit ratio shows.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { createCache, memory } from "hotset";

await using cache = createCache({
  name: "shop",
  // Each hit, and without a pause. In production leave these out: one hit in a thousand, and 60 loads a minute.
  verify: { share: 1, maxPerMinute: Infinity, settle: 100 },
})
  .tier(memory())
  .defaults({ ttl: "10m" })
  .build();

const found: string[] = [];
cache.on("mismatch", ({ namespace, key, fields, verdict, why = "" }) => {
  found.push(`${[...namespace, key].join(" › ")}: ${fields.join(", ")} ${verdict} ${why}`.trim());
});

// The source: prices and carts.
const cents = new Map([["kettle", 4_900]]);
const loadProduct = async (id: string) => ({ id, cents: cents.get(id) });

// 1. The same product in two namespaces, and a change that deletes it in one of them.
const catalog = cache.namespace("catalog");
const checkout = cache.namespace("checkout");
for (const each of [catalog, checkout]) await each.getOrSet("product:kettle", () => loadProduct("kettle"));
await sleep(10);
cents.set("kettle", 3_900);
await catalog.delete("product:kettle");
await checkout.getOrSet("product:kettle", () => loadProduct("kettle"));
await sleep(300);

// 2. What belongs to a user, under a key that all users share.
const cartOf = (user: string) => cache.getOrSet("cart:current", () => ({ user, lines: 2 }));
for (const user of ["ada", "bob"]) await cartOf(user);
await sleep(10);
await cartOf("eve");
await sleep(300);

// 3. A delete before the write: a load between them has the old value.
await catalog.getOrSet("product:kettle", () => loadProduct("kettle"));
await catalog.delete("product:kettle");
await catalog.getOrSet("product:kettle", () => loadProduct("kettle"));
cents.set("kettle", 2_900);
await catalog.getOrSet("product:kettle", () => loadProduct("kettle"));
await sleep(300);

assert.deepEqual(found, [
  "checkout › product:kettle: cents wrong other-namespace",
  "cart:current: user wrong shared-key",
  "catalog › product:kettle: cents wrong early-delete",
]);
console.log(found.join("\n"));
