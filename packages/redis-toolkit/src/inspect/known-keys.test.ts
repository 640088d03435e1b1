import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { knownKey } from "./known-keys.ts";

const page = readFileSync(join(import.meta.dirname, "../../../../docs/reference/toolkit-keys.md"), "utf8");
const STAND_INS: Readonly<Record<string, string>> = {
  window: "2026-W47",
  ms: "60000",
  tenant: "acme",
  hash: "q8Oke4rR",
  id: "8f14e45f-ceea-467f-ab2c-3c6c5f1d2a90",
};

/** Every key of the page, with its row. */
const rows = page.split("\n").flatMap((line) => {
  const [, names = "", type = "", module = "", , ends = ""] = line.split("|").map((cell) => cell.trim());
  if (!module.startsWith("`/") || type === "channel") return [];
  return Array.from(names.matchAll(/`([^`]+)`/g), ([, name]) => ({
    key: name!.replace(/<([a-z]+)>/g, (_, word: string) => STAND_INS[word] ?? `a-${word}`),
    type,
    module: module.slice(2, -1),
    ends: ends.startsWith("never") ? ("never" as const) : ("always" as const),
  }));
});

describe("keys of the toolkit", () => {
  it("are more than thirty on their page", () => expect(rows.length).toBeGreaterThan(30));

  it.each(rows)("$key belongs to $module", ({ key, type, module, ends }) => {
    // A simple list lies under any name.
    const expected = key === "a-list" ? undefined : { module, ends };
    expect(knownKey(key, type)).toEqual(expected && expect.objectContaining(expected));
    for (const tenant of ["acme:", "acme:eu%3A1:"]) {
      const ofTenant = tenant + key.replace("{", `{${tenant}`);
      const alike = expected && expect.objectContaining({ ...expected, tenant });
      if (type !== "stream") expect(knownKey(ofTenant, type)).toEqual(alike);
    }
  });
});

describe("a key that begins as one of hotset, and goes on for 100,000 characters", () => {
  const parts = [":{", ":", "{", "}", ":{}", "{}:x", ":a", ":2024-01", "~", "::", "%", "x"];
  const beginnings = [
    "",
    "acme:",
    "hotset:shop",
    "hotset:{~shop}",
    "hotset~lease:",
    "lock:{a",
    "queue:{a}:",
    "session:{a}:",
  ];
  const begun = [
    ...beginnings,
    "rate_limit:",
    "uniques:{a}:of:",
    "leaderboard:{a}:",
    "presence:{a}:of:",
    "active:{a}:",
  ];

  it.each(begun)("is judged at once: %s", (begins) => {
    const before = process.cpuUsage();
    for (const part of parts)
      for (const type of ["string", "hash"]) knownKey(begins + part.repeat(100_000 / part.length), type);
    const { user, system } = process.cpuUsage(before);
    // Quadratic time is over 20 s.
    expect((user + system) / 1_000).toBeLessThan(5_000);
  });
});

describe("keys of a cache", () => {
  it.each([
    ["hotset:shop::user:1", "hash", "hotset:shop", "entry", "either"],
    ["hotset:shop@2:reports::{a}:1", "hash", "hotset:shop@2", "entry", "either"],
    ["hotset::user:1", "hash", "hotset:", "entry", "either"],
    ["hotset:shop:~processes::7", "hash", "hotset:shop", "record", "either"],
    ["hotset:{~shop}:reports::daily", "string", "hotset:shop", "version", "either"],
    ["hotset:{~shop}::", "string", "hotset:shop", "version", "either"],
    ["hotset~lease:{hotset:shop::user:1}", "string", "hotset:shop", "lease", "always"],
    ["hotset~lease:hotset:shop::{a}:1", "string", "hotset:shop", "lease", "always"],
    ["hotset~staged:{hotset:shop::user:1}:3", "hash", "hotset:shop", "staged", "always"],
    ["hotset~issuer:{~shop}", "hash", "hotset:shop", "issuer", "either"],
  ])("%s", (key, type, owner, part, ends) =>
    expect(knownKey(key, type)).toEqual({ module: "cache", tenant: "", owner, part, ends }),
  );

  it.each([
    ["user:1", "hash"],
    ["std::vector", "list"],
    ["other:session:1", "string"],
    ["session:1", "hash"],
  ])("%s is none", (key, type) => expect(knownKey(key, type)).toBeUndefined());
});

it("a key is known by its name alone, but for a stream", () => {
  expect(knownKey("hotset:{~shop}::tag")).toMatchObject({ part: "version", owner: "hotset:shop" });
  expect(knownKey("hotset:shop::user:1")).toMatchObject({ part: "entry", owner: "hotset:shop" });
  expect(knownKey("hotset:shop::user:1", "list")).toBeUndefined();
  expect(knownKey("hotset:shop::user:1", "string")).toMatchObject({ isStringEntry: true });
  expect(knownKey("events")).toBeUndefined();
});

it("an owner has the name that its program gave it", () =>
  expect(knownKey("acme:queue:{acme:a%7Bb%25%41}:state")).toMatchObject({ tenant: "acme:", owner: "a{b%%41" }));
