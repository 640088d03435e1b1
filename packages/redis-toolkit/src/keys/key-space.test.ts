import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkKey, escapeGlob, KeySpace } from "./key-space.ts";

const ID = fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" });

describe("the keys of a tenant", () => {
  it.each([
    ["acme", "acme:"],
    ["a:b", "a%3Ab:"],
    ["{x}", "%7Bx%7D:"],
    ["*", "%2A:"],
    ["a\nb\0", "a%0Ab%00:"],
    ["ü", "%C3%BC:"],
    ["%3A", "%253A:"],
  ])("A36: of %j lie below %s", (id, prefix) => {
    expect(KeySpace.root.tenant(id).prefix).toBe(prefix);
    expect(KeySpace.root.tenant(id).inside("k")).toBe(`${prefix}k`);
  });

  it("A36: no key of one id lies in the space of another", () => {
    fc.assert(
      fc.property(ID, ID, fc.string(), (one, other, key) => {
        fc.pre(one !== other);
        const prefix = KeySpace.root.tenant(other).prefix;
        expect(KeySpace.root.tenant(one).inside(key).startsWith(prefix)).toBe(false);
      }),
    );
  });

  it("come back without the prefix, as text and as bytes", () => {
    const space = KeySpace.root.tenant("ä");
    expect(space.outside(space.inside("k"))).toBe("k");
    expect(space.outside(space.inside(Buffer.from([0xff, 0])))).toEqual(Buffer.from([0xff, 0]));
    expect(space.outside("of another")).toBe("of another");
    expect(KeySpace.root.inside("k")).toBe("k");
    expect(KeySpace.root.isTenant).toBe(false);
  });

  it("lie below a tenant of a tenant", () => {
    expect(KeySpace.root.tenant("a").tenant("b").inside("k")).toBe("a:b:k");
  });

  it("A36: globs of a tenant begin with its own prefix, in which nothing is special", () => {
    expect(escapeGlob("*?[a-z]^\\b")).toBe("\\*\\?\\[a-z\\]\\^\\\\b");
    expect(KeySpace.root.tenant("a*").pattern("user:*")).toBe("a%2A:user:*");
  });

  it.each([
    ["", 'got ""'],
    ["x".repeat(257), "257 characters"],
    [7 as never, "got a number"],
  ])("need an id that can be one: %j", (id, got) => {
    expect(() => KeySpace.root.tenant(id)).toThrow(got);
  });
});

it.each([
  ["", "an empty one"],
  [Buffer.alloc(0), "an empty one"],
  [null as never, "null"],
  [undefined as never, "undefined"],
  [7 as never, "number"],
])("a key that is none is refused: %j", (key, got) => {
  expect(() => checkKey("get", key)).toThrow(got);
});

it("a tagged name keeps its tag: different names stay different, and so do those of two tenants", () => {
  const tags = ["a", "a{b}c", "a%7Bb", "a{b"].map((name) => KeySpace.root.hashTagged(name));
  expect(tags).toEqual(["{a}", "{a%7Bb%7Dc}", "{a%257Bb}", "{a%7Bb}"]);
  const shop = KeySpace.root.tenant("acme").tenant("{shop}");
  expect([shop.hashTagged("a:b"), shop.hashTagged("}")]).toEqual(["{acme:%7Bshop%7D:a:b}", "{acme:%7Bshop%7D:%7D}"]);
});
