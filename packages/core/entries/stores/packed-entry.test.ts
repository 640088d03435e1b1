import { DecodeError } from "@hotset/core";
import { expect, it } from "vitest";
import { packEntry, unpackEntry } from "./packed-entry.ts";

const entry = { data: Uint8Array.of(0, 255, 10), staleInMs: 1_000, expiresInMs: 5_000, meta: '{"f":"jsön"}' };

it("restores the entry with its remaining times", () => {
  expect(unpackEntry(packEntry(entry, 1_000_000), 1_000_400)).toEqual({ ...entry, staleInMs: 600, expiresInMs: 4_600 });
});

it("keeps infinite times and stale entries", () => {
  expect(unpackEntry(packEntry({ ...entry, staleInMs: Infinity, expiresInMs: Infinity }, 5), 9)).toEqual({
    ...entry,
    staleInMs: Infinity,
    expiresInMs: Infinity,
  });
  expect(unpackEntry(packEntry({ ...entry, staleInMs: -30 }, 100), 120)).toEqual({
    ...entry,
    staleInMs: -50,
    expiresInMs: 4_980,
  });
});

it("is undefined from the very end of its life on", () => {
  const bytes = packEntry(entry, 1_000);
  expect(unpackEntry(bytes, 5_999)?.expiresInMs).toBe(1);
  expect(unpackEntry(bytes, 6_000)).toBeUndefined();
});

it("pins the layout", () => {
  expect(
    Buffer.from(packEntry({ data: Uint8Array.of(7), staleInMs: 1, expiresInMs: 2, meta: "m" }, 0)).toString("hex"),
  ).toBe("485301" + "3ff0000000000000" + "4000000000000000" + "0001" + "6d" + "07");
});

it("keeps the version, which a backend with leases has to return, and adds none", () => {
  const versioned = { ...entry, version: "-_09AZaz" };
  expect(unpackEntry(packEntry(versioned, 0), 0)).toEqual(versioned);
  expect(unpackEntry(packEntry(entry, 0), 0)).not.toHaveProperty("version");
  expect(
    Buffer.from(
      packEntry({ data: Uint8Array.of(7), staleInMs: 1, expiresInMs: 2, meta: "m", version: "ab" }, 0),
    ).toString("hex"),
  ).toBe("485302" + "026162" + "3ff0000000000000" + "4000000000000000" + "0001" + "6d" + "07");
});

it.each([
  ["too short", "4853"],
  ["cut in its version", `485302ff${"61".repeat(40)}`],
  ["of a later layout", `485303${"00".repeat(18)}`],
  ["another program's", "00".repeat(30)],
  ["of a staleness that is not a number", `4853017ff8000000000000${"40"}${"00".repeat(7)}0000`],
  ["of an end that is not a number", `485301${"00".repeat(8)}7ff80000000000000000`],
  ["cut in its meta", `485301${"00".repeat(16)}00ff`],
  ["cut in the length of a long meta", `485301${"00".repeat(16)}ffff0000`],
  ["cut in its long meta", `485301${"00".repeat(16)}ffff00010000`],
])("refuses bytes that are %s", (_name, hex) => {
  expect(() => unpackEntry(Buffer.from(hex, "hex"), 0)).toThrow(DecodeError);
});

it.each([65_534, 65_535, 8 * 2 ** 20])("packs a meta of %i bytes", (bytes) => {
  const long = { ...entry, meta: "m".repeat(bytes) };
  expect(unpackEntry(packEntry(long, 0), 0)).toEqual(long);
});

it("works on a view into a larger buffer", () => {
  const packed = packEntry(entry, 0);
  const larger = new Uint8Array(packed.length + 8);
  larger.set(packed, 5);
  expect(unpackEntry(larger.subarray(5, 5 + packed.length), 0)).toEqual(entry);
});

it("copies the data of a Buffer, which may be a part of a whole reply and be used again", () => {
  const reply = Buffer.concat([Buffer.alloc(1_000), packEntry(entry, 0)]);
  const { data } = unpackEntry(reply.subarray(1_000), 0)!;
  reply.fill(0);
  expect(data).toEqual(entry.data);
  expect(data.buffer.byteLength).toBe(entry.data.length);
});
