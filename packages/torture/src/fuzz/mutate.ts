import type { Random } from "@hotset/test-servers";

/** Changes to valid bytes, one to four of them: each finds other faults of a decoder. */
export function mutate(random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  let changed: Uint8Array = Uint8Array.from(bytes);
  for (let left = 1 + random.below(4); left > 0; left -= 1) changed = random.one(MUTATIONS)(random, changed, other);
  return changed.subarray(0, MAX_BYTES);
}

type Mutation = (random: Random, bytes: Uint8Array, other: Uint8Array) => Uint8Array;

const MAX_BYTES = 8 * 2 ** 20;
/** Lengths and counts at the ends of their ranges, in the notations of the formats and compressors. */
const EXTREMES = ["ff", "ffff", "7fffffff", "ffffffff", "80000000", "ffffffff0f", "00000000", "dd04000000", "0a", "00"];

const MUTATIONS: readonly Mutation[] = [
  function change(random, bytes) {
    for (let left = 1 + random.below(8); left > 0 && bytes.length > 0; left -= 1)
      bytes[random.below(bytes.length)] = random.below(256);
    return bytes;
  },
  function flip(random, bytes) {
    const at = random.below(bytes.length);
    if (bytes.length > 0) bytes[at] = bytes[at]! ^ (1 << random.below(8));
    return bytes;
  },
  function cut(random, bytes) {
    return bytes.subarray(0, random.below(bytes.length + 1));
  },
  function remove(random, bytes) {
    const [from, to] = range(random, bytes);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  function overwrite(random, bytes) {
    const extreme = Buffer.from(random.one(EXTREMES), "hex");
    if (extreme.length <= bytes.length) bytes.set(extreme, random.below(bytes.length - extreme.length + 1));
    return bytes;
  },
  function insert(random, bytes) {
    return between(random, bytes, Buffer.from(random.one(EXTREMES), "hex"));
  },
  function splice(random, bytes, other) {
    return between(random, bytes, other.subarray(...range(random, other)));
  },
  /** Many times, so that what costs little once costs a lot. */
  function repeat(random, bytes) {
    const [from, to] = range(random, bytes);
    if (to === from) return bytes;
    const times = Math.min(2 ** random.below(21), Math.floor(MAX_BYTES / (to - from)));
    const repeated = Buffer.alloc(times * (to - from), bytes.subarray(from, to));
    return Buffer.concat([bytes.subarray(0, from), repeated, bytes.subarray(to)]);
  },
];

function range(random: Random, bytes: Uint8Array): readonly [from: number, to: number] {
  const from = random.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + random.below(random.oneIn(2) ? 8 : bytes.length + 1))];
}

function between(random: Random, bytes: Uint8Array, inserted: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
}
