// Rows check: docs/requirements.md against the report of the test run.
//
//   node packages/acceptance/rows/check.ts        after vitest wrote .reports/vitest.json
//
// Each test that a row names ran and passed, and the page is what the rows and the examples say.

import { readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ROWS, SECTIONS } from "./all.ts";
import { findExamples } from "./examples.ts";
import { renderPage } from "./page.ts";
import { isHeld, type Row } from "./row.ts";

export interface TestReport {
  readonly testResults: readonly {
    /** The absolute path of the test file. */
    readonly name: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** One line for each row whose test did not run, or did not pass. */
export function findUnheld(rows: readonly Row[], report: TestReport, top: string): readonly string[] {
  const byFile = new Map(
    report.testResults.map(({ name, assertionResults }) => [relative(top, name), assertionResults]),
  );
  return rows.filter(isHeld).flatMap(({ id, test: [file, title] }) => {
    const tests = (byFile.get(file) ?? []).filter(({ fullName }) => fullName.includes(title));
    if (tests.length === 0) return [`${id}: no test of ${file} ran whose title contains "${title}"`];
    return tests.every(({ status }) => status === "passed") ? [] : [`${id}: "${title}" of ${file} did not pass`];
  });
}

function main(): void {
  const top = resolve(import.meta.dirname, "../../..");
  const report = JSON.parse(readFileSync(join(top, ".reports/vitest.json"), "utf8")) as TestReport;
  const unheld = [...findUnheld(ROWS, report, top)];
  if (readFileSync(join(top, "docs/requirements.md"), "utf8") !== renderPage(SECTIONS, findExamples(top)))
    unheld.push("docs/requirements.md is not what the rows and the examples say: npm run rows writes it");
  const open = ROWS.filter((row) => "open" in row).map(({ id }) => id);
  console.log(unheld.length === 0 ? `each of ${ROWS.filter(isHeld).length} rows has its tests` : unheld.join("\n"));
  if (open.length > 0) console.log(`${open.length} rows are open: ${open.join(", ")}`);
  process.exitCode = unheld.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
