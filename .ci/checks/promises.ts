// Promises check: docs/promises.md against the report of the test run.
//
//   node .ci/checks/promises.ts        after vitest wrote .reports/vitest.json
//
// A claimed promise has a passing test with its number in the full title; a number in a title is on the page.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Promised {
  /** `C41`, `A12`, `R1-03`. */
  readonly number: string;
  readonly isClaimed: boolean;
}

export interface RanTest {
  /** With the titles of the suites around it. */
  readonly fullName: string;
  readonly status: string;
}

interface VitestReport {
  readonly testResults: readonly { readonly assertionResults: readonly RanTest[] }[];
}

const NUMBER = /\b(?:[CA]\d{1,3}|R\d-\d{2})\b/g;
const ROW = /^\| (?<number>[A-Z]\d+(?:-\d+)?) \| [^|]+ \| (?<since>claimed|planned) \|$/;
const LIKE_A_ROW = /^\|\s*[A-Z]\d/;

/** @throws {Error} for a row that does not have the form `| C1 | text | claimed |`, and for a number that stands twice. */
export function readPromises(markdown: string): readonly Promised[] {
  const promises = new Map<string, Promised>();
  for (const [index, line] of markdown.split("\n").entries()) {
    if (!LIKE_A_ROW.test(line)) continue;
    const { number = "", since } = ROW.exec(line)?.groups ?? {};
    if (number === "")
      throw new Error(
        `docs/promises.md:${index + 1}: a row has the form "| C1 | what is promised | claimed |", or planned`,
      );
    if (promises.has(number)) throw new Error(`docs/promises.md:${index + 1}: ${number} stands twice`);
    promises.set(number, { number, isClaimed: since === "claimed" });
  }
  return [...promises.values()];
}

export function findBroken(promises: readonly Promised[], tests: readonly RanTest[]): readonly string[] {
  const kept = new Set(tests.filter(({ status }) => status === "passed").flatMap(numbersIn));
  const unkept = promises.filter(({ number, isClaimed }) => isClaimed && !kept.has(number));

  const known = new Set(promises.map(({ number }) => number));
  const unknown = tests.flatMap((test) =>
    numbersIn(test).flatMap((number) =>
      known.has(number) ? [] : [`no promise has the number ${number}: "${test.fullName}"`],
    ),
  );
  return [...unkept.map(({ number }) => `${number} is claimed, and no passing test names it`), ...new Set(unknown)];
}

function numbersIn({ fullName }: RanTest): readonly string[] {
  return fullName.match(NUMBER) ?? [];
}

function main(): void {
  const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const report = JSON.parse(readFileSync(join(top, ".reports/vitest.json"), "utf8")) as VitestReport;
  const promises = readPromises(readFileSync(join(top, "docs/promises.md"), "utf8"));
  const broken = findBroken(
    promises,
    report.testResults.flatMap((file) => file.assertionResults),
  );
  const claimed = promises.filter(({ isClaimed }) => isClaimed).length;
  console.log(
    broken.length === 0
      ? `${claimed} of ${promises.length} promises are claimed, and each has a passing test`
      : broken.join("\n"),
  );
  process.exitCode = broken.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
