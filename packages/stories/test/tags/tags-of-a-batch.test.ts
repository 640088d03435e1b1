/** Tags of the values that a batch loads: one function for all of them, as `wrap` has. */
import { describe, expect, it } from "vitest";
import { never, open, STACKS } from "../support/stacks.ts";

interface User {
  readonly id: number;
  readonly org: string;
}

const keyOf = (id: number): string => `user:${id}`;
const findUsers = (ids: readonly number[]): (readonly [number, User])[] =>
  ids.map((id) => [id, { id, org: id < 3 ? "acme" : "bolt" }] as const);

describe.each(STACKS)("over %s", (stack) => {
  it("an entry of a batch has the tags of the function, and a tag call ends it for single calls too", async () => {
    const { cache } = open(stack);
    await cache.getOrSetMany([1, 2, 3], keyOf, findUsers, { tags: (id, { org }) => [`user:${id}`, `org:${org}`] });
    expect((await cache.inspect(keyOf(1)))?.tags).toEqual(["user:1", "org:acme"]);
    expect((await cache.inspect(keyOf(3)))?.tags).toEqual(["user:3", "org:bolt"]);
    await cache.invalidateTags("user:2", "org:bolt");
    expect(await cache.getOrSet(keyOf(1), never)).toEqual({ id: 1, org: "acme" });
    expect(await cache.getOrSet(keyOf(2), () => "loaded")).toBe("loaded");
    expect(await cache.getOrSet(keyOf(3), () => "loaded")).toBe("loaded");
  });

  it("they are added to those that the loader gives an item, whose other options stay", async () => {
    const { cache } = open(stack, { ttl: "1m" });
    await cache.getOrSetMany(
      [1, 2],
      keyOf,
      (missing, { setOptions }) => {
        setOptions(1, { ttl: "1s", tags: ["early"] });
        return findUsers(missing);
      },
      { tags: (id) => [`user:${id}`] },
    );
    expect(await cache.inspect(keyOf(1))).toMatchObject({ tags: ["early", "user:1"], freshForMs: 1_000 });
    expect(await cache.inspect(keyOf(2))).toMatchObject({ tags: ["user:2"], freshForMs: 60_000 });
  });

  it.for([
    ["throws", (): never => never(), /this loader must not run/],
    ["gives no list", () => "user:1" as never, /^tags must be an array like/],
    ["gives an empty tag", () => [""], /^tags must be non-empty/],
  ] as const)("a function that %s fails its item alone: the call rejects, the others are stored", async (row) => {
    const [, broken, message] = row;
    const { cache } = open(stack);
    const read = cache.getOrSetMany([1, 2], keyOf, findUsers, { tags: (id) => (id === 1 ? broken() : ["two"]) });
    await expect(read).rejects.toThrow(message);
    expect(await cache.inspect(keyOf(1))).toBe(undefined);
    expect((await cache.inspect(keyOf(2)))?.tags).toEqual(["two"]);
  });

  it("tags that are no list and no function are refused before the loader runs", async () => {
    const { cache } = open(stack);
    const read = cache.getOrSetMany([1], keyOf, never, { tags: "user" as never });
    await expect(read).rejects.toThrow(/^tags must be an array like \["users"\], got text of 4 characters/);
  });
});
