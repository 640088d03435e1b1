// Many keys at once: one query loads those that are missing.

import assert from "node:assert/strict";
import { createCache, keyOf, memory } from "hotset";

interface User {
  readonly id: number;
  readonly name: string;
  readonly org: string;
}
const table = new Map<number, User>([
  [1, { id: 1, name: "Ada", org: "acme" }],
  [2, { id: 2, name: "Bob", org: "acme" }],
  [3, { id: 3, name: "Cem", org: "bolt" }],
]);
const queries: string[] = [];
async function findUsers(ids: readonly number[]): Promise<readonly User[]> {
  queries.push(ids.join(","));
  return ids.flatMap((id) => table.get(id) ?? []);
}

await using cache = createCache({ name: "shop" }).tier(memory()).defaults({ ttl: "1m" }).build();

const findMany = (ids: readonly number[]): Promise<Map<number, User | null>> =>
  cache.getOrSetMany(
    ids,
    (id) => keyOf("user", id),
    async (missing) => {
      const found = new Map((await findUsers(missing)).map((user) => [user.id, user]));
      // `null` records that the user does not exist. Items that are left out are loaded again by the next call.
      return missing.map((id) => [id, found.get(id) ?? null] as const);
    },
    { tags: (_id, user) => (user === null ? [] : [`org:${user.org}`]) },
  );

assert.deepEqual(
  [...(await findMany([1, 2])).values()].map((user) => user?.name),
  ["Ada", "Bob"],
);
// In the order of the ids; 1 and 2 are cached already, and 3 is loaded once.
assert.deepEqual(
  [...(await findMany([3, 2, 9, 3, 1])).entries()].map(([id, user]) => `${id} ${user?.name}`),
  ["3 Cem", "2 Bob", "9 undefined", "1 Ada"],
);

await cache.invalidateTags("org:acme");
await findMany([1, 2, 3, 9]);

console.log(queries.join(" | "));
