import { join, matchesGlob } from "node:path";
import { expect, it } from "vitest";
import { LANES, type Lane } from "../../vitest.config.ts";
import { trackedFiles } from "./tracked-files.ts";

const isOneOf = (file: string, globs: readonly string[]): boolean => globs.some((glob) => matchesGlob(file, glob));

it("each test file is in exactly one lane, by its place and name", () => {
  const lanes = Object.entries<Lane>(LANES);
  const files = trackedFiles(join(import.meta.dirname, "../..")).filter((path) => path.endsWith(".test.ts"));
  const found = files.map((file) => {
    const of = lanes.filter(([, { include, exclude }]) => isOneOf(file, include) && !isOneOf(file, exclude));
    return [file, of.map(([name]) => name)] as const;
  });
  expect(new Set(found.flatMap(([, names]) => names)).size).toBe(lanes.length);
  expect(found.filter(([, names]) => names.length !== 1)).toEqual([]);
});
