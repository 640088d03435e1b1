import { TestClock } from "@hotset/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidArgumentError } from "../contracts/errors.ts";
import { versionEntries } from "../tags/version-entries.ts";
import {
  checkKey,
  checkTags,
  dependencies,
  localKey,
  parseLocalKey,
  keySpaceBelow,
  rootKeySpace,
  tagNames,
  type KeySpace,
} from "./key.ts";

const at = (root: KeySpace, path: readonly string[]): KeySpace => path.reduce(keySpaceBelow, root);

describe("where keys live", () => {
  it.for<
    readonly [
      name: string,
      version: string | number | undefined,
      path: readonly string[],
      key: string,
      backend: string,
      tag: string,
    ]
  >([
    ["shop", undefined, [], "a", "shop::a", "{~shop}::t"],
    ["shop", undefined, ["users"], "a", "shop:users::a", "{~shop}:users::t"],
    ["shop", undefined, ["users", "eu"], "a::b", "shop:users:eu::a::b", "{~shop}:users:eu::t"],
    ["shop", 2, ["users"], "a", "shop@2:users::a", "{~shop@2}:users::t"],
    ["shop", "1.0:b", [], "a", "shop@1.0%3Ab::a", "{~shop@1.0%3Ab}::t"],
    ["shop@2", undefined, [], "a", "shop%402::a", "{~shop%402}::t"],
    ["", undefined, [], "a", "::a", "{~}::t"],
    ["", 2, [], "a", "@2::a", "{~@2}::t"],
    ["a:b{c}~#%\n\0", undefined, [], "d", "a%3Ab%7Bc%7D%7E%23%25%0A%00::d", "{~a%3Ab%7Bc%7D%7E%23%25%0A%00}::t"],
    ["größe", undefined, ["😀 *?[x]"], "a", "größe:😀 *?[x]::a", "{~größe}:😀 *?[x]::t"],
  ])("%j %j %j %j", ([name, version, path, key, backend, tag]) => {
    const keySpace = at(rootKeySpace(name, version), path);
    expect(keySpace.path).toEqual(path);
    expect(keySpace.backendPrefix + key).toBe(backend);
    expect(dependencies(keySpace, ["t"]).at(-1)).toBe(tag);
  });

  it.each([undefined, 2])(
    "C146: a cache without a name has no namespaces: they would be caches of that name",
    (version) => {
      expect(() => keySpaceBelow(rootKeySpace("", version), "users")).toThrow(
        new InvalidArgumentError(
          'namespace needs a cache with a name, got createCache({ name: "" }); give the cache a non-empty name',
        ),
      );
    },
  );

  it("an entry depends on its namespaces, the root's first, and on its tags at every level", () => {
    const keySpace = at(rootKeySpace("shop"), ["users", "eu"]);
    expect(dependencies(keySpace, [])).toBe(keySpace.tagPrefixes);
    expect(dependencies(keySpace, ["a", "b"])).toEqual([
      "{~shop}::",
      "{~shop}:users::",
      "{~shop}:users:eu::",
      "{~shop}::a",
      "{~shop}:users::a",
      "{~shop}:users:eu::a",
      "{~shop}::b",
      "{~shop}:users::b",
      "{~shop}:users:eu::b",
    ]);
  });
});

/** Names and keys of the characters that stand for something somewhere. */
const text = fc.oneof(
  fc.string({
    unit: fc.constantFrom("a", "b", ":", "{", "}", "~", "@", "%", "#", "3A", "\0", "\u0001", "\u0002", "é", "😀"),
    minLength: 1,
    maxLength: 6,
  }),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 10 }).filter((each) => each.isWellFormed()),
  fc.constantFrom(
    "__proto__",
    "constructor",
    "shop:users::a",
    "users::a",
    "a::b",
    "../../a",
    " a ",
    "a%3Ab",
    "#a",
    "{a}",
  ),
);
const address = fc.record({ path: fc.array(text, { maxLength: 3 }), key: text });

const named = fc.oneof(fc.constant(""), text);
/** A cache without a name has no namespaces. */
const under = (name: string, path: readonly string[], version?: string | number): KeySpace =>
  at(rootKeySpace(name, version), name === "" ? [] : path);

describe("C109 two addresses", () => {
  const differ = (a: { path: readonly string[]; key: string }, b: typeof a): boolean =>
    a.key !== b.key || a.path.length !== b.path.length || a.path.some((name, i) => name !== b.path[i]);

  it("never collide in a backend, under any name of the cache", () => {
    fc.assert(
      fc.property(text, address, address, (name, a, b) => {
        const [one, other] = [a, b].map(({ path, key }) => under(name, path).backendPrefix + key);
        expect(one !== other).toBe(differ(a, b));
      }),
      { numRuns: 2_000 },
    );
  });

  it("never collide in the local tier, and can be parsed from their local key", () => {
    const root = rootKeySpace("shop");
    const local = ({ path, key }: { path: readonly string[]; key: string }): string => localKey(at(root, path), key);
    fc.assert(
      fc.property(address, address, (a, b) => {
        expect(local(a) !== local(b)).toBe(differ(a, b));
        expect(parseLocalKey(local(a))).toEqual({ path: a.path, key: a.key });
      }),
      { numRuns: 2_000 },
    );
  });

  it("C146: of caches with two names, one of them empty or not, or two versions never collide", () => {
    const version = fc.option(fc.oneof(text, fc.integer()), { nil: undefined });
    fc.assert(
      fc.property(named, version, named, version, address, address, (name, v, otherName, w, a, b) => {
        fc.pre(name !== otherName || String(v) !== String(w) || (v === undefined) !== (w === undefined));
        const [one, other] = [under(name, a.path, v), under(otherName, b.path, w)];
        expect(one.backendPrefix + a.key).not.toBe(other.backendPrefix + b.key);
        expect(one.tagPrefixes.at(-1)! + a.key).not.toBe(other.tagPrefixes.at(-1)! + b.key);
      }),
      { numRuns: 2_000 },
    );
  });

  it.for([
    ["a", "b:c", "a:b", "c"],
    ["a", ":b", "a:", "b"],
    ["a:", "b", "a", ":b"],
    ["a%3Ab", "c", "a:b", "c"],
  ] as const)("(%s, %s) is not (%s, %s)", ([a, b, c, d]) => {
    const root = rootKeySpace("shop");
    expect(keySpaceBelow(root, a).backendPrefix + b).not.toBe(keySpaceBelow(root, c).backendPrefix + d);
    expect(localKey(keySpaceBelow(root, a), b)).not.toBe(localKey(keySpaceBelow(root, c), d));
  });
});

describe("C110 a user's key", () => {
  /** All keys that the cache itself uses in a backend for tags: read, pinned and renewed. */
  async function tagKeysOf(keySpace: KeySpace, tags: readonly string[]): Promise<Set<string>> {
    const used = new Set<string>();
    const versions = versionEntries(
      {
        read: async (key) => {
          used.add(key);
          return undefined;
        },
        write: async (key) => void used.add(key),
      },
      new TestClock(),
    );
    const keys = dependencies(keySpace, tags);
    await versions.read(keys);
    await versions.pin(keys);
    await versions.unchangedSince("", keys);
    await versions.renew(keys, "hard");
    await versions.renew(keys, "soft");
    return used;
  }

  it("never collides with a key kept for tags, under any name of the cache", async () => {
    await fc.assert(
      fc.asyncProperty(
        named,
        named,
        address,
        fc.array(text, { maxLength: 2 }),
        address,
        async (name, otherName, a, tags, b) => {
          const used = await tagKeysOf(under(name, a.path), tags);
          for (const each of [name, otherName]) expect(used.has(under(each, b.path).backendPrefix + b.key)).toBe(false);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("tags never collide with one another or with the version of a namespace", async () => {
    await fc.assert(
      fc.asyncProperty(address, address, async (a, b) => {
        const root = rootKeySpace("shop");
        const tag = at(root, a.path).tagPrefixes.at(-1)! + a.key;
        const other = at(root, b.path).tagPrefixes.at(-1)! + b.key;
        expect(tag === other).toBe(a.key === b.key && a.path.join("\0") === b.path.join("\0"));
        expect(at(root, b.path).tagPrefixes).not.toContain(tag);
      }),
      { numRuns: 1_000 },
    );
  });

  it("that looks like a tag key is another key", () => {
    const root = rootKeySpace("shop");
    for (const key of ["{~shop}::t", "{~shop}::", "{~~shop}::t", "~shop", "shop::t"]) {
      expect(root.backendPrefix + key).toBe(`shop::${key}`);
      expect(rootKeySpace("").backendPrefix + key).toBe(`::${key}`);
    }
    expect(rootKeySpace("{~shop}").backendPrefix).toBe("%7B%7Eshop%7D::");
  });
});

describe("checkKey", () => {
  it.for<readonly [string]>([
    ["k"],
    [" "],
    ["\0"],
    ["__proto__"],
    ["k".repeat(65_536)],
    ["€".repeat(21_845)],
    ["😀".repeat(16_384)],
    ["\u{10FFFF}"],
  ])("takes %#", ([key]) => {
    expect(() => checkKey(key)).not.toThrow();
  });

  it.for<readonly [unknown]>([
    [""],
    ["k".repeat(65_537)],
    ["€".repeat(21_846)],
    ["😀".repeat(16_385)],
    ["\uD800"],
    ["a\uDC00"],
    [5],
    [undefined],
    [null],
    [{}],
    [Symbol("k")],
  ])("refuses %#", ([key]) => {
    expect(() => checkKey(key)).toThrow(InvalidArgumentError);
  });
});

describe("checkTags", () => {
  it.for<readonly [unknown]>([[[]], [["a"]], [["a", "a"]], [["t".repeat(1_024)]], [[":"]], [["*"]]])(
    "takes %#",
    ([tags]) => {
      expect(() => checkTags(tags)).not.toThrow();
    },
  );

  it.for<readonly [unknown]>([
    ["a"],
    [undefined],
    [null],
    [new Set(["a"])],
    [[""]],
    [["t".repeat(1_025)]],
    [["\uD800"]],
    [[5]],
    [[["a"]]],
    [Array(1)],
  ])("refuses %#", ([tags]) => {
    expect(() => checkTags(tags)).toThrow(InvalidArgumentError);
  });

  const numbered = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => String(i));

  it("C598 takes 2,048 different ones of an entry, and any number of a call", () => {
    expect(() => checkTags([...numbered(2_048), ...numbered(2_048)])).not.toThrow();
    expect(() => checkTags(numbered(2_049), "call")).not.toThrow();
    expect(() => checkTags(numbered(2_049))).toThrow("an entry may have at most 2048 tags, got 2049; give it fewer");
  });
});

describe("tagNames", () => {
  it("C598 gives each tag once, a long one as a hash that never changes", () => {
    const long = "t".repeat(513);
    expect(tagNames(["a", long, "a", "t".repeat(512), `${long}t`, long])).toEqual([
      "a",
      "~2de84e4d93f01187",
      "t".repeat(512),
      "~f1f4a5403fc44465",
    ]);
    expect(tagNames(tagNames([long]))).toEqual(tagNames([long]));
  });
});
