import { describe, expect, it } from "vitest";
import { findBroken, readPromises, type RanTest } from "./promises.ts";

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

const passed = (fullName: string): RanTest => ({ fullName, status: "passed" });

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

describe("the tests", () => {
  const promises = readNumbers(PAGE);
  const others = passed(`${C12} reading, ${R101}`);

  it("keep a promise that a passing test names, in its own title or in that of a suite around it", () => {
    expect(findBroken([C1], [passed(`values ${C1}: zero is a hit`)])).toEqual([]);
    expect(findBroken(promises, [passed(`(${C1}) zero is a hit`), others])).toEqual([]);
  });

  it("keep every promise of the page, or the check fails", () => {
    expect(findBroken(promises, [passed(`${C1} zero`)])).toEqual([
      `${C12} is claimed, and no passing test names it`,
      `${R101} is claimed, and no passing test names it`,
    ]);
  });

  it.each(["failed", "skipped", "pending", "todo"])("do not keep a promise whose only test has %s", (status) => {
    expect(findBroken(promises, [{ fullName: `${C1} zero`, status }, others])).toEqual([
      `${C1} is claimed, and no passing test names it`,
    ]);
  });

  it("do not keep a promise by naming a longer number", () => {
    expect(findBroken([C1, C12], [passed(`${C12} reading`)])).toEqual([
      `${C1} is claimed, and no passing test names it`,
    ]);
  });
});
