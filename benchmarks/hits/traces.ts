import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";

/** Accesses in their order. A key is a number from 0: the place of its first occurrence among those of other keys. */
export interface Trace {
  readonly name: string;
  readonly accesses: Uint32Array;
  readonly keyCount: number;
}

const SUFFIX = /\.(?:trace|trc)(?:\.bin)?(?:\.gz)?$/;

/**
 * The traces of a directory: files that end in `.trace`, `.trc` or `.trc.bin`, perhaps gzipped.
 *
 * A file is text, one decimal number for each access (other lines are skipped), or binary, one big-endian 32-bit
 * integer for each: binary if its beginning has a byte that is not text.
 */
export function tracesIn(directory: string): readonly Trace[] {
  const files = readdirSync(directory).filter((file) => SUFFIX.test(file));
  if (files.length === 0)
    throw new Error(`no trace in ${directory}: files must end in .trace, .trc or .trc.bin, or these with .gz`);
  return files.toSorted().map((file) => {
    const bytes = readFileSync(join(directory, file));
    return toTrace(basename(file).replace(SUFFIX, ""), parse(file.endsWith(".gz") ? gunzipSync(bytes) : bytes));
  });
}

function parse(bytes: Buffer): Iterable<number> {
  const isText = bytes
    .subarray(0, 1_000)
    .every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127));
  if (!isText) return Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readInt32BE(4 * i));
  return bytes
    .toString("latin1")
    .split(/\s*\n/)
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
}

const SYNTHETIC_KEYS = 50_000;
const SYNTHETIC_ACCESSES = 1_000_000;

/** Where there are no real ones. The same at each run. */
export function syntheticTraces(): readonly Trace[] {
  return [
    toTrace("zipf", zipf(SYNTHETIC_KEYS, SYNTHETIC_ACCESSES)),
    toTrace("scan", scan()),
    toTrace("loop", loop()),
    toTrace("shift", shift()),
  ];
}

function toTrace(name: string, keys: Iterable<number>): Trace {
  const numbers = new Map<number, number>();
  const accesses: number[] = [];
  for (const key of keys) {
    let number = numbers.get(key);
    if (number === undefined) numbers.set(key, (number = numbers.size));
    accesses.push(number);
  }
  return { name, accesses: Uint32Array.from(accesses), keyCount: numbers.size };
}

/** Ranks: the popularity of a key is the inverse of its rank. */
function* zipf(keys: number, accesses: number): Generator<number> {
  const random = randomFrom(42);
  const until = new Float64Array(keys);
  for (let rank = 0, total = 0; rank < keys; rank += 1) until[rank] = total += 1 / (rank + 1) ** 0.99;
  for (let i = 0; i < accesses; i += 1) {
    const wanted = random() * until[keys - 1]!;
    let low = 0;
    let high = keys - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (until[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    yield low;
  }
}

/** Zipf, and after each 20,000 accesses 5,000 keys that are used this once. */
function* scan(): Generator<number> {
  let i = 0;
  for (const rank of zipf(SYNTHETIC_KEYS, SYNTHETIC_ACCESSES)) {
    yield rank;
    i += 1;
    if (i % 20_000 === 0) for (let passing = 0; passing < 5_000; passing += 1) yield SYNTHETIC_KEYS + i + passing;
  }
}

function* loop(): Generator<number> {
  for (let i = 0; i < SYNTHETIC_ACCESSES; i += 1) yield i % (SYNTHETIC_KEYS / 10);
}

/** Zipf, with other popular keys after each 100,000 accesses. */
function* shift(): Generator<number> {
  let i = 0;
  for (const rank of zipf(SYNTHETIC_KEYS, SYNTHETIC_ACCESSES)) {
    yield (rank + Math.floor(i / 100_000) * 7_919) % SYNTHETIC_KEYS;
    i += 1;
  }
}

/** From 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
