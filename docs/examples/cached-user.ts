/**
 * A cached user: read through memory and Redis, changed in the database first, then in the cache.
 *
 *     npm install hotset
 *     REDIS_URL=redis://localhost:6379 node cached-user.ts
 */
import { createCache, keyOf, memory, redis } from "hotset";

interface User {
  readonly id: number;
  readonly name: string;
}

/** Stands for a database. */
const table = new Map<number, User>([[123, { id: 123, name: "Ada" }]]);
const queries: number[] = [];
async function findUser(id: number): Promise<User | null> {
  queries.push(id);
  return table.get(id) ?? null;
}

await using cache = createCache({ name: "users" })
  .tier(memory({ maxEntries: 10_000 }))
  .tier(
    redis(process.env["REDIS_URL"] ?? "redis://localhost:6379")
      .keyPrefix(process.env["KEY_PREFIX"] ?? "hotset-examples")
      .build(),
  )
  // Fresh for an hour. For a day longer it is better than an error of the database. "No such user" lasts ten seconds.
  .defaults({ ttl: "1h", staleIfError: "1d", negativeTtl: "10s" })
  .build();
await cache.clear(); // what an earlier run may have left

const userOf = (id: number): Promise<User | null> => cache.getOrSet(keyOf("user", id, "profile"), () => findUser(id));

async function rename(id: number, name: string): Promise<void> {
  table.set(id, { id, name });
  await cache.delete(keyOf("user", id, "profile")); // in this process, in Redis, and in all other processes
}

// A page opens for fifty visitors at once: one query.
const visitors = await Promise.all(Array.from({ length: 50 }, () => userOf(123)));
console.log(`${visitors[0]?.name}: ${visitors.length} visitors, ${queries.length} query`);

// A user who is not there is remembered, too, so a wrong link does not ask the database each time.
console.log(await userOf(404), await userOf(404), `${queries.filter((id) => id === 404).length} query`);

// The old name is not read after the change.
await rename(123, "Ada Lovelace");
console.log((await userOf(123))?.name);

// Values that count as false are values: they are hits, not misses.
let computed = 0;
for (const [key, value] of Object.entries({ unread: 0, isAdmin: false, motto: "", roles: {} }))
  for (let read = 0; read < 2; read += 1) {
    await cache.getOrSet(`${key}:123`, () => {
      computed += 1;
      return value;
    });
  }
console.log(`4 values read twice, ${computed} computed`);
