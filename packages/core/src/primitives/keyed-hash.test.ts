import { expect, it } from "vitest";
import { keyedHash, randomSecret } from "./keyed-hash.ts";

/** The bytes 0, 1, 2 and so on, as UTF-16 units. */
const counting = (bytes: number): string => Buffer.from(Array.from({ length: bytes }, (_, i) => i)).toString("utf16le");

// The vectors of 32-bit hsiphash in Linux, lib/tests/siphash_kunit.c, for texts of an even number of bytes.
it.for([
  [0, 0x5814c896],
  [2, 0xbc4b0e30],
  [4, 0x7e059ea6],
  [6, 0xa0080b65],
  [8, 0x577999b1],
  [10, 0xe4fa32cf],
  [12, 0x6b28096c],
  [14, 0x16658a7c],
] as const)("is HalfSipHash-1-3, over %i bytes", ([bytes, hash]) => {
  expect(keyedHash([0x03020100, 0x07060504], counting(bytes)) >>> 0).toBe(hash);
});

it("depends on every character of a long text", () => {
  const secret = randomSecret();
  const text = "x".repeat(1_001);
  const hashes = Array.from(text, (_, i) => keyedHash(secret, `${text.slice(0, i)}y${text.slice(i + 1)}`));
  expect(new Set(hashes).size).toBeGreaterThan(hashes.length - 3);
});

it("differs between secrets, and no two secrets are equal", () => {
  const secrets = Array.from({ length: 100 }, randomSecret);
  expect(new Set(secrets.map(String)).size).toBe(100);
  expect(new Set(secrets.map((secret) => keyedHash(secret, "user:42"))).size).toBe(100);
});
