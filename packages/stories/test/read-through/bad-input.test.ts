import {
  CacheError,
  createCache,
  DecodeError,
  keyOf,
  type Backend,
  type Cache,
  type LocalTier,
  type Namespace,
} from "@hotset/core";
import { brotli, gzip } from "@hotset/formats";
import { memory } from "@hotset/memory";
import { mapTier, scriptedBackend, TestClock } from "@hotset/testing";
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

const ENTRY_DURATIONS = ["ttl", "staleWhileRevalidate", "staleIfError", "negativeTtl", "localTtl"] as const;
const DURATIONS = [...ENTRY_DURATIONS, "softTimeout", "hardTimeout", "loadTimeout", "errorBackoff"] as const;
const NO_DURATION: readonly unknown[] = [
  NaN,
  "soon",
  "5",
  "5 min",
  "",
  "--1s",
  "1e999s",
  null,
  {},
  [5],
  5n,
  new Date(5),
];

it.each(DURATIONS)("C10 %s that is no duration is refused by every method that takes it", async (option) => {
  const { cache } = open("memory");
  for (const given of NO_DURATION) {
    const options = { [option]: given } as never;
    const places: (() => unknown)[] = [
      () => cache.getOrSet("k", () => 1, options),
      () => cache.getOrSetMany(["k"], same, never, options),
      () => cache.namespace("n", options),
      () => cache.wrap(() => 1, { name: "w", ...(options as object) }),
    ];
    if ((ENTRY_DURATIONS as readonly string[]).includes(option))
      places.push(
        () => cache.set("k", 1, options),
        () => cache.setMany([["k", 1]], options),
        () => cache.getOrSet("k", (ctx) => (ctx.setOptions(options), 1)),
      );
    const expected = `${option} must be milliseconds (60_000), or a number with a unit: ms, s, m, h or d ("1m"); got `;
    for (const place of places) {
      const error = await errorOf(place);
      expect(error).toMatchObject(INVALID);
      expect(error.message).toContain(expected);
    }
    const error = await errorOf(() => createCache({ name: "test" }).defaults(options));
    expect(error).toMatchObject(MISBUILT);
    expect(error.message).toContain(expected);
  }
  expect(await cache.has("k")).toBe(false);
});

it.for<readonly [option: string, given: unknown, expected: string]>([
  ["staleWhileRevalidate", -1, "at least 0 ms"],
  ["staleIfError", "-1ms", "at least 0 ms"],
  ["localTtl", -0.5, "at least 0 ms"],
  ["softTimeout", -1, "at least 0 ms"],
  ["hardTimeout", -Infinity, "at least 0 ms"],
  ["loadTimeout", 0, "at least 1 ms"],
  ["errorBackoff", -1, "at least 0 ms"],
  ...["jitter", "refreshAhead"].flatMap((option) =>
    [1, 1.5, -0.1, NaN, Infinity, "0.5", null].map((given) => [option, given, "a fraction in "] as const),
  ),
  ["refreshAhead", 0, "a fraction in (0, 1)"],
])("C10 %s refuses %s", async ([option, given, expected]) => {
  const { cache } = open("memory");
  for (const place of [
    () => cache.getOrSet("k", () => 1, { [option]: given }),
    () => cache.namespace("n", { [option]: given }),
  ]) {
    const error = await errorOf(place);
    expect(error).toMatchObject(INVALID);
    expect(error.message).toMatch(new RegExp(`^${option} must be `));
    expect(error.message).toContain(expected);
  }
});

it.for([0, -1, "0s"] as const)("defaults refuse the ttl %s, which a call and a namespace may set", async (ttl) => {
  const error = await errorOf(() => createCache({ name: "test" }).tier(memory()).defaults({ ttl }));
  expect(error).toMatchObject(MISBUILT);
  expect(error.message).toContain("defaults: ttl must be above 0 ms");
  const { cache } = open("memory");
  expect(await cache.namespace("none", { ttl }).set("k", 1)).toEqual({ status: "refused" });
  expect(await cache.set("k", 1, { ttl })).toEqual({ status: "refused" });
});

it("C10 a hardTimeout below the softTimeout of the same call is refused; below an inherited softTimeout it takes precedence", async () => {
  const { cache } = open("memory", { softTimeout: 100 });
  const error = await errorOf(() => cache.getOrSet("k", () => 1, { softTimeout: 100, hardTimeout: 99 }));
  expect(error).toMatchObject(INVALID);
  expect(error.message).toContain("hardTimeout must be at least softTimeout (100 ms), got 99 ms");
  expect(await cache.getOrSet("k", () => 1, { hardTimeout: 99 })).toBe(1);
});

const SURROGATE = "a\uD800b";
const TEXT = 'key must be a non-empty string like "user:42", got ';
const BAD_KEYS: readonly (readonly [key: unknown, expected: string])[] = [
  ["", `${TEXT}""`],
  [undefined, `${TEXT}undefined`],
  [null, `${TEXT}null`],
  [42, `${TEXT}a number`],
  [NaN, `${TEXT}NaN`],
  [Symbol("k"), `${TEXT}a symbol`],
  [["k"], `${TEXT}an array`],
  [{ toString: () => "k" }, `${TEXT}an object`],
  [Object("k"), `${TEXT}an object`],
  [SURROGATE, "key must be well-formed text, got a lone surrogate"],
  ["k".repeat(65_537), "key must be at most 65536 bytes in UTF-8, got a longer one; hash the data it is made of"],
  ["€".repeat(21_846), "key must be at most 65536 bytes"],
];

const TAGS = 'tags must be an array like ["users"], got ';
const TAG = "tags must be non-empty, well-formed strings of at most 1024 characters, got ";
const BOOLEAN = "must be true or false, got ";
const PAIR = 'entries must be pairs of a key and a value like [["k", 1]], got ';
const LABEL = "wrap: name must be a non-empty, well-formed string, unique per wrapped function, got undefined";
const SPACE = "namespace must be a non-empty, well-formed string, got ";
const wrapped = (cache: Cache, options: unknown) => cache.wrap(() => 1, options as never);

/** A wrong argument of each kind, for each method that takes it. */
const REFUSED: readonly (readonly [call: (cache: Cache) => unknown, expected: string])[] = [
  ...(
    [
      ["tags", "users", `${TAGS}text of 5 characters`],
      ["tags", ["a", ""], `${TAG}""`],
      ["tags", [5], `${TAG}a number`],
      ["tags", [SURROGATE], TAG],
      ["tags", ["t".repeat(1_025)], `${TAG}text of 1025 characters`],
      ["tags", Array.from({ length: 2_049 }, (_, i) => `${i}`), "an entry may have at most 2048 tags, got 2049"],
      ["tags", new Set(["a"]), `${TAGS}an object`],
      ["signal", new AbortController(), "signal must be an AbortSignal, got an object"],
      ["signal", null, "signal must be an AbortSignal, got null"],
      ["onServed", "log", "onServed must be a function, got text of 3 characters"],
      ["forceRefresh", "yes", `forceRefresh ${BOOLEAN}"yes"`],
      ["current", 5, `current ${BOOLEAN}5`],
      ["TTL", 5, 'options: unknown option "TTL"; did you mean ttl?; accepted: '],
    ] as const
  ).map(
    ([name, given, expected]) => [(cache: Cache) => cache.getOrSet("k", never, { [name]: given }), expected] as const,
  ),
  [(cache) => cache.set("k", 1, { etag: 5 as never }), "etag must be the text of the header, got a number"],
  [(cache) => cache.set("k", 1, { lastModified: new Date(0) as never }), "lastModified must be the text of the header"],
  [(cache) => cache.set("k", 1, { softTimeout: 5 } as never), 'unknown option "softTimeout"'],
  [(cache) => cache.setMany([["k", 1]], { ex: 5 } as never), 'unknown option "ex"'],
  [(cache) => cache.getOrSetMany(["k"], same, never, { onServed: never } as never), 'unknown option "onServed"'],
  [(cache) => cache.get("k", { stale: true } as never), 'unknown option "stale"'],
  [(cache) => cache.getMany(["k"], { stale: true } as never), 'unknown option "stale"'],
  [(cache) => cache.namespace("n", { local: true } as never), 'unknown option "local"'],
  [(cache) => wrapped(cache, { name: "w", keys: same }), 'unknown option "keys"'],
  [(cache) => cache.close({ force: true } as never), 'unknown option "force"'],
  [(cache) => cache.close({ timeout: -1 }), "timeout must be at least 0 ms, got -1"],
  [(cache) => cache.getOrSet("k", (ctx) => (ctx.setOptions({ hardTimeout: 5 } as never), 1)), '"hardTimeout"'],
  [
    (cache) => cache.getOrSetMany(new Set(["k"]) as never, same as never, never),
    "items must be an array, got an object",
  ],
  [(cache) => cache.getOrSetMany(["k"], "id" as never, never), "key must be a function that makes a key of an item"],
  [(cache) => cache.getOrSetMany(["k"], never, 0 as never), "load must be a function, after the items and key, got a"],
  [(cache) => cache.getMany("abc" as never), 'keys must be an array like ["k"], got text of 3 characters'],
  [(cache) => cache.deleteMany(new Set(["k"]) as never), 'keys must be an array like ["k"], got an object'],
  [(cache) => cache.setMany({ k: 1 } as never), `${PAIR}an object`],
  [(cache) => cache.setMany(null as never), `${PAIR}null`],
  [(cache) => cache.setMany([["k", 1], 5] as never), `${PAIR}a number`],
  [(cache) => cache.setMany([["k", 1], null] as never), `${PAIR}null`],
  [(cache) => cache.setMany(["ab"] as never), `${PAIR}text of 2 characters`],
  [(cache) => cache.invalidateTags([["t"]] as never), `${TAG}an array`],
  [(cache) => cache.markTagsStale(undefined as never), `${TAG}undefined`],
  [(cache) => cache.markTagsStale(["a b", 5 as never]), `${TAG}a number`],
  [(cache) => cache.namespace(""), `${SPACE}""`],
  [(cache) => cache.namespace(5 as never), `${SPACE}a number`],
  [(cache) => cache.namespace(SURROGATE), SPACE],
  [(cache) => cache.namespace("n", { schema: {} as never }), "schema must be a Standard Schema"],
  [(cache) => wrapped(cache, {}), LABEL],
  [(cache) => wrapped(cache, undefined), LABEL],
  [(cache) => wrapped(cache, { name: "w", key: "id" }), "key must be a function that makes a key of the arguments"],
  [(cache) => wrapped(cache, { name: "w", tags: "users" }), `${TAGS}text of 5 characters`],
  [(cache) => wrapped(cache, { name: "w", tags: [5] }), `${TAG}a number`],
  [(cache) => wrapped(cache, { name: "w", tags: null }), `${TAGS}null`],
  [(cache) => cache.get("k", { allowStale: "yes" as never }), `allowStale ${BOOLEAN}"yes"`],
  [(cache) => cache.getMany(["k"], { allowStale: null as never }), `allowStale ${BOOLEAN}null`],
  [() => keyOf("user", NaN), "NaN"],
];

describe.each(STACKS)("over %s", (stack) => {
  it.for(BAD_KEYS)("C10 every method refuses the key %o, and nothing changes", async ([key, expected]) => {
    const { cache, backend } = open(stack);
    const bad = key as string;
    for (const space of [cache, cache.namespace("n")]) {
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
    const names = ["\0", "\u0001", "__proto__", "constructor", " ", "*", "{a}", "a::b", "😀"];
    const keys = ["k".repeat(65_536), "€".repeat(21_845), ...names];
    for (const [i, key] of keys.entries()) await cache.set(key, i);
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual(keys.map((_, i) => i));
    expect([...(await cache.getMany(keys)).keys()]).toEqual(keys);
  });

  it("C10 a wrong argument of any method is refused with a message that names it, and nothing is stored", async () => {
    const { cache, stored } = open(stack);
    for (const [call, expected] of REFUSED) {
      const error = await errorOf(() => call(cache));
      expect(error).toMatchObject(INVALID);
      expect(error.message).toContain(expected);
    }
    expect([await cache.has("k"), stored()]).toEqual([false, []]);
  });

  it.for([[undefined], [null], ["users"], [5], [{}], [Promise.resolve(() => 1)]] as const)(
    "C10 %s is refused as a loader, although a value is stored",
    async ([load]) => {
      const { cache, backend } = open(stack);
      await cache.set("k", "there");
      backend.forgetCalls();
      const calls = [
        () => cache.getOrSet("k", load as never),
        () => cache.getOrSetMany(["k"], same, load as never),
        () => cache.wrap(load as never, { name: "w" }),
      ];
      for (const call of calls) {
        const error = await errorOf(call);
        expect(error).toMatchObject(INVALID);
        expect(error.message).toMatch(/ must be (?:a function|given a function).*, got /);
      }
      // A stored value must not hide the mistake until it expires.
      expect(backend.calls).toEqual([]);
    },
  );

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

  it("C10 undefined and a promise are refused as values", async () => {
    const { cache } = open(stack);
    await cache.set("k", "old");
    for (const [value, message] of [
      [undefined, "value must not be undefined; give null to remember that there is none, or delete the key"],
      [Promise.resolve(1), "value must not be a promise; await it first"],
    ] as const)
      for (const call of [
        () => cache.set("k", value as never),
        () =>
          cache.setMany([
            ["other", 1],
            ["k", value as never],
          ]),
      ])
        expect(await errorOf(call)).toMatchObject({ ...INVALID, message });
    expect([await cache.get("k"), await cache.has("other")]).toEqual(["old", false]);
  });
});

describe("invalid configuration", () => {
  const overBackend = () =>
    createCache({ name: "n" }).tier(scriptedBackend({ clock: new TestClock() })) as unknown as {
      tier(tier: Backend | LocalTier): unknown;
    };
  const WHOLE = "must be a whole number of at least 1, or Infinity, got ";
  const NAME = 'name must be a well-formed string, as in createCache({ name: "shop" }), got ';
  const CLOCK = "clock must be an object with now() and schedule(), got ";
  it.for<readonly [options: object, expected: string]>([
    [{ name: undefined }, `${NAME}undefined`],
    [{ name: 5 }, `${NAME}5`],
    [{ name: SURROGATE }, "name must be a well-formed string"],
    [{ version: "" }, 'version must be a number or a non-empty string, got ""'],
    [{ version: NaN }, "version must be a number or a non-empty string, got NaN"],
    [{ maxLoads: 0 }, `maxLoads ${WHOLE}0`],
    [{ maxLoads: 1.5 }, `maxLoads ${WHOLE}1.5`],
    [{ maxLoads: "10" }, `maxLoads ${WHOLE}"10"`],
    [{ maxBackgroundLoads: -1 }, `maxBackgroundLoads ${WHOLE}-1`],
    [{ waitUntil: true }, "waitUntil must be a function, got a boolean"],
    [{ clock: {} }, `${CLOCK}an object`],
    [{ clock: { now: () => 0, schedule: () => () => undefined, epochMs: 7 } }, `${CLOCK}an object`],
    [{ clock: null }, `${CLOCK}null`],
    [{ prefix: "p" }, 'unknown option "prefix"; did you mean name?; accepted: name, version'],
  ])("createCache refuses the invalid option %j at once", async ([options, expected]) => {
    const error = await errorOf(() => createCache({ name: "n", ...options }));
    expect(error).toMatchObject(MISBUILT);
    expect(error.message).toContain(expected);
  });

  const built = () => createCache({ name: "n" });
  const overMemory = () => built().tier(memory());
  const scripted = () => scriptedBackend({ clock: new TestClock(), coherence: "none" });
  it.for<readonly [string, () => unknown, string]>([
    ["no tier", () => (built() as unknown as { build(): Cache }).build(), "build: no tier; add memory() or a backend"],
    ["an object as a tier", () => built().tier({} as never), "tier must be memory(), or a backend such as"],
    ["a tier without build()", () => built().tier(built() as never), "; did you forget .build()?"],
    ["undefined as a tier", () => built().tier(undefined as never), "tier must be memory(), or a backend such as"],
    ["two local tiers", () => overMemory().tier(memory() as never), "only the first tier can be a local one"],
    ["a local tier behind a backend", () => overBackend().tier(mapTier()), "only the first tier can be a local one"],
    ["two backends", () => overBackend().tier(scripted()), "only one backend is allowed; combine two with compose"],
    [
      "neither reports nor localTtl",
      () => built().tier(memory()).tier(scripted()).build(),
      "localTtl must be set with",
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

  it.for(unwritable)("%s from a loader is returned, reported, and kept in memory alone", async ([, value]) => {
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

  it("C98 a value that fails the namespace's schema is a miss, and the error message does not contain it", async () => {
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

it("a schema of null, and a hole in a list of tiers, are refused by name", async () => {
  const { cache } = open("memory");
  expect(await errorOf(() => cache.namespace("n", { schema: null as never }))).toMatchObject({
    ...INVALID,
    message:
      'schema must be a Standard Schema (https://standardschema.dev), or { of: a Standard Schema, checks: "reads" or "all" }, got null',
  });
  for (const tiers of [[,], [undefined], ["memory", ,]])
    expect(await errorOf(() => cache.bypass(tiers as never))).toMatchObject({
      ...INVALID,
      message: 'tiers must be "all", "none" or a list of labels (memory), got undefined',
    });
  await cache.set("k", 1);
  expect(cache.peek("k")).toBe(1);
});

it("an event that cannot be written as text is refused like any other", async () => {
  const { cache } = open("memory");
  for (const event of [Object.create(null) as object, Symbol("evict"), ["evict"]])
    expect((await errorOf(() => cache.on(event as never, never))).message).toMatch(/^event must be one of /);
});

it.for([[undefined], [null], [5], [{ id: 5 }], [["a"]], [Symbol("a")]] as const)(
  "a wrapped function whose key gives %o is not called, and two users get no value in common",
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

it("the name of a wrapped function is well-formed when it is given, and not only when it is called", async () => {
  const { cache } = open("memory");
  const error = await errorOf(() => cache.wrap(never, { name: "a\ud800" }));
  expect(error.message).toMatch(/^wrap: name must be a non-empty, well-formed string, unique per wrapped function/);
});

describe("the error of a call quotes nothing that may be a key, a tag or a value", () => {
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
