import { expect, it } from "vitest";
import { slowestFiles } from "../slowest-files.ts";

const file = (
  name: string,
  startTime: number,
  endTime: number,
): { name: string; startTime: number; endTime: number } => ({
  name,
  startTime,
  endTime,
});

it("names the files that took longest, longest first", () => {
  const report = {
    testResults: [
      file("/clone/docs/site.test.ts", 1_000, 1_250),
      file("/clone/packages/core/a.test.ts", 1_000, 13_340),
      file("/clone/packages/core/b.test.ts", 5_000, 6_000),
    ],
  };
  expect(slowestFiles(report, "/clone", 2)).toEqual([
    "the slowest 2 of 3 files: 13.3 of 13.6 s, added up",
    "   12.3 s  packages/core/a.test.ts",
    "    1.0 s  packages/core/b.test.ts",
  ]);
  expect(slowestFiles(report, "/clone", 40).length).toBe(4);
  expect(slowestFiles({ testResults: [] }, "/clone", 40)).toEqual(["the slowest 0 of 0 files: 0.0 of 0.0 s, added up"]);
});
