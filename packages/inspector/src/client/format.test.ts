import { expect, it } from "vitest";
import { ending, freshness } from "./format.ts";

it.each([
  [14_000, "14 s", "14 s"],
  [0, "stale for 0 ms", "expired 0 ms ago"],
  [-14_000, "stale for 14 s", "expired 14 s ago"],
  [null, "–", "no end"],
])("a life of %s ms that may be in the past is said in words", (ms, fresh, end) => {
  expect([freshness(ms), ending(ms)]).toEqual([fresh, end]);
});
