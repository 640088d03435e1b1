import { flush } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { never, open, STACKS } from "../support/stacks.ts";

interface Query {
  page: number;
  filter: { ids: number[]; since: Date };
}
const query = (page: number): Query => ({ page, filter: { ids: [page], since: new Date(page) } });
const text = (page: number): string => JSON.stringify(query(page));

/** Turns the page, as a caller does that keeps one object for all of its calls. */
function turn(given: Query, page: number): void {
  given.page = page;
  given.filter.ids[0] = page;
  given.filter.since.setTime(page);
}

describe.each(STACKS)("over %s", (stack) => {
  it("a call of a wrapped function loads for the arguments that it had, and not for those of the next call", async () => {
    const { cache } = open(stack);
    const list = cache.wrap((given: Query): string => JSON.stringify(given), {
      name: "list",
      tags: (_, { page }) => [`page:${page}`],
    });
    const given = query(1);
    const first = list(given);
    turn(given, 2);
    const second = list(given);
    turn(given, 3);
    const third = list.refresh(given);
    turn(given, 4);
    expect(await Promise.all([first, second, third])).toEqual([1, 2, 3].map(text));
    for (const page of [1, 2, 3]) {
      expect(await cache.get(list.key(query(page)))).toBe(text(page));
      expect((await cache.inspect(list.key(query(page))))?.tags).toEqual([`page:${page}`]);
    }
  });

  it("a refresh in the background loads for the arguments of its call, though the caller has its answer", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 1_000 });
    const list = cache.wrap((given: Query): string => JSON.stringify(given), { name: "list" });
    const given = query(1);
    await cache.set(list.key(given), "old");
    clock.advance(100);
    expect(await list(given)).toBe("old");
    turn(given, 2);
    await flush();
    expect(await cache.getOrSet(list.key(query(1)), never)).toBe(text(1));
  });
});

it("a wrapped function gets plain arguments as they were, odd names and prototypes included", async () => {
  const { cache } = open("memory");
  const seen: unknown[] = [];
  const wrapped = cache.wrap(
    (...given: string[]): number => {
      seen.push(...given);
      return 1;
    },
    { name: "odd" },
  ) as (...given: readonly unknown[]) => Promise<number>;
  const odd: unknown = JSON.parse('{ "__proto__": { "admin": true }, "toString": 1 }');
  const bare: unknown = Object.assign(Object.create(null) as object, { a: [undefined, null, 5n, -0] });
  await wrapped(odd, bare, [], "text", undefined);
  expect(seen).toStrictEqual([odd, bare, [], "text", undefined]);
  expect(Object.getPrototypeOf(seen[0])).toBe(Object.prototype);
  expect(Object.getPrototypeOf(seen[1])).toBe(null);
  expect(seen[0]).not.toBe(odd);
});

it("a wrapped function with a key of its own gets the very arguments of the call", async () => {
  const { cache } = open("memory");
  const given = { id: 1, connection: new WeakMap() };
  const wrapped = cache.wrap((each: typeof given) => cache.namespace("seen").set("same", each === given), {
    name: "own key",
    key: ({ id }) => String(id),
  });
  await wrapped(given);
  expect(cache.namespace("seen").peek("same")).toBe(true);
});
