import { describe, expect, it } from "vitest";
import { mutantsOf } from "../src/table.ts";

describe("a table of mutants", () => {
  it("has a file, and a rule with what stands in its place", () => {
    const text = [
      "# comments and blank lines are for readers",
      "engine/launch.ts",
      "C433 C66 - if (isOld) return;",
      "",
      "index.ts",
      "R1-07 - joins(): void {",
      "     -     this.resumed();",
      "     -",
      "     - }",
      "     + joins(): void {",
      "     +   }",
    ].join("\n");
    expect(mutantsOf("core/engine.txt", text)).toEqual([
      {
        name: "C433 C66 core/engine/launch.ts: if (isOld) return;",
        file: "packages/core/src/engine/launch.ts",
        promises: ["C433", "C66"],
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
    expect(mutantsOf("memory.txt", "a.ts\nC1 - a")[0]?.file).toBe("packages/memory/src/a.ts");
  });

  it.each([
    ["a line without a sign", "a.ts\nC1 a", "core/x.txt:2"],
    ["a mutant without a file", "C1 - a", "core/x.txt:1"],
    ["a replacement without a rule", "a.ts\n     + a", "core/x.txt:2"],
    ["a line that is not indented as far", "a.ts\nC1 - a\n   + b", "core/x.txt:3"],
  ])("refuses %s", (_, text, place) => {
    expect(() => mutantsOf("core/x.txt", text)).toThrow(`${place} is no line of a mutant`);
  });
});
