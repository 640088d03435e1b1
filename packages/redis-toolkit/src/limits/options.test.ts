import { expect, it } from "vitest";
import { concurrency, fixedWindow, gcra, slidingCounter, slidingLog, tokenBucket } from "./rules.ts";
import { resolveOptions } from "./settings.ts";

it("the defaults are 100 in an hour, below rate_limit:", () => {
  expect(resolveOptions({ name: "api" })).toMatchObject({
    rules: [{ kind: "fixed-window", capacity: 100, periodMs: 3_600_000 }],
    prefix: "rate_limit",
    whenAway: "memory",
    processes: 1,
    deadlineMs: 250,
    blockForMs: 0,
    countRefused: false,
    rememberRefusalsMs: 1_000,
    maxKeys: 10_000,
    headers: "draft-8",
  });
  for (const rule of [slidingLog(), slidingCounter(), tokenBucket(), gcra()])
    expect(rule).toMatchObject({ capacity: 100, periodMs: 3_600_000 });
  expect(concurrency()).toMatchObject({ capacity: 100, periodMs: 60_000 });
});

it("the period of a bucket is the time in which its burst comes back", () => {
  expect(tokenBucket({ limit: 10, refill: "1s", burst: 25 })).toMatchObject({ capacity: 25, periodMs: 2_500 });
  expect(gcra({ limit: 3, window: "1s", burst: 1 })).toMatchObject({ capacity: 1, periodMs: 334 });
});

it.each([
  [() => fixedWindow({ limit: 0 }), "fixedWindow: limit must be a whole number from 1 to 1000000000, got 0"],
  [() => fixedWindow({ limit: 1.5 }), "fixedWindow: limit must be a whole number"],
  [() => fixedWindow({ limit: Number.NaN }), "got NaN"],
  [() => fixedWindow({ limit: "5" as never }), 'got "5"'],
  [() => fixedWindow({ window: -1 }), "fixedWindow: window must be from 1 to"],
  [
    () => fixedWindow({ window: "2 days" as never }),
    'fixedWindow: window must be from 1 to 31622400000 ms, as a number or like "5m", got "2 days"; units are ms',
  ],
  [() => fixedWindow({ windows: 1 } as never), 'fixedWindow(): unknown option "windows"'],
  [() => slidingLog({ limit: 10_001 }), "slidingLog: limit must be a whole number from 1 to 10000, got 10001"],
  [() => slidingCounter({ slices: 1 }), "slidingCounter: slices must be a whole number from 2 to 100, got 1"],
  [() => tokenBucket({ burst: 0 }), "tokenBucket: burst must be a whole number from 1"],
  [() => tokenBucket({ refill: 0 }), "tokenBucket: refill must be from 1"],
  [() => gcra({ burst: 1e9, window: "1d" }), "gcra: burst times the milliseconds of its window must be at most 2^51"],
  [() => concurrency({ limit: 10_001 }), "concurrency: limit must be a whole number from 1 to 10000"],
  [() => concurrency({ hold: Infinity }), "concurrency: hold must be from 1"],
])("a rule that can never work is refused: %#", (make, message) => {
  expect(make).toThrow(message);
});

it.each([
  [{ name: "" }, "rateLimit: name must be text of 1 to 512 characters"],
  [{ name: "a{b" }, 'rateLimit: name must be text without braces, got "a{b"'],
  [{ name: "a", prefix: "{x}" }, "rateLimit: prefix must be text without braces"],
  [{ name: "a", rules: [] }, "rateLimit: rules must be a list of 1 to 8 rules"],
  [{ name: "a", rules: [{ limit: 5 }] }, "rateLimit: each of rules must be made by fixedWindow"],
  [{ name: "a", rules: [gcra(), gcra({ limit: 5 })] }, "rateLimit: two of rules are gcra with the same window"],
  [{ name: "a", rules: [concurrency(), concurrency({ hold: "2m" })] }, "rateLimit: two of rules are concurrency"],
  [{ name: "a", whenAway: "allow" }, 'rateLimit: whenAway must be "open" or "closed" or "memory"'],
  [{ name: "a", processes: 0 }, "rateLimit: processes must be a whole number from 1"],
  [{ name: "a", deadline: "2m" }, "rateLimit: deadline must be from 1 to 60000 ms"],
  [{ name: "a", blockFor: 0 }, "rateLimit: blockFor must be from 1 to 2^52 ms"],
  [{ name: "a", countRefused: 1 }, "rateLimit: countRefused must be true or false"],
  [{ name: "a", rememberRefusals: -1 }, "rateLimit: rememberRefusals must be from 0 to 2^52 ms"],
  [{ name: "a", maxKeys: Infinity }, "rateLimit: maxKeys must be a whole number"],
  [{ name: "a", allow: "10.0.0.1" }, "rateLimit: allow must be a list or a set of keys"],
  [{ name: "a", deny: [7] }, "rateLimit: deny must hold texts that are not empty"],
  [{ name: "a", headers: "draft-7" }, "rateLimit: headers must be"],
  [{ name: "a", max: 5 }, 'rateLimit(): unknown option "max"'],
  [undefined, "rateLimit(): options must be an object"],
])("options that can never work are refused: %#", (options, message) => {
  expect(() => resolveOptions(options as never)).toThrow(message);
});
