import { expect, it } from "vitest";
import { MOST_ROUNDS, warmUp } from "./warm-up.ts";

const costing = (...costs: readonly number[]) => {
  let next = 0;
  return async () => ({ clientUs: costs[Math.min(next++, costs.length - 1)]! });
};

it.each([
  ["the figures of a longer path", [345, 114, 80, 60, 50, 44, 42], 14],
  ["two that agree before it is warm", [60, 28, 27.5, 11, 10.6], 12],
  ["small gains that add up", [10, 9.8, 9.6, 9.4, 9.2], 12],
  ["one that becomes slower", [10, 11, 12, 12.5], 9],
])("warms up until eight rounds bring less than 5 %%: %s", async (_, costs, rounds) => {
  expect(await warmUp(costing(...costs))).toBe(rounds);
});

it("warms up no longer than it may", async () => {
  let cost = 1;
  expect(await warmUp(async () => ({ clientUs: (cost /= 2) }))).toBe(MOST_ROUNDS);
});
