// Promises check: each promise to users is named by the title of a test that CI runs, in `npm test` or `npm run test:all`,
// and each number in a title, a comment or a page is one of the page of promises.
//
//   node .ci/checks/promises.ts
//
// Titles are read out of the sources; that a test passes is the business of the test. A finer rule is a sentence. Numbers
// such as R1-08, of functions of older programs, are on no page.

import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Visitor, parseSync, type Expression } from "oxc-parser";
import { LANES } from "../../vitest.config.ts";
import { trackedFiles } from "./tracked-files.ts";

const top = dirname(dirname(import.meta.dirname));

const PAGE = "docs/reference/promises.md";

const NUMBER = /\b(?:[CAH]\d{1,3}|R\d-\d{2,3})\b/g;
/** Outside of titles `A1` may be anything. */
const CITED = /\b[CAH]\d{2,3}\b/g;
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

/** The numbers in titles of tests and of suites in the source `text`. */
export function numbersInTitles(path: string, text: string): readonly string[] {
  const titles: string[] = [];
  new Visitor({
    CallExpression({ callee, arguments: [title] }) {
      if (title === undefined || !["it", "test", "describe"].includes(rootOf(callee))) return;
      if (title.type === "Literal") titles.push(String(title.value));
      if (title.type === "TemplateLiteral") titles.push(...title.quasis.map(({ value }) => value.raw));
    },
  }).visit(parseSync(path, text).program);
  return titles.flatMap((title) => title.match(NUMBER) ?? []);
}

/** `it` of `it.each(rows)("title", run)`. */
function rootOf(callee: Expression): string {
  if (callee.type === "Identifier") return callee.name;
  if (callee.type === "MemberExpression") return rootOf(callee.object);
  if (callee.type === "CallExpression") return rootOf(callee.callee);
  if (callee.type === "TaggedTemplateExpression") return rootOf(callee.tag);
  return "";
}

/** What is wrong: promises that no title names, and numbers in titles that are no promises. */
export function problemsOf(
  promises: ReadonlySet<string>,
  titles: readonly { readonly file: string; readonly numbers: readonly string[]; readonly isNightly: boolean }[],
): readonly string[] {
  const named = new Set(titles.flatMap(({ numbers, isNightly }) => (isNightly ? [] : numbers)));
  return [
    ...[...promises]
      .filter((number) => !named.has(number))
      .map((number) => `${number} is claimed, and no test that CI runs names it in its title`),
    ...titles.flatMap(({ file, numbers }) =>
      [...new Set(numbers)]
        .filter((number) => !promises.has(number) && !number.startsWith("R"))
        .map((number) => `${file}: ${number} is in a title, and no row of ${PAGE}: give it one, or leave it out`),
    ),
  ];
}

/** Numbers that a text cites, in a comment say, and that are no promises. */
export function unknownNumbers(promises: ReadonlySet<string>, file: string, text: string): readonly string[] {
  return [...new Set(text.match(CITED))]
    .filter((number) => !promises.has(number))
    .map((number) => `${file}: ${number} is no row of ${PAGE}: give it one, or leave it out`);
}

function main(): void {
  const promises = readPromises();
  const titles = Object.entries(LANES).flatMap(([lane, { include, exclude }]) =>
    globSync(include, { cwd: top, exclude: [...exclude, "**/node_modules/**"] }).map((file) => ({
      file,
      numbers: numbersInTitles(file, readFileSync(join(top, file), "utf8")),
      isNightly: lane === "nightly",
    })),
  );
  const cited = trackedFiles(top)
    .filter((file) => /^(?:packages|docs|benchmarks)\/.*\.(?:tsx?|mjs|md|txt)$/.test(file))
    .flatMap((file) => unknownNumbers(promises, file, readFileSync(join(top, file), "utf8")));
  const problems = [...problemsOf(promises, titles), ...cited];
  for (const problem of problems) console.log(problem);
  if (problems.length === 0) console.log(`each of ${promises.size} promises has a test, and each number a promise`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
