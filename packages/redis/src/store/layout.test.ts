import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { encodeEntry } from "./entry-fields.ts";
import { RedisKeys } from "./redis-keys.ts";
import { encodeString } from "./string-entry.ts";

/** By number. A change of keys, fields or bytes raises the number of the page and adds a row; no row is changed. */
const DIGESTS: Readonly<Record<number, string>> = { 1: "z_4_4Q49OLgdl86zTM-pKB7izckRbW8CDaOBFcEtyms" };

const PAGE = new URL("../../../../docs/reference/redis-layout.md", import.meta.url);

it("C572: the keys and bytes in Redis are those of the number of their page", () => {
  const number = Number(/^Layout (\d+): /m.exec(readFileSync(PAGE, "utf8"))?.[1]);
  const lives = [
    { staleInMs: 60_000, expiresInMs: 360_000 },
    { staleInMs: Infinity, expiresInMs: Infinity },
    { staleInMs: 1_000, expiresInMs: Infinity },
    { staleInMs: -500, expiresInMs: 60_000 },
  ];
  const entries = lives.flatMap((life) => {
    const entry = { ...life, data: Uint8Array.of(0, 255, 10), meta: "json none" };
    const { value, ...rest } = encodeString(entry, "AAAABBBBCCCCDDDD")!;
    const fields = (["full", "plain"] as const).map((layout) => encodeEntry(entry, layout, 1_700_000_000_000, "AAAA"));
    return [fields, { ...rest, value: Buffer.from(value).toString("hex") }];
  });
  const keys = (["readable", "hashed"] as const).map((format) => {
    const of = new RedisKeys({ prefix: "hotset", format });
    const names = [
      "shop::user:1",
      "shop@2:a:b::k",
      "::k",
      "{~shop}:a::tag",
      "shop::{x}y",
      `shop::${"long".repeat(50)}`,
    ];
    const stored = names.map((name) => of.entry(name));
    const beside = stored.flatMap((key) => [of.lease(key), of.freed(key), of.staged(key, "id")]);
    return [stored, beside, of.issuer("{~shop}::tag"), of.tracked, of.channel];
  });
  const digest = createHash("sha256")
    .update(JSON.stringify([entries, keys]))
    .digest("base64url");
  expect({ [number]: digest }).toEqual({ [number]: DIGESTS[number] });
});
