// Memory over Redis: a value that one process loads is found by the others; when one deletes it, the others drop their
// copies. REDIS_URL is the address of Redis.

import assert from "node:assert/strict";
import { createCache, memory, msgpack, redis, type Cache, type GetOrSetOptions } from "hotset";

const url = process.env["REDIS_URL"] ?? "redis://localhost:6379";
const keyPrefix = process.env["KEY_PREFIX"] ?? "hotset-examples";

/** Each process of the shop does this. The name is part of the keys: processes with the same name share entries. */
function openCache(): Cache {
  return createCache({ name: "shop" })
    .tier(memory())
    .tier(redis(url).keyPrefix(keyPrefix).valueFormat(msgpack()).build())
    .defaults({ ttl: "5m", staleIfError: "1h" })
    .build();
}

await using one = openCache();
await using other = openCache();
// Values read before the subscription to changes is in place are not kept, so a service connects when it starts.
await Promise.all([one.connect(), other.connect()]);
await one.delete("user:1"); // from an earlier run

let queries = 0;
const findUser = async (id: number): Promise<{ readonly id: number; readonly since: Date }> => {
  queries += 1;
  return { id, since: new Date("2024-02-29") };
};

async function ask(cache: Cache, options: GetOrSetOptions = {}): Promise<string> {
  let from = "";
  const user = await cache.getOrSet("user:1", () => findUser(1), {
    onServed: ({ status, tier }) => (from = `${status} ${tier ?? ""}`.trim()),
    ...options,
  });
  assert.equal(user.since.getUTCFullYear(), 2024); // MessagePack keeps dates
  return from;
}

console.log(await ask(one)); // loaded, and stored in both
await other.has("user:2"); // after one answer of Redis, the other has received the changes stored before
console.log(await ask(other)); // found in Redis, and kept in memory
console.log(await ask(other));
assert.equal(queries, 1);

// One deletes it, and the other is notified, usually within a millisecond. A current call does not wait for
// that: it cannot answer with older data.
const { status } = await one.delete("user:1");
console.log(status);
console.log(await ask(other, { current: true }));
assert.equal(queries, 2);
