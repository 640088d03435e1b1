import { describe, expect, it } from "vitest";
import { findBroken, readPromises, type RanTest } from "./promises.ts";

// Numbers are put together here: in a title of this file they would claim the promise.
const C1 = "C" + "1";
const C12 = "C" + "12";
const R101 = "R1" + "-01";

const PAGE = [
  "| number | promise | kept since |",
  "|---|---|---|",
  `| ${C1} | Zero is a value. | claimed |`,
  `| ${C12} | Reading loads nothing. | planned |`,
  `| ${R101} | A URL names the server. | planned |`,
].join("\n");

const passed = (fullName: string): RanTest => ({ fullName, status: "passed" });

describe("the page", () => {
  it("lists numbers with what is claimed of them", () => {
    expect(readPromises(PAGE)).toEqual([
      { number: C1, isClaimed: true },
      { number: C12, isClaimed: false },
      { number: R101, isClaimed: false },
    ]);
  });

  it.each([
    ["another word in the last column", `| ${C1} | Zero is a value. | kept |`],
    ["a missing column", `| ${C1} | claimed |`],
    ["no space at the edges", `|${C1}| Zero is a value. | claimed |`],
  ])("refuses a row with %s", (_what, row) => {
    expect(() => readPromises(`\n${row}`)).toThrow(
      'docs/promises.md:2: a row has the form "| C1 | what is promised | claimed |", or planned',
    );
  });

  it("refuses a number that stands twice", () => {
    expect(() => readPromises(`${PAGE}\n| ${C1} | Again. | planned |`)).toThrow(
      `docs/promises.md:6: ${C1} stands twice`,
    );
  });
});

describe("the tests", () => {
  const promises = readPromises(PAGE);

  it("keep a promise that a passing test names, in its own title or in that of a suite around it", () => {
    expect(findBroken(promises, [passed(`values ${C1}: zero is a hit`)])).toEqual([]);
    expect(findBroken(promises, [passed(`(${C1}) zero is a hit`), passed(`${C12} reading, ${R101}`)])).toEqual([]);
  });

  it.each(["failed", "skipped", "pending", "todo"])("do not keep a promise whose only test has %s", (status) => {
    expect(findBroken(promises, [{ fullName: `${C1} zero`, status }])).toEqual([
      `${C1} is claimed, and no passing test names it`,
    ]);
  });

  it("do not keep a promise by naming a longer number", () => {
    expect(findBroken(promises, [passed(`${C12} reading`)])).toEqual([
      `${C1} is claimed, and no passing test names it`,
    ]);
  });

  it("may not name a number that is not on the page", () => {
    const [stray, strayRow] = ["C" + "121", "R1" + "-99"];
    expect(findBroken(promises, [passed(`${C1} zero`), passed(`${stray} something, ${strayRow}`)])).toEqual([
      `no promise has the number ${stray}: "${stray} something, ${strayRow}"`,
      `no promise has the number ${strayRow}: "${stray} something, ${strayRow}"`,
    ]);
  });
});
