import { expect, it } from "vitest";
import { checkName, checkOptions, durationMs } from "./arguments.ts";

it("a duration is whole milliseconds, rounded up, within its bounds, and its option is named", () => {
  expect([durationMs("ttl", "5m"), durationMs("ttl", 0.2), durationMs("ttl", 0, { min: 0 })]).toEqual([300_000, 1, 0]);
  expect(() => durationMs("ttl", 0)).toThrow('ttl must be from 1 to 2^52 ms, as a number or like "5m", got 0');
  expect(() => durationMs("ttl", "2d", { max: 1_000 })).toThrow(
    'ttl must be from 1 to 1000 ms, as a number or like "5m"',
  );
  expect(() => durationMs("ttl", "soon" as never)).toThrow(
    'as a number or like "5m", got "soon"; units are ms, s, m, h and d',
  );
  expect(() => durationMs("ttl", 2 ** 53)).toThrow("ttl must be from 1 to 2^52 ms");
  expect(() => durationMs("ttl", {} as never)).toThrow("got an object");
  expect(() => durationMs("ttl", Number.NaN)).toThrow("got NaN");
  expect(() => durationMs("ttl", -1, { hint: "; leave it out" })).toThrow("got -1; leave it out");
});

it("unknown options and wrong names are refused", () => {
  checkOptions("lock()", undefined, ["ttl"]);
  expect(() => checkOptions("lock()", { tlt: 1 }, ["ttl"])).toThrow(
    'lock(): unknown option "tlt"; did you mean ttl?; accepted: ttl',
  );
  // An option of a cache is nothing that a lock could send anyone to.
  expect(() => checkOptions("lock()", { maxEntries: 1 }, ["ttl"])).toThrow(
    /^lock\(\): unknown option "maxEntries"; accepted: ttl$/,
  );
  expect(() => checkOptions("lock()", [], ["ttl"])).toThrow(
    "lock(): options must be an object, got an array; accepted: ttl",
  );
  expect(checkName("the name", "a:{b}")).toBe("a:{b}");
  expect(() => checkName("the name", "")).toThrow('the name must be text of 1 to 512 characters, got ""');
  expect(() => checkName("the name", 7 as never)).toThrow("got a number");
});
