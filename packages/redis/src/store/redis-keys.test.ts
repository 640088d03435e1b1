import { InvalidArgumentError } from "@hotset/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hasHashTag } from "../primitives/hash-slots.ts";
import { encodeUserKey, RedisKeys } from "./redis-keys.ts";

const readable = new RedisKeys({ prefix: "hotset", format: "readable" });
const bare = new RedisKeys({ prefix: "", format: "readable" });

describe("keys", () => {
  it.each([
    ["shop::user:1", "hotset:shop::user:1"],
    ["shop@2:users:tenant::1", "hotset:shop@2:users:tenant::1"],
    ["shop::a::b", "hotset:shop::a::b"],
    ["::user:1", "hotset::user:1"],
    ["{~shop}:users::vip", "hotset:{~shop}:users::vip"],
    ["shop::", "hotset:shop::"],
    ["shop::ünïcode 🦊", "hotset:shop::ünïcode 🦊"],
  ])("R1-07: %j is %j", (key, expected) => {
    expect(readable.entry(key)).toBe(expected);
  });

  it.each([
    ["::user:1", "user:1"],
    ["::a::b", "a::b"],
    ["{~}::tag", "{~}::tag"],
  ])("without a prefix %j is %j: without any segment the key stands alone", (key, expected) => {
    expect(bare.entry(key)).toBe(expected);
  });

  it.each(["shop::user:1", "@2::user:1", "{~shop}::tag"])("C146: without a prefix %j is refused", (key) => {
    expect(() => bare.entry(key)).toThrow(
      new InvalidArgumentError('keyPrefix("") needs a cache without a name and without a version'),
    );
  });

  it.each([
    ["a{b", "a%7Bb"],
    ["a}b", "a%7Db"],
    ["{}", "%7B%7D"],
    ["{}{a}", "%7B%7D%7Ba%7D"],
    ["{user}:1", "{user}:1"],
    ["100%", "100%"],
    ["a%20b", "a%20b"],
    ["a%7Bb", "a%257Bb"],
    ["a%25b", "a%2525b"],
    ["#abc", "%23abc"],
    ["a#b", "a#b"],
    ["%23abc", "%2523abc"],
    ["%2523abc", "%252523abc"],
    ["#{a}", "%23{a}"],
    ["%23{a}", "%2523{a}"],
    ["%2523{a}", "%252523{a}"],
    ["%23", "%2523"],
  ])("C108 C110: the user's key %j is kept as %j", (key, expected) => {
    expect(encodeUserKey(key)).toBe(expected);
  });

  it("C109 C110: no two users' keys meet, and each can be read back", () => {
    const hostile = fc.string({
      unit: fc.constantFrom("{", "}", "%", "#", ":", "2", "3", "5", "7", "B", "D", "b", "a", "é"),
      maxLength: 12,
    });
    fc.assert(
      fc.property(hostile, (key) => {
        expect(decodeUserKey(encodeUserKey(key))).toBe(key);
      }),
      { numRuns: 20_000, seed: 7 },
    );
  });

  it("hashed keys have a fixed length, and differ by namespace and key (R1-07)", () => {
    const hashed = new RedisKeys({ prefix: "hotset", format: "hashed" });
    expect(hashed.entry("shop::user:1")).toBe("hotset:shop::#q8Oke4rRi4VcaH2cosYJHucxLbVWMCGUKletqInIezQ");
    expect(hashed.entry(`shop::${"x".repeat(60_000)}`)).toHaveLength("hotset:shop::#".length + 43);
    expect(hashed.entry("shop::user:2")).not.toBe(hashed.entry("shop::user:1"));
    expect(hashed.entry("shop:a::user:1")).toBe("hotset:shop:a::#q8Oke4rRi4VcaH2cosYJHucxLbVWMCGUKletqInIezQ");
    expect(readable.entry("shop::#q8Oke4rRi4VcaH2cosYJHucxLbVWMCGUKletqInIezQ")).not.toBe(hashed.entry("shop::user:1"));
  });

  it.each(["\ud800", "a\udbffb", "shop\udc00::a"])("C108: refuses half a surrogate pair: %j", (key) => {
    for (const keys of [readable, new RedisKeys({ prefix: "hotset", format: "hashed" })]) {
      expect(() => keys.entry(key.includes("::") ? key : `shop::${key}`)).toThrow(InvalidArgumentError);
    }
  });

  it("C146: keys of two backends with different prefixes never meet, those of leases and issuers included", () => {
    const word = (...units: readonly string[]) =>
      fc.string({ unit: fc.constantFrom(...units), minLength: 1, maxLength: 6 });
    const prefix = fc.oneof(word("a", "b", "%", "#", "@"), fc.constantFrom("{a}", "a{b}", "hotset", "hotset%7Elease"));
    const key = fc.oneof(
      word("a", ":", "~", "{", "}", "lease", "issuer").map((user) => `::${user}`),
      word("a", "b", ":").map((user) => `a:b::${user}`),
      word("a", "b").map((tag) => `{~a}::${tag}`),
    );
    const keysOf = (under: string, of: string): readonly string[] => {
      const keys = new RedisKeys({ prefix: under, format: "readable" });
      const entry = keys.entry(of);
      return [entry, keys.lease(entry), keys.channel, ...(of.startsWith("{~") ? [keys.issuer(of)] : [])];
    };
    fc.assert(
      fc.property(prefix, prefix, key, key, (one, other, a, b) => {
        fc.pre(one !== other);
        for (const mine of keysOf(one, a)) expect(keysOf(other, b)).not.toContain(mine);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ["hotset:shop::user:1", "hotset~lease:{hotset:shop::user:1}"],
    ["hotset:shop::{user}:1", "hotset~lease:hotset:shop::{user}:1"],
    ["hotset:{~shop}::tag", "hotset~lease:hotset:{~shop}::tag"],
  ])("C110: the lease of %j is %j, outside the tracked prefix", (entryKey, expected) => {
    expect(readable.lease(entryKey)).toBe(expected);
    expect(expected.startsWith("hotset:")).toBe(false);
  });
});

/** The inverse of `encodeUserKey`. */
function decodeUserKey(encoded: string): string {
  if (hasHashTag(encoded))
    return encoded.replace(/^%((?:25)*)23/, (_, escapes: string) => (escapes === "" ? "#" : `%${escapes.slice(2)}23`));
  return encoded.replace(
    /%7B|%7D|%25|^%23/g,
    (escape) => ({ "%7B": "{", "%7D": "}", "%25": "%", "%23": "#" })[escape]!,
  );
}
