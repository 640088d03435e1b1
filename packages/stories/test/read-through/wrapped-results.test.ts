import { InvalidArgumentError } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { open, STACKS } from "../support/stacks.ts";

interface Page {
  readonly text: string;
  readonly forMs: number;
}
const reader = (runs: { count: number }) => async (id: number, text: string) => {
  runs.count += 1;
  return { text, forMs: id * 100 } satisfies Page;
};

describe.each(STACKS)("over %s", (stack) => {
  it("ttl of a wrapped function may depend on the value and the arguments", async () => {
    const { cache, clock } = open(stack, { ttl: 50 });
    const runs = { count: 0 };
    const seen: unknown[] = [];
    const page = cache.wrap(reader(runs), {
      name: "page",
      ttl: (value, ...args) => {
        seen.push([value.text, ...args]);
        return value.text === "of the namespace" ? undefined : value.forMs;
      },
    });
    await page(1, "a");
    await page(2, "b");
    await page(3, "of the namespace");
    const lives = async (): Promise<unknown[]> =>
      Promise.all(
        [page.key(1, "a"), page.key(2, "b"), page.key(3, "of the namespace")].map((key) => cache.inspect(key)),
      );
    expect(await lives()).toMatchObject([{ freshForMs: 100 }, { freshForMs: 200 }, { freshForMs: 50 }]);
    expect(seen).toEqual([
      ["a", 1, "a"],
      ["b", 2, "b"],
      ["of the namespace", 3, "of the namespace"],
    ]);
    clock.advance(100);
    await page(1, "a");
    await page(2, "b");
    expect(runs.count).toBe(4);
  });

  it("C2 refresh of what there is no more ends the value", async () => {
    const { cache } = open(stack);
    let found: string | undefined = "Ada";
    const user = cache.wrap(async (_id: number) => found, { name: "user", ttl: "1h" });
    expect(await user(1)).toBe("Ada");
    found = undefined;
    expect([await user.refresh(1), await user(1)]).toEqual([undefined, undefined]);
  });

  it("shouldStore says which values are stored; a value that is not leaves the one that was there", async () => {
    const { cache } = open(stack);
    const runs = { count: 0 };
    const page = cache.wrap(reader(runs), { name: "page", shouldStore: (value, id) => value.text !== "" && id !== 7 });
    expect(await page(1, "")).toEqual({ text: "", forMs: 100 });
    expect(await page(1, "")).toEqual({ text: "", forMs: 100 });
    await page(7, "a");
    await page(7, "a");
    await page(2, "b");
    await page(2, "b");
    expect(runs.count).toBe(5);
    expect(await cache.get(page.key(1, ""))).toBeUndefined();
    await cache.set(page.key(7, "a"), { text: "old", forMs: 1 });
    expect(await page.refresh(7, "a")).toMatchObject({ text: "a" });
    expect(await page(7, "a")).toMatchObject({ text: "old" });
  });

  it.each([
    ["ttl", { ttl: () => "soon" }],
    ["shouldStore", { shouldStore: () => "yes" }],
    ["shouldStore", { shouldStore: () => undefined }],
    ["tags", { tags: () => "t" }],
  ])("%s that gives anything else fails the load, and nothing is stored", async (option, options) => {
    const { cache } = open(stack);
    const wrapped = cache.wrap((id: number) => id, { name: "f", ...(options as object) });
    await expect(wrapped(1)).rejects.toSatisfy(
      (error) => error instanceof InvalidArgumentError && error.message.includes(option),
    );
    expect(await cache.get(wrapped.key(1))).toBeUndefined();
  });
});

it.each(["ttl", "shouldStore"])("%s of a wrapped function is checked where it is given", (option) => {
  const { cache } = open("memory");
  for (const given of [null, {}, true])
    expect(() => cache.wrap((id: number) => id, { name: "f", [option]: given as never })).toThrow(
      new RegExp(`${option} must be`),
    );
});
