import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { isNightly } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { MUTANTS } from "../src/all.ts";
import { findBrokenMutants } from "../src/check.ts";

const top = resolve(import.meta.dirname, "../../..");
const read = (file: string): string => readFileSync(join(top, file), "utf8");

// `npm run mutants` checks that they are caught, which takes minutes; that they compile takes one, at night.
describe("mutants", () => {
  it("are there once", () => {
    const texts = MUTANTS.map(({ file, rule, broken }) => [file, rule, broken].join("\n"));
    expect(texts.filter((text, i) => texts.indexOf(text) !== i)).toEqual([]);
  });

  it("break rules that stand exactly once in their files", () => {
    const texts = new Map([...new Set(MUTANTS.map(({ file }) => file))].map((file) => [file, read(file)]));
    const times = MUTANTS.map(({ name, file, rule }) => ({
      name,
      file,
      times: texts.get(file)!.split(rule).length - 1,
    }));
    expect(times.filter((each) => each.times !== 1)).toEqual([]);
  });

  it.runIf(isNightly)("compile, as far as names go", { timeout: 600_000 }, () => {
    expect(findBrokenMutants(top, MUTANTS)).toEqual([]);
  });

  it("change the text of their rules", () => {
    expect(MUTANTS.filter(({ rule, broken }) => rule === broken).map(({ name }) => name)).toEqual([]);
  });

  it("break a promise or a rule", () => {
    expect(MUTANTS.filter(({ promises }) => promises.length === 0).map(({ name }) => name)).toEqual([]);
  });
});
