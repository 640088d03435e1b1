import { describe, expect, it } from "vitest";
import { numbersInTitles, problemsOf, readPromises, unknownNumbers } from "./promises.ts";

// Numbers are put together here: in a title of this file they would claim the promise.
const C1 = "C" + "1";
const C12 = "C" + "12";
const R101 = "R1" + "-01";

const PAGE = [
  "| number | promise |",
  "|---|---|",
  `| ${C1} | Zero is a value. |`,
  `| ${C12} | Reading loads nothing. |`,
  `| ${R101} | A URL names the server. |`,
].join("\n");

const readNumbers = (text: string): readonly string[] => [...readPromises(text)];

describe("the page", () => {
  it("lists the numbers of the promises", () => {
    expect(readNumbers(PAGE)).toEqual([C1, C12, R101]);
  });

  it.each([
    ["a third column", `| ${C1} | Zero is a value. | claimed |`],
    ["a missing column", `| ${C1} |`],
    ["no space at the edges", `|${C1}| Zero is a value. |`],
  ])("refuses a row with %s", (_what, row) => {
    expect(() => readNumbers(`\n${row}`)).toThrow(
      'docs/reference/promises.md:2: a row must have the form "| C1 | the promise |"',
    );
  });

  it("refuses a number that stands twice", () => {
    expect(() => readNumbers(`${PAGE}\n| ${C1} | Again. |`)).toThrow(
      `docs/reference/promises.md:6: ${C1} stands twice`,
    );
  });
});

it("numbers are read from titles of tests and of suites, and from nothing else", () => {
  const text = [
    `// ${C12}`,
    `describe("(${C1}) zero", () => { it.each([1])(\`${R101}: %s of \${all}\`, () => { call("${C12}"); }); });`,
  ].join("\n");
  expect(numbersInTitles("x.test.ts", text)).toEqual([C1, R101]);
});

describe("the check", () => {
  const promises = new Set([C1, C12]);
  const titles = (numbers: readonly string[], isNightly = false) => [{ file: "x.test.ts", numbers, isNightly }];

  it("accepts promises that tests name, and numbers of older programs", () =>
    expect(problemsOf(promises, titles([C1, C12, R101]))).toEqual([]));

  it("refuses a promise that only a nightly test names", () =>
    expect(problemsOf(promises, [...titles([C1]), ...titles([C12], true)])).toEqual([
      `${C12} is claimed, and no test that CI runs names it in its title`,
    ]));

  it("refuses a number that is no promise, in nightly tests too", () => {
    const number = "C" + "99";
    expect(problemsOf(promises, [...titles([C1, C12]), ...titles([number, number], true)])).toEqual([
      `x.test.ts: ${number} is in a title, and no row of docs/reference/promises.md: give it one, or leave it out`,
    ]);
  });

  it("refuses a number that a comment or a page cites and that is no promise", () => {
    const number = "C" + "99";
    expect(unknownNumbers(promises, "x.ts", `// ${number}, ${C12}, and ${number} again; A1 is a SKU`)).toEqual([
      `x.ts: ${number} is no row of docs/reference/promises.md: give it one, or leave it out`,
    ]);
  });
});
