import { expect, it } from "vitest";
import { backoffMs } from "./backoff.ts";

const settings = { baseMs: 50, factor: 2, maxMs: 5_000 };

it.each([
  [0, 50],
  [1, 100],
  [2, 200],
  [6, 3_200],
  [7, 5_000],
  [1_000, 5_000],
  [Infinity, 5_000],
])("A16: after %d failures the wait is below %d ms", (failures, bound) => {
  expect(backoffMs(settings, failures, 0)).toBe(0);
  expect(backoffMs(settings, failures, 0.5)).toBe(bound / 2);
  expect(backoffMs(settings, failures, 1 - Number.EPSILON)).toBeLessThan(bound);
});

it("A16: a thousand clients come back evenly, not together", () => {
  const perTenth = Array.from({ length: 10 }, () => 0);
  for (let client = 0; client < 1_000; client++) {
    // The golden ratio's multiples: evenly spread, and the same in each run.
    const waitMs = backoffMs(settings, 10, (client * 0.618_033_988_75) % 1);
    perTenth[Math.floor(waitMs / 500)]! += 1;
  }
  for (const count of perTenth) expect(count).toBeGreaterThanOrEqual(95);
  expect(perTenth.reduce((sum, count) => sum + count)).toBe(1_000);
});

it("R1-01: base and factor can be set", () => {
  expect(backoffMs({ baseMs: 10, factor: 3, maxMs: 1_000 }, 2, 0.5)).toBe(45);
  expect(backoffMs({ baseMs: 0, factor: 2, maxMs: 0 }, 5, 0.5)).toBe(0);
});
