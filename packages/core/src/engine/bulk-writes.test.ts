import { expect, it } from "vitest";
import { entryKey, rootKeySpace } from "../entry/key.ts";
import { gate } from "@hotset/testing";
import { BulkWrites } from "./bulk-writes.ts";

const root = rootKeySpace("test", undefined);
const itemsOf = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: entryKey(root, `${prefix}${i}`) }));

it("C395: a call whose keys have had their turn is not looked at any more", async () => {
  const bulk = new BulkWrites();
  const held = gate<string>();
  const calls = Array.from({ length: 100 }, (_, i) => bulk.run(itemsOf(`${i}-`, 10), held.pass, "overtaken"));
  expect(bulk.size).toBe(0);
  held.open("stored");
  expect((await Promise.all(calls)).flat()).toEqual(Array.from({ length: 1_000 }, () => "stored"));
});

it("C162: of calls that have one key the last one wins, whichever comes first to its turn", async () => {
  const bulk = new BulkWrites();
  const [first, later] = [gate<string>(), gate<string>()];
  const shared = { key: entryKey(root, "shared") };
  const before = itemsOf("a", 1_000);
  const one = bulk.run([...before, shared], first.pass, "overtaken");
  const two = bulk.run([...itemsOf("b", 1_000), shared], later.pass, "overtaken");
  const three = bulk.run([...itemsOf("c", 1_000), shared], later.pass, "overtaken");
  expect([bulk.size, bulk.has(shared.key.local), bulk.has(before[0]!.key.local)]).toEqual([3, true, false]);
  later.open("stored");
  expect([(await two).at(-1), (await three).at(-1)]).toEqual(["stored", "stored"]);
  first.open("stored");
  expect([(await one).at(-1), bulk.size]).toEqual(["overtaken", 0]);
});

it("C162: a key that was left to a later change is not one whose turn is to come", async () => {
  const bulk = new BulkWrites();
  const [held, last] = [gate<string>(), gate<string>()];
  const items = itemsOf("k", 1_001);
  const call = bulk.run(items, (item) => (item === items[0] ? last.pass() : held.pass()), "overtaken");
  const left = items[1_000]!.key.local;
  bulk.overtake(left, Promise.resolve());
  expect(bulk.has(left)).toBe(true);
  held.open("stored");
  await expect.poll(() => bulk.has(left)).toBe(false);
  last.open("stored");
  expect((await call).at(-1)).toBe("overtaken");
});
