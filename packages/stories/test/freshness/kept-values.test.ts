import { LoadTimeoutError, type LoadContext, type Served } from "@hotset/core";
import { flush } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { failing } from "../support/sources.ts";
import { never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";

describe.each(STACKS)("over %s", (stack) => {
  it("after its windows a value is kept for its loader alone: no call gets it, and a 304 makes it fresh again", async () => {
    const { cache, clock } = open(stack, { ttl: 100, staleWhileRevalidate: 20, staleIfError: 50, keepFor: 1_000 });
    await cache.set("k", "Ada", { etag: '"1"', tags: ["t"] });
    clock.advance(150);
    expect(await cache.get("k", { allowStale: true })).toBe(undefined);
    expect(cache.peek("k")).toBe(undefined);
    await expect(cache.getOrSet("k", failing())).rejects.toThrow("down");
    await expect(cache.getOrSet("k", failing())).rejects.toThrow("down");
    const slow = cache.getOrSet("k", () => new Promise(() => undefined), { softTimeout: 1, loadTimeout: 2 });
    slow.catch(() => undefined);
    await flush();
    clock.advance(2);
    await expect(slow).rejects.toThrow(LoadTimeoutError);
    clock.advance(900);
    const seen: unknown[] = [];
    const served: Served[] = [];
    const load = ({ stale, background }: LoadContext): never => {
      seen.push([stale?.value, stale?.etag, background]);
      return stale!.notModified() as never;
    };
    expect(await cache.getOrSet("k", load, { onServed: (each) => void served.push(each) })).toBe("Ada");
    expect(seen).toEqual([["Ada", '"1"', false]]);
    expect(served).toMatchObject([{ status: "miss", expiresInMs: 1_100 }]);
    expect(await cache.getOrSet("k", never)).toBe("Ada");
    expect(await cache.inspect("k")).toMatchObject({ etag: '"1"', tags: ["t"], freshForMs: 100, expiresInMs: 1_100 });
  });

  it("markStale, tags marked stale and touch leave a value to its loader for keepFor", async () => {
    const { cache, clock } = open(stack, { ttl: 100, keepFor: 1_000 });
    for (const [key, ttl] of [
      ["finite", 100],
      ["endless", Infinity],
    ] as const) {
      await cache.set(key, "Ada", { ttl, tags: [key] });
      clock.advance(50);
      expect(await cache.markStale(key)).toEqual({ status: "stale" });
      clock.advance(999);
      expect(await cache.get(key, { allowStale: true })).toBe(undefined);
      const load = ({ stale }: LoadContext): unknown => stale?.value;
      expect(await cache.getOrSet(key, load, { ttl, tags: [key] })).toBe("Ada");
      await cache.markTagsStale(key);
      expect(await cache.get(key, { allowStale: true })).toBe(undefined);
      expect(await cache.getOrSet(key, load, { ttl, tags: [key] })).toBe("Ada");
      await cache.touch(key, { ttl: 200 });
      clock.advance(1_199);
      expect(await cache.getOrSet(key, load)).toBe("Ada");
    }
  });

  it("delete and invalidateTags remove a value that is kept, and null is not kept", async () => {
    const { cache, clock } = open(stack, { ttl: 100, keepFor: 1_000 });
    const stale = (key: string): Promise<unknown> => cache.getOrSet(key, (ctx) => ctx.noStore([ctx.stale?.value]));
    for (const key of ["deleted", "tagged", "null", "kept"])
      await cache.set(key, key === "null" ? null : "Ada", { tags: [key] });
    clock.advance(100);
    await cache.delete("deleted");
    await cache.invalidateTags("tagged");
    expect(await Promise.all(["deleted", "tagged", "null", "kept"].map(stale))).toEqual([
      [undefined],
      [undefined],
      [undefined],
      ["Ada"],
    ]);
  });

  it("a ttl of 0 with keepFor stores a value that is stale from the beginning, and loads for each call", async () => {
    const { cache, clock } = open(stack, { staleIfError: 50 });
    let loads = 0;
    const load = ({ setOptions, stale }: LoadContext): unknown => {
      setOptions({ ttl: 0, keepFor: 1_000, etag: `"${(loads += 1)}"` });
      return String(stale?.etag);
    };
    expect(await cache.getOrSet("k", load)).toBe("undefined");
    expect(await cache.get("k")).toBe(undefined);
    expect(await cache.inspect("k")).toMatchObject({ state: "stale", ageMs: 0, freshForMs: 0, expiresInMs: 1_000 });
    expect(await cache.getOrSet("k", load)).toBe('"1"');
    clock.advance(49);
    expect(await cache.getOrSet("k", failing(), { errorBackoff: 0 })).toBe('"1"');
    clock.advance(1);
    await expect(cache.getOrSet("k", failing())).rejects.toThrow("down");
    expect(loads).toBe(2);
    expect(await cache.set("j", "Ada", { ttl: 0, keepFor: 10, staleWhileRevalidate: 5 })).toEqual({ status: "stored" });
    expect(await cache.getOrSet("j", () => "Bob")).toBe("Ada");
    await cache.drain();
    expect(await cache.get("j")).toBe("Bob");
    expect(await cache.set("j", "Ada", { ttl: 0 })).toEqual({ status: "refused" });
    expect(await cache.inspect("j")).toBe(undefined);
  });
});

it.each(STACKS_WITH_BACKEND)("over %s: another process has the value for its loader", async (stack) => {
  const { cache: writer, clock, backend } = open(stack);
  await writer.set("late", "Ada", { ttl: 100, keepFor: 1_000, etag: '"1"' });
  await writer.set("never", "Bob", { ttl: 0, keepFor: 1_000, etag: '"2"' });
  clock.advance(500);
  const { cache } = open(stack, { clock, backend });
  const seen = (key: string): Promise<unknown> => cache.getOrSet(key, ({ stale }) => [stale?.value, stale?.etag]);
  expect(await cache.get("late", { allowStale: true })).toBe(undefined);
  expect(await seen("late")).toEqual(["Ada", '"1"']);
  expect(await seen("never")).toEqual(["Bob", '"2"']);
});
