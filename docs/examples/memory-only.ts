// Memory alone, for one process: ten callers at once, one load.

import assert from "node:assert/strict";
import { createCache, memory } from "hotset";

await using cache = createCache({ name: "shop" })
  .tier(memory({ maxEntries: 1_000 }))
  .defaults({ ttl: "1m" })
  .build();

let queries = 0;
async function findUser(id: number): Promise<{ readonly id: number; readonly name: string }> {
  queries += 1;
  return { id, name: "Ada" };
}

const callers = Array.from({ length: 10 }, () => cache.getOrSet("user:1", () => findUser(1)));
const users = await Promise.all(callers);
assert.deepEqual(new Set(users.map(({ name }) => name)), new Set(["Ada"]));
assert.equal(queries, 1);

// Later calls find it in memory; `peek` even without a promise.
assert.equal((await cache.getOrSet("user:1", () => findUser(1))).name, "Ada");
assert.deepEqual(cache.peek("user:1"), { id: 1, name: "Ada" });

await cache.delete("user:1");
assert.equal(cache.peek("user:1"), undefined);

const { hits, misses, loads, coalesced } = cache.stats();
console.log(`${hits} hits, ${misses} misses, ${coalesced} of them on another caller's load, ${loads} load`);
