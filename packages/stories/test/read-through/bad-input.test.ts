import {
  CacheError,
  createCache,
  DecodeError,
  json,
  keyOf,
  parseDuration,
  type Backend,
  type Cache,
  type CacheOptions,
  type LocalTier,
  type Namespace,
  type StoredEntry,
} from "@hotset/core";
import { brotli, gzip } from "@hotset/formats";
import { mapTier, scriptedBackend, TestClock } from "@hotset/testing";
import { memory } from "@hotset/memory";
import { describe, expect, it } from "vitest";
import { never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const INVALID = { name: "InvalidArgumentError", code: "INVALID_ARGUMENT" } as const;
const MISBUILT = { name: "ConfigurationError", code: "INVALID_CONFIGURATION" } as const;
const same = <T>(value: T): T => value;

/** The error that `call` throws or rejects with. */
async function errorOf(call: () => unknown): Promise<CacheError> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(CacheError);
    return error as CacheError;
  }
  throw new Error("no error was thrown");
}

const DURATIONS = [
  "ttl",
  "staleWhileRevalidate",
  "staleIfError",
  "negativeTtl",
  "localTtl",
  "softTimeout",
  "hardTimeout",
  "loadTimeout",
  "errorBackoff",
] as const;
const ENTRY_DURATIONS = DURATIONS.slice(0, 5);
const FRACTIONS = ["jitter", "refreshAhead"] as const;
const NO_DURATION: readonly (readonly [given: unknown, shown: string])[] = [
  [NaN, "NaN"],
  ["soon", '"soon"'],
  ["5", '"5"'],
  ["5 min", '"5 min"'],
  ["5y", '"5y"'],
  ["", '""'],
  ["1m ", '"1m "'],
  ["--1s", '"--1s"'],
  ["1e999s", '"1e999s"'],
  [null, "null"],
  [{}, "an object"],
  [[5], "an array"],
  [true, "true"],
  [5n, "5n"],
  [new Date(5), "an object"],
  [() => 5, "a function"],
];

describe.each(DURATIONS)("%s", (option) => {
  it.for(NO_DURATION)("C10 $1 is refused as a duration by every method", async ([given, shown]) => {
    const { cache } = open("memory");
    const options = { [option]: given } as never;
    const places: (() => unknown)[] = [
      () => cache.getOrSet("k", () => 1, options),
      () => cache.getOrSetMany(["k"], same, never, options),
      () => cache.namespace("n", options),
      // In `wrap`, `ttl` may be a function of the value.
      ...(option === "ttl" && typeof given === "function"
        ? []
        : [() => cache.wrap(() => 1, { name: "w", ...(options as object) })]),
      ...((ENTRY_DURATIONS as readonly string[]).includes(option)
        ? [
            () => cache.set("k", 1, options),
            () => cache.setMany([["k", 1]], options),
            () => cache.getOrSet("k", (ctx) => (ctx.setOptions(options), 1)),
          ]
        : []),
    ];
    for (const place of places) {
      const error = await errorOf(place);
      expect(error).toMatchObject(INVALID);
      expect(error.message).toBe(
        `${option} must be milliseconds (60_000), or a number with a unit: ms, s, m, h or d ("1m"); got ${shown}`,
      );
    }
    expect(await cache.has("k")).toBe(false);
    const error = await errorOf(() => createCache({ name: "test" }).defaults(options));
    expect(error).toMatchObject(MISBUILT);
    expect(error.message).toContain(
      `${option} must be milliseconds (60_000), or a number with a unit: ms, s, m, h or d ("1m"); got ${shown}`,
    );
  });
});

it.for<readonly [option: string, given: unknown, least: number]>([
  ["staleWhileRevalidate", -1, 0],
  ["staleIfError", "-1ms", 0],
  ["localTtl", -0.5, 0],
  ["softTimeout", -1, 0],
  ["hardTimeout", -Infinity, 0],
  ["loadTimeout", 0, 1],
  ["errorBackoff", -1, 0],
])("C10 %s refuses %s", async ([option, given, least]) => {
  const { cache } = open("memory");
  const error = await errorOf(() => cache.getOrSet("k", () => 1, { [option]: given }));
  expect(error).toMatchObject({ ...INVALID, message: expect.stringContaining(`${option} must be `) as string });
  expect(error.message).toContain(`at least ${least} ms`);
});

it.for([0, -1, "0s"] as const)("C213 defaults refuse the ttl %s, which a call and a namespace may set", async (ttl) => {
  const error = await errorOf(() => createCache({ name: "test" }).tier(memory()).defaults({ ttl }));
  expect(error).toMatchObject({
    ...MISBUILT,
    message: expect.stringContaining("defaults: ttl must be above 0 ms") as string,
  });
  const { cache } = open("memory");
  expect(await cache.namespace("none", { ttl }).set("k", 1)).toEqual({ status: "refused" });
  expect(await cache.set("k", 1, { ttl })).toEqual({ status: "refused" });
});

it.for<readonly [option: (typeof FRACTIONS)[number], given: unknown]>(
  FRACTIONS.flatMap((option) =>
    [1, 1.5, -0.1, NaN, Infinity, "0.5", null, ...(option === "refreshAhead" ? [0] : [])].map(
      (given) => [option, given] as const,
    ),
  ),
)("C10 %s refuses %s", async ([option, given]) => {
  const { cache } = open("memory");
  for (const place of [
    () => cache.getOrSet("k", () => 1, { [option]: given }),
    () => cache.namespace("n", { [option]: given }),
  ]) {
    expect(await errorOf(place)).toMatchObject({
      ...INVALID,
      message: expect.stringMatching(new RegExp(`^${option} must be a fraction in [[(]0, 1\\), got .+$`)) as string,
    });
  }
});

it("C10 a hardTimeout below the softTimeout of the same call is refused; below an inherited softTimeout it takes precedence", async () => {
  const { cache } = open("memory", { softTimeout: 100 });
  expect(await errorOf(() => cache.getOrSet("k", () => 1, { softTimeout: 100, hardTimeout: 99 }))).toMatchObject({
    ...INVALID,
    message: expect.stringContaining("hardTimeout must be at least softTimeout (100 ms), got 99 ms") as string,
  });
  expect(await cache.getOrSet("k", () => 1, { hardTimeout: 99 })).toBe(1);
});

it.for(["", "soon", "5", "NaN", "1m1s", "infinity", "0x5s", "5ms5"] as const)(
  "C10 parseDuration refuses %j",
  async (text) => {
    expect(await errorOf(() => parseDuration(text))).toMatchObject({
      ...INVALID,
      message: expect.stringContaining(JSON.stringify(text)) as string,
    });
  },
);

const SURROGATE = "a\uD800b";
const BAD_KEYS: readonly (readonly [what: string, key: unknown, expected: string])[] = [
  ["empty", "", 'key must be a non-empty string, got ""'],
  ["undefined", undefined, "key must be a non-empty string, got undefined"],
  ["null", null, "key must be a non-empty string, got null"],
  ["a number", 42, "key must be a non-empty string, got a number"],
  ["NaN", NaN, "key must be a non-empty string, got NaN"],
  ["a symbol", Symbol("k"), "key must be a non-empty string, got a symbol"],
  ["an array", ["k"], "key must be a non-empty string, got an array"],
  ["an object", { toString: () => "k" }, "key must be a non-empty string, got an object"],
  ["a String object", Object("k"), "key must be a non-empty string, got an object"],
  ["text with a lone high surrogate", SURROGATE, "key must be well-formed text, got a lone surrogate"],
  ["a lone low surrogate", "\uDC00", "key must be well-formed text, got a lone surrogate"],
  [
    "longer than 64 KiB",
    "k".repeat(65_537),
    "key must be at most 65536 bytes in UTF-8, got a longer one; hash the data it is made of",
  ],
  ["longer than 64 KiB in UTF-8", "€".repeat(21_846), "key must be at most 65536 bytes"],
];

describe.each(STACKS)("over %s", (stack) => {
  it.for(BAD_KEYS)("C10 every method refuses a key that is %s, and nothing changes", async ([, key, expected]) => {
    const { cache, backend } = open(stack);
    for (const space of [
      cache,
      cache.namespace("n"),
      ...(stack === "backend" ? [] : [cache.namespace("n", { localOnly: true })]),
    ]) {
      const bad = key as string;
      const calls: (() => unknown)[] = [
        () => space.getOrSet(bad, never),
        () => space.getOrSetMany([1], () => bad, never),
        () => space.get(bad),
        () => space.getMany(["good", bad]),
        () => space.peek(bad),
        () => space.has(bad),
        () => space.inspect(bad),
        () => space.set(bad, 1),
        () =>
          space.setMany([
            ["good", 1],
            [bad, 2],
          ]),
        () => space.delete(bad),
        () => space.deleteMany(["good", bad]),
        () => space.markStale(bad),
      ];
      for (const call of calls) {
        const error = await errorOf(call);
        expect(error).toMatchObject(INVALID);
        expect(error.message).toContain(expected);
        expect(error.message.length).toBeLessThan(200);
      }
      expect(await space.has("good")).toBe(false);
    }
    expect(backend.count("batch.read") + backend.count("write") + backend.count("remove")).toBe(0);
  });

  it("accepts keys of 64 KiB and keys that look like internal names", async () => {
    const { cache } = open(stack);
    const keys = [
      "k".repeat(65_536),
      "€".repeat(21_845),
      "\0",
      "\u0001",
      "__proto__",
      "constructor",
      " ",
      "*",
      "{a}",
      "a::b",
      "😀",
    ];
    for (const [i, key] of keys.entries()) await cache.set(key, i);
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual(keys.map((_, i) => i));
    expect([...(await cache.getMany(keys)).keys()]).toEqual(keys);
  });

  it.for([[undefined], [null], ["users"], [5], [{}], [Promise.resolve(() => 1)]] as const)(
    "C10 %s is refused as a loader",
    async ([load]) => {
      const { cache, backend } = open(stack);
      const calls = [
        () => cache.getOrSet("k", load as never),
        () => cache.getOrSetMany(["k"], same, load as never),
        () => cache.wrap(load as never, { name: "w" }),
      ];
      for (const call of calls)
        expect(await errorOf(call)).toMatchObject({
          ...INVALID,
          message: expect.stringMatching(/ must be (?:a function|given a function).*, got /) as string,
        });
      await cache.set("k", "there");
      backend.forgetCalls();
      // A stored value must not hide the mistake until it expires.
      expect(await errorOf(() => cache.getOrSet("k", load as never))).toMatchObject(INVALID);
      expect(backend.calls).toEqual([]);
    },
  );

  it.for<readonly [string, (cache: Cache) => unknown, string]>([
    ["getOrSet", (cache) => cache.getOrSet("k", never, { TTL: 5 } as never), '"TTL"'],
    [
      "getOrSet with an option of bentocache",
      (cache) => cache.getOrSet("k", never, { grace: "6h" } as never),
      '"grace"',
    ],
    ["getOrSetMany", (cache) => cache.getOrSetMany(["k"], same, never, { onServed: () => {} } as never), '"onServed"'],
    ["get", (cache) => cache.get("k", { stale: true } as never), '"stale"'],
    ["getMany", (cache) => cache.getMany(["k"], { stale: true } as never), '"stale"'],
    ["set", (cache) => cache.set("k", 1, { ex: 5 } as never), '"ex"'],
    ["set with an option for loads only", (cache) => cache.set("k", 1, { softTimeout: 5 } as never), '"softTimeout"'],
    ["setMany", (cache) => cache.setMany([["k", 1]], { ex: 5 } as never), '"ex"'],
    ["namespace", (cache) => cache.namespace("n", { local: true } as never), '"local"'],
    ["wrap", (cache) => cache.wrap(never, { name: "w", keys: same } as never), '"keys"'],
    ["close", (cache) => cache.close({ force: true } as never), '"force"'],
    [
      "a loader's setOptions",
      (cache) => cache.getOrSet("k", (ctx) => (ctx.setOptions({ hardTimeout: 5 } as never), 1)),
      '"hardTimeout"',
    ],
  ])("C10 an option unknown to %s is named in the error, with the accepted ones", async ([, call, name]) => {
    const { cache } = open(stack);
    const error = await errorOf(() => call(cache));
    expect(error).toMatchObject(INVALID);
    expect(error.message).toMatch(new RegExp(`^options: unknown option ${name}; accepted are \\w+`));
    expect(await cache.has("k")).toBe(false);
  });

  it.for([[null], [5], ["1m"], [true], [[]], [() => {}]] as const)(
    "C10 %s is refused as options",
    async ([options]) => {
      const { cache } = open(stack);
      const calls = [
        () => cache.getOrSet("k", never, options as never),
        () => cache.getOrSetMany(["k"], same, never, options as never),
        () => cache.get("k", options as never),
        () => cache.set("k", 1, options as never),
        () => cache.namespace("n", options as never),
        () => cache.wrap(never, options as never),
        () => cache.getOrSet("k", (ctx) => (ctx.setOptions(options as never), 1)),
      ];
      for (const call of calls) expect(await errorOf(call)).toMatchObject(INVALID);
      expect(await errorOf(() => createCache({ name: "n" }).defaults(options as never))).toMatchObject(MISBUILT);
      expect(await errorOf(() => createCache(options as never))).toMatchObject(MISBUILT);
    },
  );

  it("options of null are ignored by a local hit and refused before a load", async () => {
    const { cache } = open(stack);
    await cache.set("k", 1);
    if (stack !== "backend") expect(await cache.getOrSet("k", never, null as never)).toBe(1);
    else expect(await errorOf(() => cache.getOrSet("k", never, null as never))).toMatchObject(INVALID);
  });

  it.for<readonly [string, unknown, string]>([
    ["tags", "users", "tags must be an array of strings, got text of 5 characters"],
    ["tags", ["a", ""], 'tags must be non-empty, well-formed strings of at most 512 characters, got ""'],
    ["tags", [5], "tags must be non-empty, well-formed strings of at most 512 characters, got a number"],
    ["tags", [SURROGATE], "tags must be non-empty, well-formed strings of at most 512 characters, got "],
    ["tags", ["t".repeat(513)], "at most 512 characters"],
    ["tags", new Set(["a"]), "tags must be an array of strings, got an object"],
    ["signal", new AbortController(), "signal must be an AbortSignal, got an object"],
    ["signal", null, "signal must be an AbortSignal, got null"],
    ["onServed", "log", "onServed must be a function, got text of 3 characters"],
    ["forceRefresh", "yes", 'forceRefresh must be true or false, got "yes"'],
    ["current", 5, "current must be true or false, got 5"],
  ])("C10 getOrSet refuses the option %s: %s", async ([option, given, expected]) => {
    const { cache } = open(stack);
    const error = await errorOf(() => cache.getOrSet("k", never, { [option]: given }));
    expect(error).toMatchObject(INVALID);
    expect(error.message).toContain(expected);
  });

  it.for<readonly [string, unknown, string]>([
    ["etag", 5, "etag must be the text of the header, got a number"],
    ["etag", null, "etag must be the text of the header, got null"],
    ["lastModified", new Date(0), "lastModified must be the text of the header, got an object"],
  ])("C10 set refuses the option %s: %s", async ([option, given, expected]) => {
    const { cache } = open(stack);
    expect((await errorOf(() => cache.set("k", 1, { [option]: given }))).message).toContain(expected);
    expect(await cache.has("k")).toBe(false);
  });

  it.for<readonly [string, (cache: Cache) => unknown, string]>([
    [
      "items",
      (cache) => cache.getOrSetMany(new Set(["k"]) as never, same as never, never),
      "items must be an array, got an object",
    ],
    [
      "key",
      (cache) => cache.getOrSetMany(["k"], "id" as never, never),
      "key must be a function that makes a key of an item, got text of 2 characters",
    ],
    ["keys", (cache) => cache.getMany("abc" as never), "keys must be an array of strings, got text of 3 characters"],
    ["keys", (cache) => cache.deleteMany(new Set(["k"]) as never), "keys must be an array of strings, got an object"],
    [
      "entries",
      (cache) => cache.setMany({ k: 1 } as never),
      "entries must be a list of pairs of a key and a value, got an object",
    ],
    [
      "entries",
      (cache) => cache.setMany([["k", 1], 5] as never),
      "entries must hold pairs of a key and a value, got a number",
    ],
    [
      "entries",
      (cache) => cache.setMany([["k", 1], null] as never),
      "entries must hold pairs of a key and a value, got null",
    ],
    [
      "entries",
      (cache) => cache.setMany(["ab"] as never),
      "entries must hold pairs of a key and a value, got text of 2 characters",
    ],
    [
      "entries",
      (cache) => cache.setMany(null as never),
      "entries must be a list of pairs of a key and a value, got null",
    ],
    [
      "invalidateTags with a list of lists",
      (cache) => cache.invalidateTags([["t"]] as never),
      "tags must be non-empty, well-formed strings of at most 512 characters, got an array",
    ],
    [
      "markTagsStale with undefined",
      (cache) => cache.markTagsStale(undefined as never),
      "tags must be non-empty, well-formed strings of at most 512 characters, got undefined",
    ],
    ["namespace", (cache) => cache.namespace(""), 'namespace must be a non-empty, well-formed string, got ""'],
    [
      "namespace",
      (cache) => cache.namespace(5 as never),
      "namespace must be a non-empty, well-formed string, got a number",
    ],
    ["namespace", (cache) => cache.namespace(SURROGATE), "namespace must be a non-empty, well-formed string, got "],
    [
      "schema",
      (cache) => cache.namespace("n", { schema: {} as never }),
      "schema must be a Standard Schema (https://standardschema.dev), got an object",
    ],
    [
      "wrap",
      (cache) => cache.wrap(never, {} as never),
      "name must be a non-empty, well-formed string, unique per wrapped function, got undefined",
    ],
    [
      "wrap",
      (cache) => cache.wrap(never, undefined as never),
      "name must be a non-empty, well-formed string, unique per wrapped function, got undefined",
    ],
    ["keyOf", () => keyOf("user", NaN), "NaN"],
    [
      "wrap",
      (cache) => cache.wrap(() => 1, { name: "w", key: "id" as never }),
      "key must be a function that makes a key of the arguments, got text of 2 characters",
    ],
    [
      "wrap",
      (cache) => cache.wrap(() => 1, { name: "w", key: null as never }),
      "key must be a function that makes a key of the arguments, got null",
    ],
    [
      "wrap",
      (cache) => cache.wrap(() => 1, { name: "w", tags: "users" as never }),
      "tags must be an array of strings, got text of 5 characters",
    ],
    [
      "wrap",
      (cache) => cache.wrap(() => 1, { name: "w", tags: [5] as never }),
      "tags must be non-empty, well-formed strings of at most 512 characters, got a number",
    ],
    [
      "wrap",
      (cache) => cache.wrap(() => 1, { name: "w", tags: null as never }),
      "tags must be an array of strings, got null",
    ],
    [
      "wrap",
      (cache) => cache.wrap(() => 1, { name: "w", tags: new Set(["a"]) as never }),
      "tags must be an array of strings, got an object",
    ],
    [
      "namespace",
      (cache) => cache.namespace("n", { localOnly: "true" as never }),
      'localOnly must be true or false, got "true"',
    ],
    ["namespace", (cache) => cache.namespace("n", { localOnly: 1 as never }), "localOnly must be true or false, got 1"],
    ["get", (cache) => cache.get("k", { allowStale: "yes" as never }), 'allowStale must be true or false, got "yes"'],
    [
      "getMany",
      (cache) => cache.getMany(["k"], { allowStale: null as never }),
      "allowStale must be true or false, got null",
    ],
    ["close", (cache) => cache.close({ timeout: -1 }), "timeout must be at least 0 ms, got -1"],
    [
      "markTagsStale",
      (cache) => cache.markTagsStale(["a b", 5 as never]),
      "tags must be non-empty, well-formed strings of at most 512 characters, got a number",
    ],
  ])("C10 an invalid argument (%s) is refused with a message that names it", async ([, call, expected]) => {
    const { cache, stored } = open(stack);
    const error = await errorOf(() => call(cache));
    expect(error).toMatchObject(INVALID);
    expect(error.message).toContain(expected);
    expect(stored()).toEqual([]);
  });

  it("C10 a wrapped function keeps the tags that it was given, if their array changes later", async () => {
    const { cache } = open(stack);
    const tags = ["users"];
    const wrapped = cache.wrap((n: number) => n, { name: "w", tags });
    tags.pop();
    await wrapped(1);
    expect((await cache.inspect(wrapped.key(1)))?.tags).toEqual(["users"]);
  });

  it("C10 a wrapped function rejects, and does not throw, when its key function fails (async-cache-dedupe)", async () => {
    const { cache } = open(stack);
    const failure = new Error("no key");
    const wrapped = cache.wrap((n: number) => n, {
      name: "w",
      key: (): string => {
        throw failure;
      },
    });
    for (const call of [() => wrapped(1), () => wrapped.refresh(1), () => wrapped.invalidate(1)]) {
      let result: unknown;
      expect(() => (result = call())).not.toThrow();
      await expect(result).rejects.toBe(failure);
    }
    const unkeyed = cache.wrap((n: number) => n, { name: "w" });
    await expect(unkeyed(NaN)).rejects.toMatchObject(INVALID);
  });

  it.for<readonly [string, unknown, string]>([
    [
      "undefined",
      undefined,
      "value must not be undefined; give null to remember that there is none, or delete the key",
    ],
    ["a promise", Promise.resolve(1), "value must not be a promise; await it first"],
  ])("C10 %s is refused as a value", async ([, value, expected]) => {
    const { cache } = open(stack);
    await cache.set("k", "old");
    for (const call of [
      () => cache.set("k", value as never),
      () =>
        cache.setMany([
          ["other", 1],
          ["k", value as never],
        ]),
    ]) {
      const error = await errorOf(call);
      expect(error).toMatchObject({ ...INVALID, message: expected });
    }
    expect([await cache.get("k"), await cache.has("other")]).toEqual(["old", false]);
  });
});

describe("invalid configuration", () => {
  const overBackend = () =>
    createCache({ name: "n" }).tier(scriptedBackend({ clock: new TestClock() })) as unknown as {
      tier(tier: Backend | LocalTier): unknown;
    };
  it.for<readonly [string, unknown, string]>([
    ["name", {}, "name must be a well-formed string, the root of every key, got undefined"],
    ["name", { name: 5 }, "name must be a well-formed string, the root of every key, got 5"],
    ["name", { name: SURROGATE }, "name must be a well-formed string"],
    ["version", { name: "n", version: "" }, 'version must be a number or a non-empty string, got ""'],
    ["version", { name: "n", version: NaN }, "version must be a number or a non-empty string, got NaN"],
    ["version", { name: "n", version: {} }, "version must be a number or a non-empty string, got an object"],
    ["maxLoads", { name: "n", maxLoads: 0 }, "maxLoads must be a whole number of at least 1, got 0"],
    ["maxLoads", { name: "n", maxLoads: 1.5 }, "maxLoads must be a whole number of at least 1, got 1.5"],
    ["maxLoads", { name: "n", maxLoads: "10" }, 'maxLoads must be a whole number of at least 1, got "10"'],
    [
      "maxBackgroundLoads",
      { name: "n", maxBackgroundLoads: -1 },
      "maxBackgroundLoads must be a whole number of at least 1, got -1",
    ],
    ["waitUntil", { name: "n", waitUntil: true }, "waitUntil must be a function, got true"],
    ["clock", { name: "n", clock: {} }, "clock must have now() and schedule(), got an object"],
    [
      "clock",
      { name: "n", clock: { now: () => 0, schedule: () => () => undefined, epochMs: 7 } },
      "clock must have now() and schedule(), got an object",
    ],
    ["clock", { name: "n", clock: null }, "clock must have now() and schedule(), got null"],
    ["an unknown option", { name: "n", prefix: "p" }, 'unknown option "prefix"; accepted are name, version'],
  ])("createCache refuses an invalid option at once: %s", async ([, options, expected]) => {
    const error = await errorOf(() => createCache(options as CacheOptions));
    expect(error).toMatchObject(MISBUILT);
    expect(error.message).toContain(expected);
  });

  it.for<readonly [string, () => unknown, string]>([
    [
      "a cache without a tier",
      () => (createCache({ name: "n" }) as unknown as { build(): Cache }).build(),
      "build: no tier; add memory() or a backend",
    ],
    [
      "an object that is not a tier",
      () => createCache({ name: "n" }).tier({} as never),
      "tier must be memory(), or a backend such as redis(url).build(), got an object",
    ],
    [
      "undefined as a tier",
      () => createCache({ name: "n" }).tier(undefined as never),
      "tier must be memory(), or a backend such as redis(url).build(), got undefined",
    ],
    [
      "two local tiers",
      () =>
        createCache({ name: "n" })
          .tier(memory())
          .tier(memory() as never),
      "only the first tier can be a local one; move memory() to the front",
    ],
    ["a local tier behind a backend", () => overBackend().tier(mapTier()), "only the first tier can be a local one"],
    [
      "two backends",
      () => overBackend().tier(scriptedBackend({ clock: new TestClock() })),
      "only one backend is allowed; combine two with compose(near, far)",
    ],
    [
      "a backend without coherence and without localTtl",
      () =>
        createCache({ name: "n" })
          .tier(memory())
          .tier(scriptedBackend({ clock: new TestClock(), coherence: "none" }))
          .build(),
      "localTtl must be set with defaults({ localTtl }): scripted reports no changes",
    ],
    [
      "localOnly without a local tier",
      () =>
        createCache({ name: "n" })
          .tier(scriptedBackend({ clock: new TestClock() }))
          .build()
          .namespace("l", { localOnly: true }),
      "localOnly needs a local tier",
    ],
  ])("%s is refused with a message that says how to fix it", async ([, build, expected]) => {
    const error = await errorOf(build);
    expect(error).toMatchObject(MISBUILT);
    expect(error.message).toContain(expected);
  });

  it.for<readonly [string, () => unknown, string]>([
    ["negative maxBytes", () => memory({ maxBytes: -1 }), "maxBytes"],
    ["negative maxEntries", () => memory({ maxEntries: -1 }), "maxEntries"],
    ["negative maxEntryBytes", () => memory({ maxEntryBytes: -1 }), "maxEntryBytes"],
    ["an unknown compression level", () => gzip({ level: 99 }), "level"],
    ["negative minBytes", () => brotli({ minBytes: -1 }), "minBytes"],
  ])("%s: refused with a message that names the option", async ([, build, option]) => {
    const error = await errorOf(build);
    expect(["INVALID_ARGUMENT", "INVALID_CONFIGURATION"]).toContain(error.code);
    expect(error.message).toContain(option);
  });
});

describe.each(STACKS_WITH_BACKEND)("values, over %s", (stack) => {
  class Password {
    readonly #secret = "hunter2";
    toJSON(): never {
      throw new Error(`cannot write ${this.#secret}`);
    }
  }
  const cycle: Record<string, unknown> = { secret: "hunter2" };
  cycle["self"] = cycle;
  const unwritable: readonly (readonly [string, unknown])[] = [
    ["a cycle", cycle],
    ["a bigint", 5n],
    ["a function", () => "hunter2"],
    ["a symbol", Symbol("hunter2")],
    ["a Map", new Map([["hunter2", 1]])],
    ["an object whose toJSON throws", new Password()],
    ["an object with the property __proto__", JSON.parse('{"__proto__":"hunter2"}')],
  ];

  it.for(unwritable)("set refuses %s, which the format cannot encode, and the old value stays", async ([, value]) => {
    const { cache, stored } = open(stack);
    await cache.set("k", "old", { tags: ["t"] });
    for (const call of [() => cache.set("k", value as never), () => cache.setMany([["k", value as never]])]) {
      const error = await errorOf(call);
      expect(error).toMatchObject({
        name: "EncodeError",
        code: "ENCODE_FAILED",
        tier: "scripted",
        operation: "encode",
      });
      expect(error.message).not.toContain("hunter2");
    }
    expect(await cache.get("k")).toBe("old");
    expect(await cache.inspect("k")).toMatchObject({ state: "fresh", tags: ["t"] });
    await expect(cache.set("new", value as never)).rejects.toMatchObject({ code: "ENCODE_FAILED" });
    expect([await cache.has("new"), stored()]).toEqual([false, ["test::k"]]);
  });

  it.for(unwritable)("C205 %s from a loader is returned, reported, and kept in memory alone", async ([, value]) => {
    const { cache, stored } = open(stack);
    const seen = watch(cache, "backend:error", "load");
    expect(await cache.getOrSet("k", () => value)).toBe(value);
    const hasMemory = stack !== "backend";
    expect([await cache.has("k"), stored()]).toEqual([hasMemory, []]);
    if (hasMemory) expect(await cache.getOrSet("k", never)).toBe(value);
    expect(seen.map(([name]) => name)).toEqual(["backend:error", "load"]);
    const [[, failed], [, load]] = seen as unknown as [
      readonly ["backend:error", { tier: string; error: CacheError }],
      readonly ["load", { result: string }],
    ];
    expect([failed.tier, failed.error.code, load.result]).toEqual([
      "scripted",
      "ENCODE_FAILED",
      hasMemory ? "stored" : "refused",
    ]);
    expect(failed.error.message).not.toContain("hunter2");
    expect(cache.stats().tiers.at(-1)).toMatchObject({ state: "up" });
  });

  const broken: readonly (readonly [string, (entry: StoredEntry) => StoredEntry])[] = [
    ["invalid JSON", (entry) => ({ ...entry, data: Buffer.from('{"secret":"hunter2"') })],
    ["invalid UTF-8", (entry) => ({ ...entry, data: Uint8Array.of(0x22, 0xff, 0x22) })],
    ["no bytes", (entry) => ({ ...entry, data: new Uint8Array() })],
    ["a property named __proto__", (entry) => ({ ...entry, data: Buffer.from('{"__proto__":{"isAdmin":true}}') })],
    ["a meta that is not JSON", (entry) => ({ ...entry, meta: "hunter2" })],
    ["a meta that is not an object", (entry) => ({ ...entry, meta: "5" })],
    ["a meta of null", (entry) => ({ ...entry, meta: "null" })],
    ["a meta without a format", (entry) => ({ ...entry, meta: "{}" })],
    ["a meta whose tags are not a list", (entry) => ({ ...entry, meta: '{"f":"json","g":5,"v":["a"]}' })],
    ["a meta whose tag versions are not a list", (entry) => ({ ...entry, meta: '{"f":"json","v":7}' })],
    ["a meta whose ttl is not a number", (entry) => ({ ...entry, meta: '{"f":"json","t":"1m"}' })],
    ["an unknown format", (entry) => ({ ...entry, meta: '{"f":"xml"}' })],
    ["an unknown compressor", (entry) => ({ ...entry, meta: '{"f":"json","c":"lzma"}' })],
  ];
  it.for(broken)("an entry with %s is a miss, is reported once, and is overwritten", async ([, breaking]) => {
    const { cache: writer, clock, backend } = open("backend");
    await writer.set("k", { name: "Ada" });
    backend.store.set("test::k", breaking(backend.store.get("test::k")!));
    const { cache } = open(stack, { clock, backend });
    const seen = watch(cache, "decode:error");
    expect(await cache.get("k")).toBe(undefined);
    expect(await cache.getMany(["k", "j"])).toEqual(new Map());
    expect(await cache.inspect("k")).toBe(undefined);
    expect(await cache.has("k")).toBe(false);
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
    expect(seen.map(([, { key, tier, error }]) => [key, tier, error.code])).toEqual([
      ["k", "scripted", "DECODE_FAILED"],
    ]);
    expect(seen[0]![1].error.message).not.toContain("hunter2");
    expect(await writer.get("k")).toBe("loaded");
    expect(cache.stats().tiers.at(-1)).toMatchObject({ state: "up" });
    expect(({} as { isAdmin?: boolean }).isAdmin).toBe(undefined);
  });

  it("C98 an entry that the backend itself cannot decode is a miss, is reported, and is overwritten", async () => {
    const { cache, backend } = open(stack);
    const { read } = backend;
    let isCorrupt = true;
    backend.read = (key) =>
      isCorrupt && key.endsWith("k") ? Promise.reject(new DecodeError("not packed")) : read.call(backend, key);
    const reported: string[] = [];
    cache.on("decode:error", ({ key, error }) => reported.push(`${key}: ${error.message}`));
    expect(await cache.getOrSet("k", () => "new")).toBe("new");
    expect(reported).toEqual(["k: not packed"]);
    isCorrupt = false;
    expect(await cache.getOrSet("k", never)).toBe("new");
    expect(cache.stats().tiers.at(-1)!.state).toBe("up");
  });

  it.for([
    ["gzip", gzip],
    ["brotli", brotli],
  ] as const)(
    "a %s entry that decompresses to more than maxDecodedBytes is a miss and allocates no large buffer",
    { timeout: 60_000 },
    async ([, compressor]) => {
      const clock = new TestClock();
      const small = scriptedBackend({ clock, compressor: compressor(), maxDecodedBytes: 100_000 });
      const bytes = json().encode("0".repeat(50_000_000), 50_000_002);
      const bomb = await compressor().compress(bytes);
      expect(bomb.length).toBeLessThan(100_000);
      const { cache } = open(stack, { clock, backend: small });
      await cache.set("k", "x".repeat(2_000));
      const { meta, ...rest } = small.store.get("test::k")!;
      expect(JSON.parse(meta).at(-1)).toEqual({ c: compressor().id });
      small.store.set("test::k", { ...rest, meta, data: bomb });
      const { cache: reader } = open("backend", { clock, backend: small });
      const seen = watch(reader, "decode:error");
      const before = process.memoryUsage().rss;
      expect(await reader.get("k")).toBe(undefined);
      expect(process.memoryUsage().rss - before).toBeLessThan(40_000_000);
      expect(seen.map(([, { error }]) => error.code)).toEqual(["DECODE_FAILED"]);
      expect(await reader.getOrSet("k", () => "loaded")).toBe("loaded");
      expect(await reader.get("k")).toBe("loaded");
    },
  );

  it("a value that fails the namespace's schema is a miss, and the error message does not contain it", async () => {
    const { cache: writer, clock, backend } = open("backend");
    await writer.namespace("n").set("k", { secret: "hunter2" });
    const { cache } = open(stack, { clock, backend });
    const schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) =>
          typeof value === "number" ? { value } : { issues: [{ message: "hunter2 must be a number" }] },
      },
    } as const;
    const space: Namespace<number> = cache.namespace("n", { schema });
    const seen = watch(cache, "decode:error");
    expect(await space.get("k")).toBe(undefined);
    expect(await space.getOrSet("k", () => 5)).toBe(5);
    expect(seen.map(([, { namespace, key }]) => [namespace, key])).toEqual([[["n"], "k"]]);
    expect(seen[0]![1].error.message).toBe(
      "a stored entry cannot be read: the namespace's schema refuses it: … must be a number",
    );
  });
});

it("set refuses a value that the local tier cannot clone, and the old value stays", async () => {
  const { cache } = open("memory", { memory: { values: "cloned" } });
  await cache.set("k", "old");
  expect(await errorOf(() => cache.set("k", () => 1))).toMatchObject({ code: "ENCODE_FAILED", tier: "memory" });
  expect(await cache.get("k")).toBe("old");
});

it("C363: a schema of null, and a hole in a list of tiers, are refused by name", async () => {
  const { cache } = open("memory");
  expect(await errorOf(() => cache.namespace("n", { schema: null as never }))).toMatchObject({
    ...INVALID,
    message: "schema must be a Standard Schema (https://standardschema.dev), got null",
  });
  for (const tiers of [[,], [undefined], ["memory", ,]])
    expect(await errorOf(() => cache.bypass(tiers as never))).toMatchObject({
      ...INVALID,
      message: 'tiers must be "all", "none" or a list of labels (memory), got undefined',
    });
  await cache.set("k", 1);
  expect(cache.peek("k")).toBe(1);
});

it("C364: an event that cannot be written as text is refused like any other", async () => {
  const { cache } = open("memory");
  for (const event of [Object.create(null) as object, Symbol("evict"), ["evict"]])
    expect((await errorOf(() => cache.on(event as never, never))).message).toMatch(/^event must be one of /);
});

it.for([[undefined], [null], [5], [{ id: 5 }], [["a"]], [Symbol("a")]] as const)(
  "C365: a wrapped function whose key gives %o is not called, and two users get no value in common",
  async ([part]) => {
    const { cache } = open("memory");
    const loaded: unknown[] = [];
    const load = async (user: string): Promise<string> => {
      loaded.push(user);
      return user;
    };
    const wrapped = cache.wrap(load, { name: "user", key: (() => part) as never });
    for (const use of [wrapped, wrapped.refresh, wrapped.invalidate])
      expect(await errorOf(() => use("ada"))).toMatchObject({
        ...INVALID,
        message: expect.stringMatching(/^key must return a string for the arguments of a call, got /) as string,
      });
    expect(loaded).toEqual([]);
  },
);

it("C363: the name of a wrapped function is well-formed when it is given, and not only when it is called", async () => {
  const { cache } = open("memory");
  const error = await errorOf(() => cache.wrap(never, { name: "a\ud800" }));
  expect(error.message).toMatch(/^name must be a non-empty, well-formed string, unique per wrapped function/);
});

describe("C464 the error of a call quotes nothing that may be a key, a tag or a value", () => {
  const SECRET = "ada@example.org\ud800";
  const { cache } = open("memory", { redactKeys: true });
  const untyped = cache as unknown as Readonly<Record<string, (...given: unknown[]) => unknown>>;
  const calls: readonly (readonly [string, () => unknown])[] = [
    ["a tag of invalidateTags", () => cache.invalidateTags(SECRET)],
    ["a tag that is too long", () => cache.invalidateTags("ada@example.org".repeat(100))],
    ["a tag of getOrSet", () => cache.getOrSet("k", () => 1, { tags: [SECRET] })],
    ["tags as text", () => cache.set("k", 1, { tags: SECRET as never })],
    ["a key", () => cache.get(SECRET)],
    ["a number as a key", () => untyped["get"]!(4_111_222)],
    ["a list of keys", () => untyped["getMany"]!(SECRET)],
    ["a value in place of a loader", () => untyped["getOrSet"]!("k", SECRET)],
    ["a number in place of a loader", () => untyped["getOrSet"]!("k", 4_111_222)],
    ["a value in place of options", () => untyped["set"]!("k", 1, SECRET)],
    ["data in place of options", () => untyped["set"]!("k", 1, { "ada@example.org": 1 })],
    ["a value in place of a batch loader", () => untyped["getOrSetMany"]!([1], String, SECRET)],
    ["a value in place of the key of a batch", () => untyped["getOrSetMany"]!([1], SECRET, never)],
    ["text in place of entries", () => untyped["setMany"]!([SECRET])],
    ["an etag", () => untyped["set"]!("k", 1, { etag: 4_111_222 })],
    ["a namespace", () => cache.namespace(SECRET)],
    ["a key of a wrapped function", () => cache.wrap(never, { name: "f", key: () => 4_111_222 as never })()],
    ["a function to wrap", () => untyped["wrap"]!(SECRET, { name: "f" })],
    ["a name of keyOf", () => keyOf(4_111_222 as never)],
  ];
  it.each(calls)("%s", async (_, call) => {
    const { message } = await errorOf(call);
    expect(message).not.toMatch(/ada|4.?111.?222/);
    expect(message).toMatch(/, got |unknown option|lone surrogate/);
  });
});
