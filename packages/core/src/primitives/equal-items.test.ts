import { expect, it } from "vitest";
import { haveEqualItems } from "./equal-items.ts";

it.for<readonly [string, readonly string[], readonly string[], boolean]>([
  ["none", [], [], true],
  ["the same", ["a", "b"], ["a", "b"], true],
  ["the first differs", ["a", "b"], ["c", "b"], false],
  ["the last differs", ["a", "b"], ["a", "c"], false],
  ["another order", ["a", "b"], ["b", "a"], false],
  ["fewer", ["a"], ["a", "b"], false],
  ["more", ["a", "b"], ["a"], false],
])("lists have equal items: %s", ([, some, others, isEqual]) => {
  expect(haveEqualItems(some, others)).toBe(isEqual);
});
