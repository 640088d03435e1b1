import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { parseSync, Visitor } from "oxc-parser";
import { analyse } from "scslre";
import { describe, expect, it } from "vitest";

const SOURCES = join(import.meta.dirname, "../src");

/** The regular expressions of a source that are written as such. */
function expressionsIn(file: string, source: string): readonly RegExp[] {
  const found: RegExp[] = [];
  const { program } = parseSync(file, source);
  new Visitor({
    Literal(node) {
      if ("regex" in node) found.push(new RegExp(node.regex.pattern, node.regex.flags));
    },
  }).visit(program);
  return found;
}

/** How an expression takes time that grows faster than its text: by quantifiers within another, or one behind another. */
const faultsOf = (expression: RegExp): readonly string[] =>
  analyse({ source: expression.source, flags: expression.flags }).reports.map(
    ({ type, exponential }) => `${String(expression)}: ${exponential ? "exponential" : "polynomial"}, ${type}`,
  );

describe("regular expressions, which clients fill", () => {
  it("H105 take time that grows with their text, and no faster", async () => {
    const files = (await readdir(SOURCES, { recursive: true })).filter((each) => /(?<!\.test)\.ts$/.test(each));
    const expressions = files.flatMap((file) => expressionsIn(file, readFileSync(join(SOURCES, file), "utf8")));
    expect(expressions.length).toBeGreaterThan(30);
    expect(expressions.flatMap(faultsOf)).toEqual([]);
  });

  it.each([/[^/]*(?:\?.*)?$/, /^(?:a+)+$/, /\s+$/, /a*a*b/])("H105 %s is refused", (expression) => {
    expect(faultsOf(expression)).not.toEqual([]);
  });
});
