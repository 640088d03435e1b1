import { expect, it } from "vitest";
import { ConfigurationError, InvalidArgumentError } from "../contracts/errors.ts";
import { duration, readOption, refuse, timerMs, wholeMs, type Option } from "./options.ts";

const refusalOf = (given: unknown, rule: Option<unknown>, As?: typeof ConfigurationError): unknown => {
  try {
    return readOption(given, "wait", rule, As);
  } catch (error) {
    return error;
  }
};

it.each<[rule: Option<unknown>, given: unknown, expected: number | string]>([
  [wholeMs(undefined), "5m", 300_000],
  [wholeMs(undefined), 0.2, 1],
  [wholeMs(undefined, 0), 0, 0],
  [wholeMs(undefined, 1, 1_000), 999.5, 1_000],
  [wholeMs(undefined, 1, 1_000), 1_000.5, 'from 1 to 1000 ms, as a number or like "5m", got 1000.5'],
  [wholeMs(undefined), 2 ** 52, 2 ** 52],
  [wholeMs(undefined), 2 ** 53, 'from 1 to 2^52 ms, as a number or like "5m", got 9007199254740992'],
  [wholeMs(undefined), Infinity, 'from 1 to 2^52 ms, as a number or like "5m", got Infinity'],
  [wholeMs(undefined), Number.NaN, 'from 1 to 2^52 ms, as a number or like "5m", got NaN'],
  [wholeMs(undefined), "soon", 'from 1 to 2^52 ms, as a number or like "5m", got "soon"; units are ms, s, m, h and d'],
  [wholeMs(undefined), "-5m", 'from 1 to 2^52 ms, as a number or like "5m", got "-5m"'],
  [wholeMs(undefined), null, 'from 1 to 2^52 ms, as a number or like "5m", got null'],
  [wholeMs(undefined, -Infinity, 10), -5.5, -5],
  [wholeMs(undefined, -Infinity, 10), 11, 'at most 10 ms, as a number or like "5m", got 11'],
  [timerMs(undefined), 2 ** 31 - 1, 2 ** 31 - 1],
  [timerMs(undefined), 2 ** 31, 'from 1 ms to 24 days, as a number or like "5m", got 2147483648'],
  [timerMs(undefined, 0), -1, 'from 0 ms to 24 days, as a number or like "5m", got -1'],
])("reads whole milliseconds of %o: %o", (rule, given, expected) => {
  const read = refusalOf(given, rule);
  expect(read instanceof InvalidArgumentError ? read.message : read).toBe(
    typeof expected === "string" ? `wait must be ${expected}` : expected,
  );
});

it("refuses by the error that was asked for, also for text without a unit", () => {
  for (const given of ["soon", -1]) {
    expect(refusalOf(given, duration(0), ConfigurationError)).toBeInstanceOf(ConfigurationError);
    expect(refusalOf(given, duration(0))).toBeInstanceOf(InvalidArgumentError);
  }
  expect(() => refuse("port", "http", "a whole number")).toThrow('port must be a whole number, got "http"');
});
