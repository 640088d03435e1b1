import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { allMutants, mutantsOf } from "../src/mutant.ts";

const top = resolve(import.meta.dirname, "../../..");
const MUTANTS = allMutants();

// `npm run mutants` checks that they are caught, which takes minutes.
describe("mutants", () => {
  it("are there once, and change the text of their rules", () => {
    const texts = MUTANTS.map(({ file, rule, broken }) => [file, rule, broken].join("\n"));
    expect(texts.filter((text, i) => texts.indexOf(text) !== i)).toEqual([]);
    expect(MUTANTS.filter(({ rule, broken }) => rule === broken).map(({ name }) => name)).toEqual([]);
  });

  it("break rules that stand exactly once in their files", () => {
    const read = (file: string): string => readFileSync(join(top, file), "utf8");
    const texts = new Map([...new Set(MUTANTS.map(({ file }) => file))].map((file) => [file, read(file)]));
    const times = MUTANTS.map(({ name, file, rule }) => ({
      name,
      file,
      times: texts.get(file)!.split(rule).length - 1,
    }));
    expect(times.filter((each) => each.times !== 1)).toEqual([]);
  });

  it("stand in tables: a file, and rules with what stands in their place", () => {
    const text = [
      "# comments and blank lines are for readers",
      "engine/launch.ts",
      "C454 C66 - if (isOld) return;",
      "",
      "index.ts",
      "R1-07 - joins(): void {",
      "     -     this.resumed();",
      "     -",
      "     - }",
      "     + joins(): void {",
      "     +   }",
    ].join("\n");
    expect(mutantsOf("core.txt", text)).toEqual([
      {
        name: "C454 C66 core/engine/launch.ts: if (isOld) return;",
        file: "packages/core/src/engine/launch.ts",
        promises: ["C454", "C66"],
        rule: "if (isOld) return;",
        broken: "",
      },
      {
        name: "R1-07 core/index.ts: joins(): void {",
        file: "packages/core/src/index.ts",
        promises: ["R1-07"],
        rule: "joins(): void {\n    this.resumed();\n\n}",
        broken: "joins(): void {\n  }",
      },
    ]);
  });

  it.each([
    ["a line without a sign", "a.ts\nC1 a", "x.txt:2"],
    ["a mutant without a file", "C1 - a", "x.txt:1"],
    ["a replacement without a rule", "a.ts\n     + a", "x.txt:2"],
    ["a line that is not indented as far", "a.ts\nC1 - a\n   + b", "x.txt:3"],
  ])("stand in no table with %s", (_, text, place) => {
    expect(() => mutantsOf("x.txt", text)).toThrow(`${place} is no line of a mutant`);
  });
});
