import { describe, expect, it } from "vitest";
import { InvalidArgumentError } from "../contracts/errors.ts";
import { HUNDRED_YEARS_MS, describe as shown, parseDuration, toMs } from "./duration.ts";

describe("parseDuration", () => {
  it.for<readonly [string, number]>([
    ["0ms", 0],
    ["1ms", 1],
    ["250ms", 250],
    ["1s", 1_000],
    ["90s", 90_000],
    ["1m", 60_000],
    ["1h", 3_600_000],
    ["1d", 86_400_000],
    ["30d", 2_592_000_000],
    ["1.5s", 1_500],
    [".5s", 500],
    ["0.001ms", 0.001],
    ["-5m", -300_000],
    ["1e3ms", 1_000],
    ["2E2MS", 200],
    ["1H", 3_600_000],
    ["Infinity", Infinity],
  ])("%s is %d ms", ([text, ms]) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.for<readonly [string]>([
    [""],
    ["5"],
    ["m"],
    ["5 m"],
    [" 5m"],
    ["5m "],
    ["5min"],
    ["5y"],
    ["1m30s"],
    ["+5m"],
    ["1,5s"],
    ["0x10s"],
    ["NaN"],
    ["NaNms"],
    ["-Infinity"],
    ["infinity"],
    ["Infinityms"],
    ["1e309s"],
    ["five minutes"],
    ["５s"],
  ])("%j is none", ([text]) => {
    expect(() => parseDuration(text)).toThrow(InvalidArgumentError);
  });

  it("names the argument and the accepted forms", () => {
    expect(() => parseDuration("soon")).toThrow(
      'duration must be milliseconds (60_000), or a number with a unit: ms, s, m, h or d ("1m"); got "soon"',
    );
  });
});

describe("toMs", () => {
  it.for([HUNDRED_YEARS_MS + 1, 2 ** 53, 1e300, Number.MAX_VALUE, "1e300d", "40000d"] as const)(
    "takes %s as 100 years",
    (given) => {
      expect(toMs("ttl", given)).toBe(HUNDRED_YEARS_MS);
    },
  );

  it.for([0, -1, 0.5, 60_000, HUNDRED_YEARS_MS, Infinity, -Infinity] as const)(
    "takes the number %d as milliseconds",
    (ms) => {
      expect(toMs("ttl", ms)).toBe(ms);
    },
  );

  it("takes text as parseDuration does, and names the option", () => {
    expect(toMs("ttl", "5m")).toBe(300_000);
    for (const given of [NaN, "5", null, undefined, {}, true, 5n])
      expect(() => toMs("ttl", given as never)).toThrow(
        /^ttl must be milliseconds \(60_000\), or a number with a unit: .*; got /,
      );
  });
});

describe("an argument in a message", () => {
  class Secret {
    toString(): string {
      return "hunter2";
    }
  }
  it.for<readonly [unknown, string]>([
    ["text", '"text"'],
    ['"quoted"\n', '"\\"quoted\\"\\n"'],
    ["x".repeat(41), `"${"x".repeat(40)}…"`],
    ["x".repeat(40), `"${"x".repeat(40)}"`],
    [5, "5"],
    [-0, "0"],
    [NaN, "NaN"],
    [5n, "5n"],
    [true, "true"],
    [undefined, "undefined"],
    [null, "null"],
    [Symbol("hunter2"), "a symbol"],
    [() => "hunter2", "a function"],
    [["hunter2"], "an array"],
    [{ password: "hunter2" }, "an object"],
    [new Secret(), "an object"],
  ])("is short, and gives away no content of objects: %#", ([given, text]) => {
    expect(shown(given)).toBe(text);
  });
});
