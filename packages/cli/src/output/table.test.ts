import { describe, expect, it } from "vitest";
import { painter } from "./colours.ts";
import { fields, table } from "./table.ts";
import { bytesText, cut, durationText, safe } from "./text.ts";

describe("a table", () => {
  it("has columns as wide as their cells, with numbers to the right", () => {
    expect(
      table(
        ["name", "keys"],
        [
          ["shop", 1_200],
          ["a longer name", 7],
        ],
      ),
    ).toBe(["name            keys", "shop           1,200", "a longer name      7"].join("\n"));
    expect(
      fields([
        ["version", "7.0"],
        ["at", undefined],
      ]),
    ).toBe("version  7.0\nat       -");
  });

  it("shows characters that would steer a terminal as text", () => {
    expect(safe("a\u001B[31mb\nc\u202Ed")).toBe(String.raw`a\u001b[31mb\u000ac\u202ed`);
  });
});

describe("amounts", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1_000, "1 kB"],
    [52_428_800, "52.4 MB"],
    [100_000_000, "100 MB"],
    [999_999, "1 MB"],
  ])("%i bytes are %s", (bytes, text) => expect(bytesText(bytes)).toBe(text));

  it.each([
    [250, "250 ms"],
    [60_000, "1 min"],
    [3_661_000, "1 h 1 min"],
    [Infinity, "no end"],
  ])("%d ms are %s", (ms, text) => expect(durationText(ms)).toBe(text));

  it("are cut to a line", () => expect(cut("abcdef", 4)).toBe("abc…"));
});

describe("colours", () => {
  const io = { print: () => undefined, complain: () => undefined, signal: new AbortController().signal };
  it.each([
    ["a terminal", true, {}, "\u001B[31merror\u001B[39m"],
    ["a pipe", false, {}, "error"],
    ["a terminal with NO_COLOR", true, { NO_COLOR: "1" }, "error"],
    ["a dumb terminal", true, { TERM: "dumb" }, "error"],
  ])("of %s", (_, isTerminal, variables, text) => {
    expect(painter({ ...io, isTerminal, variables })("red", "error")).toBe(text);
  });
});
