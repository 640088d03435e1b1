/** A caller that fills one list of tags for each of its calls. */
import { describe, expect, it } from "vitest";
import { open, STACKS } from "../support/stacks.ts";

describe.each(STACKS)("over %s", (stack) => {
  it("a loaded value has the tags that its call had, and not those of the next call", async () => {
    const { cache } = open(stack);
    const tags = ["user:1"];
    const first = cache.getOrSet("1", () => "Ada", { tags });
    tags[0] = "user:2";
    const second = cache.getOrSetMany([2], String, (missing) => missing.map((id) => [id, "Bob"] as const), { tags });
    tags[0] = "user:3";
    const third = cache.getOrSet("3", () => "Eve", { tags });
    tags[0] = "user:4";
    await Promise.all([first, second, third]);
    const keys = ["1", "2", "3"];
    expect(await Promise.all(keys.map(async (key) => (await cache.inspect(key))?.tags))).toEqual([
      ["user:1"],
      ["user:2"],
      ["user:3"],
    ]);
    await cache.invalidateTags("user:4");
    expect([...(await cache.getMany(keys)).keys()]).toEqual(keys);
    await cache.invalidateTags("user:1", "user:3");
    expect([...(await cache.getMany(keys)).keys()]).toEqual(["2"]);
  });

  it("two loads that name their tags in one list have each its own", async () => {
    const { cache } = open(stack);
    const tags: string[] = [];
    const load = (key: string): Promise<string> =>
      cache.getOrSet(key, (context) => {
        tags[0] = key;
        context.setOptions({ tags });
        return key;
      });
    await Promise.all(["1", "2", "3"].map(load));
    expect(await Promise.all(["1", "2", "3"].map(async (key) => (await cache.inspect(key))?.tags))).toEqual([
      ["1"],
      ["2"],
      ["3"],
    ]);
  });

  it("in a call of many keys the last one has the options of the call, too", async () => {
    const { cache } = open(stack, { ttl: 100 });
    const keys = Array.from({ length: 1_001 }, (_, i) => String(i));
    const options = { tags: ["old"], ttl: 1_000 };
    const change = (): void => {
      options.tags[0] = "new";
      options.ttl = 1;
    };
    const written = cache.setMany(
      keys.map((key) => [key, 1]),
      options,
    );
    change();
    await written;
    expect(await cache.inspect("1000")).toMatchObject({ tags: ["old"], freshForMs: 1_000 });
    options.tags[0] = "old";
    options.ttl = 1_000;
    const loaded = cache.getOrSetMany(
      keys,
      (key) => `l${key}`,
      (some) => some.map((key) => [key, 1] as const),
      options,
    );
    change();
    await loaded;
    expect(await cache.inspect("l1000")).toMatchObject({ tags: ["old"], freshForMs: 1_000 });
  });
});
