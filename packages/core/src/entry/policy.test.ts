import { describe, expect, it } from "vitest";
import { InvalidArgumentError } from "../contracts/errors.ts";
import { HUNDRED_YEARS_MS } from "../primitives/duration.ts";
import { checked, checkOptionNames, OPTIONS } from "./options.ts";
import {
  DEFAULT_POLICY,
  lifetimeOf,
  resolvePolicy,
  type EntryOptions,
  type Policy,
  type ResolvedLifetime,
  type ResolvedPolicy,
} from "./policy.ts";

const half = (): number => 0.5;

describe("resolvePolicy", () => {
  it("has these defaults", () => {
    expect(DEFAULT_POLICY).toEqual({
      ttlMs: 60_000,
      staleWhileRevalidateMs: undefined,
      staleIfErrorMs: undefined,
      keepForMs: 0,
      negativeTtlMs: undefined,
      localTtlMs: undefined,
      jitter: 0,
      loadedAfter: -Infinity,
      refreshAhead: 1,
      softTimeoutMs: Infinity,
      hardTimeoutMs: Infinity,
      loadTimeoutMs: 30_000,
      errorBackoffMs: 10_000,
      coversError: undefined,
      rememberErrors: false,
      verify: true,
      inherit: false,
    });
    expect(Object.isFrozen(DEFAULT_POLICY)).toBe(true);
  });

  it("gives the very same object to a call without options", () => {
    expect(resolvePolicy(DEFAULT_POLICY, undefined)).toBe(DEFAULT_POLICY);
  });

  it("is frozen, and changes neither its base nor the given options", () => {
    const given: Policy = Object.freeze({ ttl: "5m", staleIfError: 7 });
    const policy = resolvePolicy(DEFAULT_POLICY, given);
    expect(Object.isFrozen(policy)).toBe(true);
    expect(policy).toEqual({ ...DEFAULT_POLICY, ttlMs: 300_000, givenTtl: "5m", staleIfErrorMs: 7 });
    expect(given).toEqual({ ttl: "5m", staleIfError: 7 });
  });

  const everything: readonly (readonly [Policy, Partial<ResolvedPolicy>])[] = [
    [{ ttl: "1h" }, { ttlMs: 3_600_000, givenTtl: "1h" }],
    [{ ttl: 0 }, { ttlMs: 0, givenTtl: 0 }],
    [{ ttl: -1 }, { ttlMs: -1, givenTtl: -1 }],
    [{ ttl: Infinity }, { ttlMs: Infinity, givenTtl: Infinity }],
    [{ staleWhileRevalidate: "1s" }, { staleWhileRevalidateMs: 1_000 }],
    [{ staleIfError: Infinity }, { staleIfErrorMs: Infinity }],
    [{ negativeTtl: 0 }, { negativeTtlMs: 0 }],
    [{ localTtl: 0 }, { localTtlMs: 0 }],
    [{ jitter: 0 }, { jitter: 0 }],
    [{ jitter: 0.99 }, { jitter: 0.99 }],
    [{ refreshAhead: 0.01 }, { refreshAhead: 0.01 }],
    [{ softTimeout: 0 }, { softTimeoutMs: 0 }],
    [{ hardTimeout: 0 }, { hardTimeoutMs: 0 }],
    [{ loadTimeout: 1 }, { loadTimeoutMs: 1 }],
    [{ errorBackoff: 0 }, { errorBackoffMs: 0 }],
  ];
  it.for(everything)("%j", ([given, changed]) => {
    expect(resolvePolicy(DEFAULT_POLICY, given)).toEqual({ ...DEFAULT_POLICY, ...changed });
    // Undefined says nothing; the nearest that says something wins.
    const above = resolvePolicy(DEFAULT_POLICY, given);
    expect(resolvePolicy(above, Object.fromEntries(Object.keys(given).map((name) => [name, undefined])))).toEqual(
      above,
    );
    expect(resolvePolicy(above, { ttl: 5 })).toEqual({ ...above, ttlMs: 5, givenTtl: 5 });
  });

  it.for<readonly [base: Policy, given: Policy, isRefused: boolean]>([
    [{}, { softTimeout: 10, hardTimeout: 10 }, false],
    [{}, { softTimeout: 11, hardTimeout: 10 }, true],
    [{ hardTimeout: 10 }, { softTimeout: 11 }, true],
    [{ softTimeout: 11 }, { hardTimeout: 10 }, false],
    [{ softTimeout: 11 }, { ttl: 5 }, false],
  ])("over %j, %j contradicts itself: %s", ([base, given, isRefused]) => {
    const resolve = (): ResolvedPolicy => resolvePolicy(resolvePolicy(DEFAULT_POLICY, base), given);
    if (isRefused) expect(resolve).toThrow(/^hardTimeout must be at least softTimeout \(11 ms\), got 10 ms$/);
    else expect(resolve().ttlMs).toBe(given.ttl ?? 60_000);
  });
});

describe("lifetimeOf", () => {
  it.for<
    readonly [
      what: string,
      value: unknown,
      policy: Policy,
      options: EntryOptions | undefined,
      expected: Partial<ResolvedLifetime>,
    ]
  >([
    [
      "the policy's",
      1,
      { ttl: 100, staleWhileRevalidate: 10, staleIfError: 20 },
      undefined,
      { ttlMs: 100, staleWhileRevalidateMs: 10, staleIfErrorMs: 20, localTtlMs: Infinity },
    ],
    ["the write's instead", 1, { ttl: 100, staleIfError: 20 }, { ttl: 7 }, { ttlMs: 7, staleIfErrorMs: 20 }],
    [
      "the write's windows",
      1,
      { ttl: 100 },
      { staleWhileRevalidate: 1, staleIfError: 2 },
      { ttlMs: 100, staleWhileRevalidateMs: 1, staleIfErrorMs: 2 },
    ],
    ["negativeTtl for null", null, { ttl: 100, negativeTtl: 5 }, undefined, { ttlMs: 5 }],
    ["negativeTtl for null only", undefined, { ttl: 100, negativeTtl: 5 }, undefined, { ttlMs: 100 }],
    ["ttl for null without it", null, { ttl: 100 }, undefined, { ttlMs: 100 }],
    ["the policy's negativeTtl beside the write's ttl", null, { ttl: 100, negativeTtl: 5 }, { ttl: 50 }, { ttlMs: 5 }],
    ["the write's negativeTtl", null, { ttl: 100, negativeTtl: 5 }, { negativeTtl: 9 }, { ttlMs: 9 }],
    ["whole milliseconds", 1, { ttl: 0.2, staleIfError: 1.2 }, undefined, { ttlMs: 1, staleIfErrorMs: 2 }],
    ["none, kept for loaders", 1, { ttl: 0 }, { keepFor: 5 }, { ttlMs: 0, keepForMs: 5 }],
    ["less than none, kept for loaders", 1, { ttl: -0.5, keepFor: 0.5 }, undefined, { ttlMs: 0, keepForMs: 1 }],
    ["kept for a hundred years", 1, { keepFor: Infinity }, undefined, { keepForMs: HUNDRED_YEARS_MS }],
    ["endless", 1, { ttl: Infinity, jitter: 0.5 }, undefined, { ttlMs: Infinity }],
    [
      "endless windows as a hundred years",
      1,
      { staleIfError: Infinity, staleWhileRevalidate: Infinity },
      undefined,
      { staleIfErrorMs: HUNDRED_YEARS_MS, staleWhileRevalidateMs: HUNDRED_YEARS_MS },
    ],
    [
      "windows of centuries too",
      1,
      { staleIfError: 2 * HUNDRED_YEARS_MS },
      undefined,
      { staleIfErrorMs: HUNDRED_YEARS_MS },
    ],
    ["localTtl of the write", 1, { localTtl: 100 }, { localTtl: 5 }, { localTtlMs: 5 }],
    ["localTtl of nothing", 1, { localTtl: 100 }, { localTtl: 0 }, { localTtlMs: 0 }],
    ["jitter takes half of its half", 1, { ttl: 1_000, jitter: 0.5 }, undefined, { ttlMs: 750 }],
    ["jitter of the write", 1, { ttl: 1_000, jitter: 0.5 }, { jitter: 0 }, { ttlMs: 1_000 }],
    [
      "jitter takes nothing from windows",
      1,
      { ttl: 1_000, jitter: 0.5, staleIfError: 100, staleWhileRevalidate: 100 },
      undefined,
      { staleIfErrorMs: 100, staleWhileRevalidateMs: 100 },
    ],
    ["tags say nothing about it", 1, { ttl: 100 }, { tags: ["t"], etag: "e" }, { ttlMs: 100 }],
  ])("%s", ([, value, policy, options, expected]) => {
    expect(lifetimeOf(value, resolvePolicy(DEFAULT_POLICY, policy), options, half)).toMatchObject(expected);
  });

  it.each([
    [1, { ttl: 0 }],
    [1, { ttl: -0.5, staleIfError: 5 }],
    [null, { negativeTtl: 0, keepFor: 5 }],
  ])("none at all of %s under %j", (value, policy) => {
    expect(lifetimeOf(value, resolvePolicy(DEFAULT_POLICY, policy), undefined)).toBe(undefined);
  });

  it("jitter stays within its share for every random number", () => {
    const policy = resolvePolicy(DEFAULT_POLICY, { ttl: 1_000, jitter: 0.3 });
    const at = (chance: number): number => lifetimeOf(1, policy, undefined, () => chance)!.ttlMs;
    expect([at(0), at(0.5), at(1 - Number.EPSILON)]).toEqual([1_000, 850, 701]);
    expect(
      lifetimeOf(1, resolvePolicy(DEFAULT_POLICY, { ttl: 1, jitter: 0.99 }), undefined, () => 1 - Number.EPSILON)!
        .ttlMs,
    ).toBe(1);
  });
});

describe("checkOptionNames", () => {
  it("accepts undefined, and every known name", () => {
    for (const name of Object.keys(OPTIONS) as (keyof typeof OPTIONS)[]) {
      expect(() => checked(name, undefined)).not.toThrow();
      const options = Object.fromEntries(Object.keys(OPTIONS[name]).map((option) => [option, undefined]));
      expect(checked(name, options), name).toBe(options);
    }
  });

  it("names the unknown option and the accepted ones", () => {
    expect(() => checkOptionNames("entry", { ttl: 1, tll: 5 })).toThrow(
      new InvalidArgumentError(
        'options: unknown option "tll"; did you mean ttl?; accepted: ttl, staleWhileRevalidate, staleIfError, keepFor, negativeTtl, localTtl, jitter, tags, etag, lastModified, since, wait',
      ),
    );
    for (const given of [null, 5, "ttl", []])
      expect(() => checkOptionNames("entry", given)).toThrow(/^options must be an object, got .*; accepted: ttl/);
  });
});

describe("checked", () => {
  it.for<readonly [EntryOptions | undefined]>([
    [undefined],
    [{}],
    [{ ttl: 0, tags: [], etag: "", lastModified: "" }],
    [{ tags: ["a", "a"], ttl: "1m" }],
  ])("takes %j", ([options]) => {
    expect(() => checked("entry", options)).not.toThrow();
  });

  it.for<readonly [unknown]>([
    [{ ttl: "soon" }],
    [{ staleIfError: -1 }],
    [{ jitter: 1 }],
    [{ tags: "a" }],
    [{ tags: [""] }],
    [{ etag: 5 }],
    [{ lastModified: new Date(0) }],
    [{ hardTimeout: 5 }],
    [null],
  ])("refuses %j", ([options]) => {
    expect(() => checked("entry", options as EntryOptions)).toThrow(InvalidArgumentError);
  });
});
