import { createTestCache } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import type { LocalTier } from "../contracts/local-tier.ts";
import { keySpaceBelow, localKey, rootKeySpace, type KeySpace } from "../entry/key.ts";
import { JoinedKeys } from "./joined-keys.ts";

const root = rootKeySpace("shop");
const users = (): KeySpace => keySpaceBelow(root, "users");

/** With a tier of so many copies. */
function open(entryCount: number): {
  readonly tier: { entryCount: number };
  hits(space: KeySpace, names: string[]): void;
} {
  const tier = { entryCount };
  const keys = new JoinedKeys(tier as LocalTier);
  return {
    tier,
    // The last one of 32 is remembered.
    hits: (space, names) => {
      for (const name of names) for (let i = 0; i < 32; i += 1) keys.hit(space, name, localKey(space, name));
    },
  };
}
const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);

describe("joined keys", () => {
  it("are remembered for copies that are hit often", () => {
    const space = users();
    const { hits } = open(0);
    hits(space, ["1", "2"]);
    expect([...space.joined!]).toEqual([
      ["1", "\u0000users\u00001"],
      ["2", "\u0000users\u00002"],
    ]);
    const other = users();
    const keys = new JoinedKeys({ entryCount: 0 } as LocalTier);
    for (let i = 0; i < 31; i += 1) keys.hit(other, "1", localKey(other, "1"));
    expect(other.joined).toBe(undefined);
  });

  it("are all forgotten beyond 1,024 and two for each copy, over all namespaces", () => {
    const [space, orders] = [users(), keySpaceBelow(root, "orders")];
    const { hits, tier } = open(100);
    hits(space, numbered(1_000));
    hits(orders, numbered(224));
    expect([space.joined?.size, orders.joined?.size]).toEqual([1_000, 224]);
    hits(space, ["new"]);
    expect([space.joined?.size, orders.joined?.size]).toEqual([1, 0]);
    tier.entryCount = 0;
    hits(orders, numbered(1_023));
    expect([space.joined?.size, orders.joined?.size]).toEqual([1, 1_023]);
    hits(orders, ["new"]);
    expect([space.joined?.size, orders.joined?.size]).toEqual([0, 1]);
  });

  it("are shared by views of one namespace", () => {
    const [one, other] = [users(), users()];
    const { hits } = open(0);
    hits(one, ["1"]);
    hits(other, ["2"]);
    expect([...one.joined!.keys()]).toEqual(["1", "2"]);
    expect(other.joined).toBe(one.joined);
  });

  it("are not remembered for names of more than 256 characters", () => {
    const space = users();
    const { hits } = open(0);
    hits(space, ["x".repeat(257)]);
    expect(space.joined).toBe(undefined);
    hits(space, ["x".repeat(256)]);
    expect(space.joined?.size).toBe(1);
  });

  it("lead to the present copy, and to none once it is gone", async () => {
    await using cache = createTestCache({ ttl: "1m" });
    const view = cache.namespace("users");
    const peeked = () => Array.from({ length: 40 }, () => view.peek("1")).at(-1);
    await cache.set("1", "in the root");
    await view.set("1", "old");
    expect(peeked()).toBe("old");
    await view.set("1", "new");
    expect([peeked(), cache.namespace("users").peek("1"), cache.peek("1")]).toEqual(["new", "new", "in the root"]);
    await view.delete("1");
    expect([peeked(), await view.getOrSet("1", () => "loaded"), peeked()]).toEqual([undefined, "loaded", "loaded"]);
  });
});
