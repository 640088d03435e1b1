import { expect, it } from "vitest";
import { MOST_ROUNDS, warmUp } from "./warm-up.ts";

const costing = (...costs: readonly number[]) => {
  let next = 0;
  return async () => ({ clientUs: costs[Math.min(next++, costs.length - 1)]! });
};

it.each([
  ["the figures of a longer path", [345, 114, 80, 60, 50, 44, 42], 7],
  ["two that agree in the end", [60, 28, 11, 10.6], 4],
  ["one that becomes slower", [10, 11, 12, 12.5], 4],
])("warms up until two rounds in a row agree within 5 %%: %s", async (_, costs, rounds) => {
  expect(await warmUp(costing(...costs))).toBe(rounds);
});

it("warms up no longer than it may", async () => {
  let cost = 1;
  expect(await warmUp(async () => ({ clientUs: (cost *= 2) }))).toBe(MOST_ROUNDS);
});
