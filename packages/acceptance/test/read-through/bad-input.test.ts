import {
  brotli,
  CacheError,
  createCache,
  gzip,
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
import { mapTier, scriptedBackend, TestClock } from "@hotset/core/testing";
import { memory } from "@hotset/memory";
import { describe, expect, it } from "vitest";
import { never, open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const INVALID = { name: "InvalidArgumentError", code: "INVALID_ARGUMENT" } as const;
const MISBUILT = { name: "ConfigurationError", code: "INVALID_CONFIGURATION" } as const;
const same = <T>(value: T): T => value;

/** What `call` throws or rejects with. */
async function errorOf(call: () => unknown): Promise<CacheError> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(CacheError);
    return error as CacheError;
  }
  throw new Error("it was taken");
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
  it.for(NO_DURATION)("C10 $1 is no duration, wherever it is given", async ([given, shown]) => {
    const { cache } = open("memory");
    const options = { [option]: given } as never;
    const places: (() => unknown)[] = [
      () => cache.getOrSet("k", () => 1, options),
      () => cache.getOrSetMany(["k"], same, never, options),
      () => cache.namespace("n", options),
      () => cache.wrap(() => 1, { name: "w", ...(options as object) }),
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
])("C10 %s does not take %s", async ([option, given, least]) => {
  const { cache } = open("memory");
  const error = await errorOf(() => cache.getOrSet("k", () => 1, { [option]: given }));
  expect(error).toMatchObject({ ...INVALID, message: expect.stringContaining(`${option}: `) as string });
  expect(error.message).toContain(`at least ${least} ms`);
});

it.for<readonly [option: (typeof FRACTIONS)[number], given: unknown]>(
  FRACTIONS.flatMap((option) =>
    [1, 1.5, -0.1, NaN, Infinity, "0.5", null, ...(option === "refreshAhead" ? [0] : [])].map(
      (given) => [option, given] as const,
    ),
  ),
)("C10 %s does not take %s", async ([option, given]) => {
  const { cache } = open("memory");
  for (const place of [
    () => cache.getOrSet("k", () => 1, { [option]: given }),
    () => cache.namespace("n", { [option]: given }),
  ]) {
    expect(await errorOf(place)).toMatchObject({
      ...INVALID,
      message: expect.stringMatching(
        new RegExp(`^${option}: .* is out of range; give a fraction in [[(]0, 1\\)$`),
      ) as string,
    });
  }
});

it("C10 a hardTimeout below the softTimeout beside it is refused; one below an inherited softTimeout overrules it", async () => {
  const { cache } = open("memory", { softTimeout: 100 });
  expect(await errorOf(() => cache.getOrSet("k", () => 1, { softTimeout: 100, hardTimeout: 99 }))).toMatchObject({
    ...INVALID,
    message: expect.stringContaining("hardTimeout: 99 ms is less than softTimeout, 100 ms") as string,
  });
  expect(await cache.getOrSet("k", () => 1, { hardTimeout: 99 })).toBe(1);
});

it.for(["", "soon", "5", "NaN", "1m1s", "infinity", "0x5s", "5ms5"] as const)(
  "C10 parseDuration does not take %j",
  async (text) => {
    expect(await errorOf(() => parseDuration(text))).toMatchObject({
      ...INVALID,
      message: expect.stringContaining(JSON.stringify(text)) as string,
    });
  },
);

const SURROGATE = "a\uD800b";
const BAD_KEYS: readonly (readonly [what: string, key: unknown, says: string])[] = [
  ["empty", "", 'key: "" is no key; give a non-empty string'],
  ["undefined", undefined, "key: undefined is no key; give a non-empty string"],
  ["null", null, "key: null is no key"],
  ["a number", 42, "key: 42 is no key"],
  ["NaN", NaN, "key: NaN is no key"],
  ["a symbol", Symbol("k"), "key: a symbol is no key"],
  ["an array", ["k"], "key: an array is no key"],
  ["an object", { toString: () => "k" }, "key: an object is no key"],
  // oxlint-disable-next-line no-new-wrappers, unicorn/new-for-builtins -- somebody will
  ["a String", new String("k"), "key: an object is no key"],
  ["half a character", SURROGATE, "key: has a lone surrogate; give well-formed text"],
  ["the other half", "\uDC00", "key: has a lone surrogate"],
  ["longer than 64 KiB", "k".repeat(65_537), "key: is longer than 65536 bytes in UTF-8; hash what it is made of"],
  ["longer than 64 KiB in UTF-8", "€".repeat(21_846), "key: is longer than 65536 bytes"],
];

describe.each(STACKS)("over %s", (stack) => {
  it.for(BAD_KEYS)("C10 a key that is %s is refused by every method, and nothing is done", async ([, key, says]) => {
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
        expect(error.message).toContain(says);
        expect(error.message.length).toBeLessThan(200);
      }
      expect(await space.has("good")).toBe(false);
    }
    expect(backend.count("batch.read") + backend.count("write") + backend.count("remove")).toBe(0);
  });

  it("keys of 64 KiB, and such as look like something else, are keys", async () => {
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
    "C10 %s is no loader",
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
          message: expect.stringMatching(/is no (loader|function); give/) as string,
        });
      await cache.set("k", "there");
      backend.forgetCalls();
      // Also where a value is there already, so that the mistake does not hide until it has expired.
      expect(await errorOf(() => cache.getOrSet("k", load as never))).toMatchObject(INVALID);
      expect(backend.calls).toEqual([]);
    },
  );

  it.for<readonly [string, (cache: Cache) => unknown, string]>([
    ["getOrSet", (cache) => cache.getOrSet("k", never, { TTL: 5 } as never), '"TTL"'],
    ["getOrSet of bentocache's", (cache) => cache.getOrSet("k", never, { grace: "6h" } as never), '"grace"'],
    ["getOrSetMany", (cache) => cache.getOrSetMany(["k"], same, never, { onServed: () => {} } as never), '"onServed"'],
    ["get", (cache) => cache.get("k", { stale: true } as never), '"stale"'],
    ["getMany", (cache) => cache.getMany(["k"], { stale: true } as never), '"stale"'],
    ["set", (cache) => cache.set("k", 1, { ex: 5 } as never), '"ex"'],
    ["set, with what only loads have", (cache) => cache.set("k", 1, { softTimeout: 5 } as never), '"softTimeout"'],
    ["setMany", (cache) => cache.setMany([["k", 1]], { ex: 5 } as never), '"ex"'],
    ["namespace", (cache) => cache.namespace("n", { local: true } as never), '"local"'],
    ["wrap", (cache) => cache.wrap(never, { name: "w", keys: same } as never), '"keys"'],
    ["close", (cache) => cache.close({ force: true } as never), '"force"'],
    [
      "a loader's setOptions",
      (cache) => cache.getOrSet("k", (ctx) => (ctx.setOptions({ hardTimeout: 5 } as never), 1)),
      '"hardTimeout"',
    ],
  ])("C10 an option that %s does not have is named, with those that there are", async ([, call, name]) => {
    const { cache } = open(stack);
    const error = await errorOf(() => call(cache));
    expect(error).toMatchObject(INVALID);
    expect(error.message).toMatch(new RegExp(`^options: there is no option ${name}; accepted are \\w+`));
    expect(await cache.has("k")).toBe(false);
  });

  it.for([[null], [5], ["1m"], [true], [[]], [() => {}]] as const)(
    "C10 options that are %s are none",
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

  it("options that are null do not matter to a hit, and are refused on the way to a load", async () => {
    const { cache } = open(stack);
    await cache.set("k", 1);
    if (stack !== "backend") expect(await cache.getOrSet("k", never, null as never)).toBe(1);
    else expect(await errorOf(() => cache.getOrSet("k", never, null as never))).toMatchObject(INVALID);
  });

  it.for<readonly [string, unknown, string]>([
    ["tags", "users", 'tags: "users" is no list'],
    ["tags", ["a", ""], 'tags: "" is no tag'],
    ["tags", [5], "tags: 5 is no tag"],
    ["tags", [SURROGATE], "is no tag"],
    ["tags", ["t".repeat(513)], "at most 512 characters"],
    ["tags", new Set(["a"]), "tags: an object is no list"],
    ["signal", new AbortController(), "signal: an object is no AbortSignal"],
    ["signal", null, "signal: null is no AbortSignal"],
    ["onServed", "log", 'onServed: "log" is no function'],
    ["forceRefresh", "yes", 'forceRefresh: "yes" is no boolean; give true or false'],
    ["after", 5, "after: 5 is no token"],
    ["after", "", 'after: "" is no token'],
  ])("C10 %s: %s is refused", async ([option, given, says]) => {
    const { cache } = open(stack);
    const error = await errorOf(() => cache.getOrSet("k", never, { [option]: given }));
    expect(error).toMatchObject(INVALID);
    expect(error.message).toContain(says);
  });

  it.for<readonly [string, unknown, string]>([
    ["etag", 5, "etag: 5 is no validator; give the header's text"],
    ["etag", null, "etag: null is no validator"],
    ["lastModified", new Date(0), "lastModified: an object is no validator"],
  ])("C10 %s: %s is refused", async ([option, given, says]) => {
    const { cache } = open(stack);
    expect((await errorOf(() => cache.set("k", 1, { [option]: given }))).message).toContain(says);
    expect(await cache.has("k")).toBe(false);
  });

  it.for<readonly [string, (cache: Cache) => unknown, string]>([
    [
      "items",
      (cache) => cache.getOrSetMany(new Set(["k"]) as never, same as never, never),
      "items: an object is no list; give an array",
    ],
    ["key", (cache) => cache.getOrSetMany(["k"], "id" as never, never), 'key: "id" is no function'],
    ["keys", (cache) => cache.getMany("abc" as never), 'keys: "abc" is no list'],
    ["keys", (cache) => cache.deleteMany(new Set(["k"]) as never), "keys: an object is no list"],
    [
      "entries",
      (cache) => cache.setMany({ k: 1 } as never),
      "entries: an object is no list; give pairs of a key and a value",
    ],
    [
      "entries",
      (cache) => cache.setMany([["k", 1], 5] as never),
      "entries: 5 is no pair; give pairs of a key and a value",
    ],
    ["entries", (cache) => cache.setMany([["k", 1], null] as never), "entries: null is no pair"],
    ["entries", (cache) => cache.setMany(["ab"] as never), 'entries: "ab" is no pair'],
    ["entries", (cache) => cache.setMany(null as never), "entries: null is no list"],
    ["invalidateTags of a list", (cache) => cache.invalidateTags(["t"] as never), "tags: an array is no tag"],
    ["markTagsStale of nothing", (cache) => cache.markTagsStale(undefined as never), "tags: undefined is no tag"],
    ["namespace", (cache) => cache.namespace(""), 'namespace: "" is no name'],
    ["namespace", (cache) => cache.namespace(5 as never), "namespace: 5 is no name"],
    ["namespace", (cache) => cache.namespace(SURROGATE), "is no name; give a non-empty, well-formed string"],
    ["schema", (cache) => cache.namespace("n", { schema: {} as never }), "schema: an object is no Standard Schema"],
    [
      "wrap",
      (cache) => cache.wrap(never, {} as never),
      "name: undefined is no name; give each wrapped function one of its own",
    ],
    ["wrap", (cache) => cache.wrap(never, undefined as never), "name: undefined is no name"],
    ["keyOf", () => keyOf("user", NaN), "NaN"],
  ])("C10 %s is told what it takes", async ([, call, says]) => {
    const { cache, stored } = open(stack);
    const error = await errorOf(() => call(cache));
    expect(error).toMatchObject(INVALID);
    expect(error.message).toContain(says);
    expect(stored()).toEqual([]);
  });

  it("C10 a wrapped function whose key cannot be made rejects, and does not throw (async-cache-dedupe)", async () => {
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
      "value: undefined cannot be stored; give null to remember that there is none, or delete the key",
    ],
    ["a promise", Promise.resolve(1), "value: is a promise; await it first"],
  ])("C10 %s is no value", async ([, value, says]) => {
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
      expect(error).toMatchObject({ ...INVALID, message: says });
    }
    expect([await cache.get("k"), await cache.has("other")]).toEqual(["old", false]);
  });
});

describe("what cannot be built", () => {
  const overBackend = () =>
    createCache({ name: "n" }).tier(scriptedBackend({ clock: new TestClock() })) as unknown as {
      tier(tier: Backend | LocalTier): unknown;
    };
  it.for<readonly [string, unknown, string]>([
    ["name", {}, "name: undefined is no name"],
    ["name", { name: 5 }, "name: 5 is no name"],
    ["name", { name: SURROGATE }, "is no name"],
    ["version", { name: "n", version: "" }, 'version: "" is no version'],
    ["version", { name: "n", version: NaN }, "version: NaN is no version; give a number or a non-empty string"],
    ["version", { name: "n", version: {} }, "version: an object is no version"],
    ["maxLoads", { name: "n", maxLoads: 0 }, "maxLoads: 0 is out of range; give a whole number of at least 1"],
    ["maxLoads", { name: "n", maxLoads: 1.5 }, "maxLoads: 1.5 is out of range"],
    ["maxLoads", { name: "n", maxLoads: "10" }, 'maxLoads: "10" is out of range'],
    ["maxBackgroundLoads", { name: "n", maxBackgroundLoads: -1 }, "maxBackgroundLoads: -1 is out of range"],
    ["waitUntil", { name: "n", waitUntil: true }, "waitUntil: true is no function"],
    ["clock", { name: "n", clock: {} }, "clock: an object is no clock; give now() and schedule()"],
    ["clock", { name: "n", clock: null }, "clock: null is no clock"],
    [
      "an option that there is not",
      { name: "n", prefix: "p" },
      'there is no option "prefix"; accepted are name, version',
    ],
  ])("%s is refused at once", async ([, options, says]) => {
    const error = await errorOf(() => createCache(options as CacheOptions));
    expect(error).toMatchObject(MISBUILT);
    expect(error.message).toContain(says);
  });

  it.for<readonly [string, () => unknown, string]>([
    [
      "no tier",
      () => (createCache({ name: "n" }) as unknown as { build(): Cache }).build(),
      "a cache has a tier; add memory() or a backend",
    ],
    [
      "something else as a tier",
      () => createCache({ name: "n" }).tier({} as never),
      "an object is no tier; give memory(), or a backend such as redis(url).build()",
    ],
    ["nothing as a tier", () => createCache({ name: "n" }).tier(undefined as never), "undefined is no tier"],
    [
      "two local tiers",
      () =>
        createCache({ name: "n" })
          .tier(memory())
          .tier(memory() as never),
      "there is one; move memory() to the front",
    ],
    ["a local tier behind a backend", () => overBackend().tier(mapTier()), "the local tier comes first"],
    [
      "two backends",
      () => overBackend().tier(scriptedBackend({ clock: new TestClock() })),
      "make one of two with compose(near, far)",
    ],
    [
      "no localTtl before a backend without coherence",
      () =>
        createCache({ name: "n" })
          .tier(memory())
          .tier(scriptedBackend({ clock: new TestClock(), coherence: "none" }))
          .build(),
      "localTtl: scripted does not tell what others change, so give defaults({ localTtl })",
    ],
    [
      "localOnly without a local tier",
      () =>
        createCache({ name: "n" })
          .tier(scriptedBackend({ clock: new TestClock() }))
          .build()
          .namespace("l", { localOnly: true }),
      "localOnly: this cache has no local tier",
    ],
  ])("%s is refused, with what to do", async ([, build, says]) => {
    const error = await errorOf(build);
    expect(error).toMatchObject(MISBUILT);
    expect(error.message).toContain(says);
  });

  it.for<readonly [string, () => unknown, string]>([
    ["negative bytes", () => memory({ maxBytes: -1 }), "maxBytes"],
    ["negative entries", () => memory({ maxEntries: -1 }), "maxEntries"],
    ["a negative entry size", () => memory({ maxEntryBytes: -1 }), "maxEntryBytes"],
    ["a level that there is not", () => gzip({ level: 99 }), "level"],
    ["a negative threshold", () => brotli({ minBytes: -1 }), "minBytes"],
  ])("%s are refused, and the option is named", async ([, build, option]) => {
    const error = await errorOf(build);
    expect(["INVALID_ARGUMENT", "INVALID_CONFIGURATION"]).toContain(error.code);
    expect(error.message).toContain(option);
  });
});

describe.each(STACKS_WITH_BACKEND)("values over %s", (stack) => {
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
    ["what throws when it is written", new Password()],
    ["__proto__ as a property", JSON.parse('{"__proto__":"hunter2"}')],
  ];

  it.for(unwritable)(
    "%s that the format cannot write is refused by set, and what was there stays",
    async ([, value]) => {
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
    },
  );

  it.for(unwritable)("%s from a loader is handed out, reported, and stored nowhere", async ([, value]) => {
    const { cache, stored } = open(stack);
    const seen = watch(cache, "backend:error", "load");
    expect(await cache.getOrSet("k", () => value)).toBe(value);
    expect([await cache.has("k"), stored()]).toEqual([false, []]);
    expect(seen.map(([name]) => name)).toEqual(["backend:error", "load"]);
    const [[, failed], [, load]] = seen as unknown as [
      readonly ["backend:error", { tier: string; error: CacheError }],
      readonly ["load", { result: string }],
    ];
    expect([failed.tier, failed.error.code, load.result]).toEqual(["scripted", "ENCODE_FAILED", "refused"]);
    expect(failed.error.message).not.toContain("hunter2");
    expect(cache.stats().tiers.at(-1)).toMatchObject({ state: "up" });
  });

  const broken: readonly (readonly [string, (entry: StoredEntry) => StoredEntry])[] = [
    ["no JSON", (entry) => ({ ...entry, data: Buffer.from('{"secret":"hunter2"') })],
    ["no UTF-8", (entry) => ({ ...entry, data: Uint8Array.of(0x22, 0xff, 0x22) })],
    ["nothing", (entry) => ({ ...entry, data: new Uint8Array() })],
    ["a property named __proto__", (entry) => ({ ...entry, data: Buffer.from('{"__proto__":{"isAdmin":true}}') })],
    ["a meta that is no JSON", (entry) => ({ ...entry, meta: "hunter2" })],
    ["a meta that is no object", (entry) => ({ ...entry, meta: "5" })],
    ["a meta that is null", (entry) => ({ ...entry, meta: "null" })],
    ["a meta without a format", (entry) => ({ ...entry, meta: "{}" })],
    ["a meta with tags that are none", (entry) => ({ ...entry, meta: '{"f":"json","g":5,"v":["a"]}' })],
    ["a meta with versions that are none", (entry) => ({ ...entry, meta: '{"f":"json","v":7}' })],
    ["a meta with a ttl that is none", (entry) => ({ ...entry, meta: '{"f":"json","t":"1m"}' })],
    ["a format that is not known", (entry) => ({ ...entry, meta: '{"f":"xml"}' })],
    ["a compressor that is not known", (entry) => ({ ...entry, meta: '{"f":"json","c":"lzma"}' })],
  ];
  it.for(broken)("an entry that is %s is a miss, reported once, and overwritten", async ([, breaking]) => {
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

  it.for([
    ["gzip", gzip],
    ["brotli", brotli],
  ] as const)("what %s blows up beyond maxDecodedBytes is a miss, and takes no memory", async ([, compressor]) => {
    const clock = new TestClock();
    const small = scriptedBackend({ clock, compressor: compressor(), maxDecodedBytes: 100_000 });
    const bytes = json().encode("0".repeat(50_000_000));
    const bomb = await compressor().compress(bytes);
    expect(bomb.length).toBeLessThan(100_000);
    const { cache } = open(stack, { clock, backend: small });
    await cache.set("k", "x".repeat(2_000));
    const { meta, ...rest } = small.store.get("test::k")!;
    expect(JSON.parse(meta)).toMatchObject({ c: compressor().id });
    small.store.set("test::k", { ...rest, meta, data: bomb });
    const { cache: reader } = open("backend", { clock, backend: small });
    const seen = watch(reader, "decode:error");
    const before = process.memoryUsage().rss;
    expect(await reader.get("k")).toBe(undefined);
    expect(process.memoryUsage().rss - before).toBeLessThan(40_000_000);
    expect(seen.map(([, { error }]) => error.code)).toEqual(["DECODE_FAILED"]);
    expect(await reader.getOrSet("k", () => "loaded")).toBe("loaded");
    expect(await reader.get("k")).toBe("loaded");
  });

  it("a value of another shape than the namespace's schema is a miss, and its content stays out of the message", async () => {
    const { cache: writer, clock, backend } = open("backend");
    await writer.namespace("n").set("k", { secret: "hunter2" });
    const { cache } = open(stack, { clock, backend });
    const schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) =>
          typeof value === "number" ? { value } : { issues: [{ message: `hunter2 is no number` }] },
      },
    } as const;
    const space: Namespace<number> = cache.namespace("n", { schema });
    const seen = watch(cache, "decode:error");
    expect(await space.get("k")).toBe(undefined);
    expect(await space.getOrSet("k", () => 5)).toBe(5);
    expect(seen.map(([, { namespace, key }]) => [namespace, key])).toEqual([[["n"], "k"]]);
    expect(seen[0]![1].error.message).not.toContain("hunter2");
  });
});

it("a value that a local tier cannot clone is refused by set, and what was there stays", async () => {
  const { cache } = open("memory", { memory: { values: "cloned" } });
  await cache.set("k", "old");
  expect(await errorOf(() => cache.set("k", () => 1))).toMatchObject({ code: "ENCODE_FAILED", tier: "memory" });
  expect(await cache.get("k")).toBe("old");
});
