import { randomBytes } from "./platform.ts";

/** The secret of a {@link keyedHash}: 64 bits. */
export type HashSecret = readonly [low: number, high: number];

export function randomSecret(): HashSecret {
  const [low = 0, high = 0] = new Int32Array(randomBytes(8).slice().buffer);
  return [low, high];
}

/**
 * HalfSipHash-1-3 of all UTF-16 units of a text: 32 bits, signed. A caller that does not know the secret cannot choose
 * texts of equal hashes. A faster hash such as FNV-1a allows it under any seed.
 *
 * @see https://www.aumasson.jp/siphash/siphash.pdf
 * @see https://github.com/torvalds/linux/blob/master/Documentation/security/siphash.rst
 */
export function keyedHash([low, high]: HashSecret, text: string): number {
  const { length } = text;
  const paired = length & ~1;
  let v0 = low;
  let v1 = high;
  let v2 = low ^ 0x6c796765;
  let v3 = high ^ 0x74656462;
  // Two units at a time, then the odd one next to the length, then three rounds more.
  for (let i = 0; i <= paired + 6; i += 2) {
    let word = 0;
    if (i < paired) word = text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16);
    else if (i === paired) word = (length << 25) | (paired === length ? 0 : text.charCodeAt(i));
    else if (i === paired + 2) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}
