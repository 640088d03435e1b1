import { expect, it } from "vitest";
import { OwnChanges } from "./own-changes.ts";

const shared = { cache: "shop", mode: "remove", origin: "here" } as const;
const changesOf = (...keys: readonly (readonly [namespace: string, key: string, at: number])[]): OwnChanges => {
  const changes = new OwnChanges();
  for (const [namespace, key, at] of keys) changes.add({ ...shared, namespace: [namespace], scope: "key", key }, at);
  return changes;
};

it("C742: own changes of a key are those of its namespace, and the last one elsewhere is that of another", () => {
  const changes = changesOf(["a", "p:1", 1], ["b", "p:1", 2], ["a", "p:1", 3], ["c", "p:1", 4], ["a", "p:1", 5]);
  expect([changes.of(["a"], "p:1"), changes.of(["b"], "p:1"), changes.of(["d"], "p:1")]).toEqual([5, 2, undefined]);
  expect(changes.elsewhere(["a"], "p:1", [])).toEqual({ namespace: ["c"], at: 4 });
  expect(changes.elsewhere(["d"], "p:1", [])).toEqual({ namespace: ["a"], at: 5 });
  expect(changesOf(["a", "p:1", 1]).elsewhere(["a"], "p:1", [])).toBeUndefined();
});

it("C742: a tag counts as a key does, by a name that means the same in two namespaces", () => {
  const changes = new OwnChanges();
  changes.add({ ...shared, namespace: ["a"], scope: "tags", tags: ["category:7", "all"] }, 1);
  expect(changes.elsewhere(["b"], "x", ["category:7"])).toEqual({ namespace: ["a"], at: 1 });
  expect(changes.elsewhere(["b"], "x", ["all"])).toBeUndefined();
  expect(changesOf(["a", "7", 1]).elsewhere(["b"], "7", [])).toBeUndefined();
});

it("C742: the oldest of more than 10,000 names are forgotten", () => {
  const changes = changesOf(...Array.from({ length: 10_001 }, (_, i) => ["a", `p:${i}`, i] as const));
  expect([changes.of(["a"], "p:0"), changes.of(["a"], "p:1")]).toEqual([undefined, 1]);
});
