import { expect, it } from "vitest";
import { bytesText, durationText, lifeText, numberText, percentText, plural, secondsText } from "./figures.ts";

const DAY = 86_400_000;

it.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1 kB"],
  [52_428_800, "52.4 MB"],
  [999_499, "999 kB"],
  [999_500, "1 MB"],
  [100_000_000, "100 MB"],
  [3e15, "3000 TB"],
])("%s bytes are %s", (bytes, text) => expect(bytesText(bytes)).toBe(text));

it.each([
  [-5, "0 ms", "0 s"],
  [0.04, "0 ms", "0 s"],
  [0.44, "0.4 ms", "0 s"],
  [9.97, "10 ms", "0 s"],
  [999.6, "1 s", "1 s"],
  [1_540, "1.5 s", "2 s"],
  [9_960, "10 s", "10 s"],
  [119_400, "119 s", "119 s"],
  [120_000, "2 min", "2 min"],
  [7_200_000, "2 h", "2 h"],
  [2 * DAY, "2 days", "2 days"],
])("%s ms are %s, and %s in whole seconds", (ms, text, inSeconds) =>
  expect([durationText(ms), secondsText(ms)]).toEqual([text, inSeconds]),
);

it.each([
  [0, "0 ms"],
  [999, "999 ms"],
  [59_999, "59 s"],
  [3_600_000, "1 h"],
  [3 * DAY + 4 * 3_600_000 + 5_000, "3 d 4 h"],
  [Infinity, "no end"],
])("a life of %s ms is %s", (ms, text) => expect(lifeText(ms)).toBe(text));

it("a share is 100 % only where it is whole", () =>
  expect([0, 0.625, 0.9997, 1].map(percentText)).toEqual(["0 %", "62.5 %", "99.9 %", "100 %"]));

it("counts have separators, and words their plural", () =>
  expect([numberText(12_345), numberText(0.0625), plural(1, "call"), plural(1_200, "call")]).toEqual([
    "12,345",
    "0.063",
    "1 call",
    "1,200 calls",
  ]));
