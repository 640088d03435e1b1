import { InvalidArgumentError, type StoredEntry } from "@hotset/core";
import { describe, expect, it } from "vitest";
import { isPlaceholder, placeholder } from "./entry-layout.ts";
import { decodeString, encodeString, isEntry, stamp, versionIn, type EncodedString } from "./string-entry.ts";

const SERVER_MS = 1_700_000_000_000;
const MAX_LIFE_MS = 2 ** 47;
const NO_INSTANTS = Buffer.alloc(12);

const entryOf = (changes: Partial<StoredEntry>): StoredEntry => ({
  data: Buffer.from("data"),
  staleInMs: 100,
  expiresInMs: 300,
  meta: "m",
  ...changes,
});

const encoded = (changes: Partial<StoredEntry> = {}, version = "v1"): EncodedString =>
  encodeString(entryOf(changes), version)!;

const stamped = (changes: Partial<StoredEntry> = {}): Buffer => {
  const made = encoded(changes);
  stamp(made, SERVER_MS);
  return made.value;
};

describe("encodeString", () => {
  it("leaves room for both instants, and puts nothing of other memory there", () => {
    expect(encoded().value).toEqual(
      Buffer.concat([
        Buffer.of(0xc1, 1, 2),
        Buffer.from("v1"),
        NO_INSTANTS,
        Buffer.of(0, 1),
        Buffer.from("m"),
        Buffer.from("data"),
      ]),
    );
  });

  it.each<readonly [string, Partial<StoredEntry>, string, string]>([
    ["whole milliseconds, rounded down", { staleInMs: 100.9, expiresInMs: 300.9 }, "100", "300"],
    ["a freshness that would outlast the entry", { staleInMs: 400, expiresInMs: 300 }, "300", "300"],
    ["an entry that is stale already", { staleInMs: -5, expiresInMs: 1 }, "-5", "1"],
    ["an entry that was never fresh", { staleInMs: -Infinity, expiresInMs: 1 }, String(1 - 2 ** 48), "1"],
    ["no end", { staleInMs: Infinity, expiresInMs: Infinity }, "", ""],
    ["a freshness with an end, in an entry without", { staleInMs: 100, expiresInMs: Infinity }, "100", ""],
    ["the longest life", { staleInMs: Infinity, expiresInMs: MAX_LIFE_MS }, String(MAX_LIFE_MS), String(MAX_LIFE_MS)],
    ["a longer life than the longest", { staleInMs: MAX_LIFE_MS + 1, expiresInMs: MAX_LIFE_MS + 1 }, "", ""],
  ])("%s", (_, changes, freshMs, lifeMs) => {
    expect(encoded(changes)).toMatchObject({ freshMs, lifeMs });
  });

  it("makes nothing of an entry whose life is over", () => {
    expect(encodeString(entryOf({ expiresInMs: 0.9 }), "v1")).toBe(undefined);
    expect(encodeString(entryOf({ expiresInMs: -1 }), "v1")).toBe(undefined);
  });

  it.each([{ staleInMs: NaN }, { expiresInMs: NaN }])("%o is refused", (changes) => {
    expect(() => encoded(changes)).toThrow(
      new InvalidArgumentError("entry.staleInMs and entry.expiresInMs must be numbers of milliseconds, got NaN"),
    );
  });

  it.each([65_534, 65_535, 65_536, 8 * 2 ** 20])("takes meta of %i bytes", (bytes) => {
    const meta = "é".repeat(bytes / 2) + "m".repeat(bytes % 2);
    expect(decodeString(stamped({ meta }), SERVER_MS)).toEqual({ ...entryOf({ meta }), version: "v1" });
    const cut = stamped({ meta }).subarray(0, -"data".length - 1);
    expect(decodeString(cut, SERVER_MS)).toBe(undefined);
  });
});

describe("decodeString", () => {
  it("gives back what was encoded", () => {
    expect(decodeString(stamped(), SERVER_MS)).toEqual({ ...entryOf({}), version: "v1" });
    expect(decodeString(stamped({ data: Buffer.alloc(0), meta: "" }), SERVER_MS)).toEqual({
      ...entryOf({ data: Buffer.alloc(0), meta: "" }),
      version: "v1",
    });
  });

  it("knows an entry without an end, and a freshness without", () => {
    expect(decodeString(stamped({ staleInMs: 100, expiresInMs: Infinity }), SERVER_MS + 40)).toMatchObject({
      staleInMs: 60,
      expiresInMs: Infinity,
    });
    expect(decodeString(stamped({ staleInMs: Infinity, expiresInMs: Infinity }), SERVER_MS)).toMatchObject({
      staleInMs: Infinity,
      expiresInMs: Infinity,
    });
  });

  it("rounds the time left down, and ends with the last whole millisecond", () => {
    const value = stamped();
    expect(decodeString(value, SERVER_MS + 298.5)).toMatchObject({ staleInMs: -199, expiresInMs: 1 });
    expect(decodeString(value, SERVER_MS + 299)).toMatchObject({ staleInMs: -199, expiresInMs: 1 });
    expect(decodeString(value, SERVER_MS + 299.5)).toBe(undefined);
    expect(decodeString(value, SERVER_MS + 300)).toBe(undefined);
  });

  it("an instant before 1970 is 1970", () => {
    expect(decodeString(stamped({ staleInMs: -Infinity }), SERVER_MS)).toMatchObject({ staleInMs: -SERVER_MS });
  });

  it("makes nothing of any part of an entry that was cut inside its meta or before, and all of what follows is data", () => {
    const value = stamped();
    const metaEnd = value.length - "data".length;
    for (let length = 0; length < metaEnd; length += 1)
      expect(decodeString(value.subarray(0, length), SERVER_MS), `${length} bytes`).toBe(undefined);
    expect(decodeString(value.subarray(0, metaEnd), SERVER_MS)?.data).toEqual(Buffer.alloc(0));
  });

  it.each([
    ["nothing", Buffer.alloc(0)],
    ["a placeholder", placeholder("token")],
    ["a string of another program", Buffer.from("another program wrote this, and it is long")],
    ["a string that begins alike", Buffer.concat([Buffer.of(0xc1, 2), Buffer.alloc(40)])],
  ])("makes nothing of %s", (_, value) => {
    expect(decodeString(value, SERVER_MS)).toBe(undefined);
    expect(isEntry(value)).toBe(false);
  });
});

describe("versionIn", () => {
  it.each([
    ["an entry", encoded({}, "v1").value, "v1"],
    ["an entry whose version is all there is", encoded({}, "v1").value.subarray(0, 5), "v1"],
    ["an entry that was cut inside its version", encoded({}, "v1").value.subarray(0, 4), "-"],
    ["nothing", Buffer.alloc(0), ""],
    ["a placeholder", placeholder("token"), ""],
    ["a string of another program", Buffer.from("another"), "-"],
  ])("of %s", (_, head, version) => {
    expect(versionIn(head)).toBe(version);
  });
});

it("a placeholder names its token, and is known by two bytes", () => {
  expect(placeholder("token")).toEqual(Buffer.concat([Buffer.of(0xc1, 0), Buffer.from("token")]));
  expect(isPlaceholder(placeholder("token").subarray(0, 2))).toBe(true);
  expect(isPlaceholder(stamped())).toBe(false);
  expect(isPlaceholder(Buffer.from("\u0001\u0000"))).toBe(false);
});
