import { expect, it } from "vitest";
import { lastLines } from "../last-lines.ts";

it("the last line of a run is its result, and the one before says where its log is", () => {
  expect(lastLines(14_936, [], ".reports/test.log")).toEqual(["log: .reports/test.log", "14936 passed, 0 failed"]);
});

it("what failed is named in the last ten lines, each on one of them", () => {
  const names = Array.from({ length: 9 }, (_, i) => `test ${i}`);
  expect(lastLines(1, ["a.test.ts > a title\n  of two lines", "lint"], "log")).toEqual([
    "log: log",
    "✗ a.test.ts > a title of two lines",
    "✗ lint",
    "1 passed, 2 failed",
  ]);
  expect(lastLines(1, names.slice(1), "log")).toHaveLength(10);
  expect(lastLines(1, names, "log").slice(-4)).toEqual([
    "✗ test 5",
    "✗ test 6",
    "✗ and 2 more, in the log",
    "1 passed, 9 failed",
  ]);
  expect(lastLines(1, names, "log")).toHaveLength(10);
});
