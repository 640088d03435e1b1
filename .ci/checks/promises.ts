// Promises check: the promises to users against the report of the test run.
//
//   node .ci/checks/promises.ts        after vitest wrote .reports/vitest.json
//
// Every promise has a passing test with its number in the full title. Other numbers in titles are finer rules.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface RanTest {
  /** With the titles of the suites around it. */
  readonly fullName: string;
  readonly status: string;
}

interface VitestReport {
  readonly testResults: readonly { readonly assertionResults: readonly RanTest[] }[];
}

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const PAGE = "docs/reference/promises.md";

const NUMBER = /\b(?:[CAH]\d{1,3}|R\d-\d{2,3})\b/g;
const ROW = /^\| (?<number>[A-Z]\d+(?:-\d+)?) \| [^|]+ \|$/;
const LIKE_A_ROW = /^\|\s*[A-Z]\d/;

/**
 * The numbers of the promises on `page`: `C41`, `A12`.
 *
 * @throws {Error} for a row that does not have the form `| C1 | text |`, and for a number that stands twice.
 */
export function readPromises(page: string = readFileSync(join(top, PAGE), "utf8")): ReadonlySet<string> {
  const promises = new Set<string>();
  for (const [index, line] of page.split("\n").entries()) {
    if (!LIKE_A_ROW.test(line)) continue;
    const number = ROW.exec(line)?.groups?.["number"];
    if (number === undefined) throw new Error(`${PAGE}:${index + 1}: a row must have the form "| C1 | the promise |"`);
    if (promises.has(number)) throw new Error(`${PAGE}:${index + 1}: ${number} stands twice`);
    promises.add(number);
  }
  return promises;
}

export function findBroken(promises: readonly string[], tests: readonly RanTest[]): readonly string[] {
  const kept = new Set(tests.filter(({ status }) => status === "passed").flatMap(numbersIn));
  const unkept = promises.filter((number) => !kept.has(number));
  return unkept.map((number) => `${number} is claimed, and no passing test names it`);
}

function numbersIn({ fullName }: RanTest): readonly string[] {
  return fullName.match(NUMBER) ?? [];
}

function main(): void {
  const report = JSON.parse(readFileSync(join(top, ".reports/vitest.json"), "utf8")) as VitestReport;
  const promises = [...readPromises()];
  const broken = findBroken(
    promises,
    report.testResults.flatMap((file) => file.assertionResults),
  );
  console.log(broken.length === 0 ? `each of ${promises.length} promises has a passing test` : broken.join("\n"));
  process.exitCode = broken.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
