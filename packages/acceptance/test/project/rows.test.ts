/** docs/requirements.md: each row has its test, its mutant and its place on the page, or a reason. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { MUTANTS } from "../../mutants/all.ts";
import { mutantOf, ROW_MUTANTS } from "../../mutants/rows.ts";
import { ROWS, SECTIONS } from "../../rows/all.ts";
import { findUnheld, type TestReport } from "../../rows/check.ts";
import { findExamples } from "../../rows/examples.ts";
import { renderPage, withoutExamples } from "../../rows/page.ts";
import { isHeld, type Row } from "../../rows/row.ts";
import type { Judged } from "../../rows/sections/4b-redisutils-figures.ts";

const top = resolve(import.meta.dirname, "../../../..");
const read = (file: string): string => readFileSync(join(top, file), "utf8");
const held = ROWS.filter(isHeld);

describe("C270: rows", () => {
  it("have each number of each system, once and in order", () => {
    expect(ROWS.map(({ id }) => id)).toEqual(
      SECTIONS.flatMap(({ rows }) => rows.map(({ id }) => id)).toSorted(byNumber),
    );
    expect(ROWS.filter(({ id }, i) => ROWS.findIndex((row) => row.id === id) !== i)).toEqual([]);
  });

  it("name tests that exist", () => {
    const files = new Map([...new Set(held.map(({ test: [file] }) => file))].map((file) => [file, textOf(file)]));
    const missing = held.filter(({ test: [file, title] }) => !files.get(file)!.includes(title));
    expect(missing.map(({ id, test }) => [id, ...test])).toEqual([]);
  });

  it("name mutants that exist, or have one of their own", () => {
    expect(held.map(mutantOf).filter((mutant) => typeof mutant === "string")).toEqual([]);
    // A row that is open may be held after the next run of benchmarks.
    const own = new Set(ROWS.filter((row) => isHeld(row) || "open" in row).flatMap(ownName));
    const named = new Set(held.map(({ mutant }) => mutant));
    const unused = ROW_MUTANTS.filter(({ name }) => !own.has(name.split(" ")[0]!) && !named.has(name));
    expect(unused.map(({ name }) => name)).toEqual([]);
  });

  it("C343: of figures are held where a run on a quiet machine has met the target, else open with the value", () => {
    const { isQuiet, rows } = JSON.parse(read("benchmarks/results/toolkit.json")) as Judged;
    expect(rows.map(({ id }) => id)).toEqual(["R3-31", "R3-32", "R3-33", "R3-34", "R3-36"]);
    for (const { id, value, isMet } of rows) {
      const row = ROWS.find((each) => each.id === id)!;
      expect([id, isHeld(row)]).toEqual([id, isQuiet && isMet]);
      expect(isHeld(row) ? row.here : "open" in row && row.open).toContain(value);
    }
  });

  it("have mutants that break what stands once in its file", () => {
    const times = ROW_MUTANTS.map(({ name, file, rule }) => ({ name, times: read(file).split(rule).length - 1 }));
    expect(times.filter((each) => each.times !== 1)).toEqual([]);
    expect(ROW_MUTANTS.filter(({ rule, broken }) => rule === broken)).toEqual([]);
    const names = [...MUTANTS, ...ROW_MUTANTS].map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it("are on the page as they are here: `npm run rows` writes it", () => {
    // The step `rows` of npm test compares the examples, too: by then those of all branches are there.
    const page = withoutExamples(read("docs/requirements.md"));
    expect(page).toBe(withoutExamples(renderPage(SECTIONS, new Map([["R0-01", ["docs/examples/a.ts"]]]))));
  });

  it("are the only ones that examples name", () => {
    const ids = new Set(ROWS.map(({ id }) => id));
    expect([...findExamples(top)].filter(([id]) => !ids.has(id))).toEqual([]);
  });

  it("count as held only where all of their tests ran and passed", () => {
    const row: Row = { id: "R", what: "", here: "", module: "", test: ["a.test.ts", "a value"] };
    const reportOf = (...statuses: readonly string[]): TestReport => ({
      testResults: [
        {
          name: "/top/a.test.ts",
          assertionResults: statuses.map((status, i) => ({ fullName: `suite a value ${i}`, status })),
        },
      ],
    });
    expect(findUnheld([row], reportOf("passed", "passed"), "/top")).toEqual([]);
    expect(findUnheld([row], reportOf("passed", "failed"), "/top")).toEqual(['R: "a value" of a.test.ts did not pass']);
    const absent = ['R: no test of a.test.ts ran whose title contains "a value"'];
    expect(findUnheld([row], reportOf(), "/top")).toEqual(absent);
    expect(findUnheld([row], { testResults: [] }, "/top")).toEqual(absent);
  });
});

/** A test file, with the tables beside it that its titles come from. */
function textOf(file: string): string {
  if (!existsSync(join(top, file))) return "";
  const folder = dirname(file);
  const tables = readdirSync(join(top, folder)).filter((name) => name.endsWith(".json"));
  return [file, ...tables.map((name) => join(folder, name))].map(read).join("\n");
}

const ownName = (row: Row): readonly string[] => ("mutant" in row && row.mutant !== undefined ? [] : [row.id]);

function byNumber(a: string, b: string): number {
  const [one, other] = [a, b].map((id) => id.slice(1).split("-").map(Number)) as [number[], number[]];
  return one[0]! - other[0]! || one[1]! - other[1]!;
}
