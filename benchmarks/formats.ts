/**
 * Sizes and times of formats and compressors, behind docs/guide/formats.md and decisions 0003 and 0004.
 *
 *     node --conditions=@hotset/source benchmarks/formats.ts              everything
 *     node --conditions=@hotset/source benchmarks/formats.ts formats      every format with every compressor
 *     node --conditions=@hotset/source benchmarks/formats.ts structures   the ways in which msgpackr writes objects
 *     node --conditions=@hotset/source benchmarks/formats.ts pool         at once, or in the thread pool
 *     node --conditions=@hotset/source benchmarks/formats.ts levels       the cost of each level of the compressors
 *
 * Medians of interleaved rounds. Processor time of all threads, so that other processes disturb little; only `pool`
 * reads the wall clock, and needs the machine for itself. Prints how much of a core other processes used.
 */
import { cpus } from "node:os";
import { parseArgs, promisify } from "node:util";
import * as zlib from "node:zlib";
import { type Compressor, type Format, json, passthrough } from "@hotset/core";
import { brotli, gzip, v8 } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
// Without its native part, as in hotset: "msgpackr" would load it, for hotset in this process as well.
import { Packr } from "msgpackr/pack";
import { Neighbours, QUIET, spread } from "./measure.ts";
import { payloads } from "./payloads.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "21" } },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds must be a whole number of at least 1, got ${JSON.stringify(values.rounds)}`);

const sections: Readonly<Record<string, () => Promise<void>>> = { formats, structures, pool, levels };
const unknown = positionals.find((name) => !(name in sections));
if (unknown !== undefined)
  throw new Error(`sections must be among ${Object.keys(sections).join(", ")}, got ${JSON.stringify(unknown)}`);

console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]!.model}, medians of ${rounds} rounds`);
const neighbours = new Neighbours();
for (const [name, run] of Object.entries(sections))
  if (positionals.length === 0 || positionals.includes(name)) await run();
const others = neighbours.look();
console.log(
  `\nOthers used ${(others * 100).toFixed(0)} % of a core.${others > QUIET ? " NOT ALONE: compare figures of one table with one another, and those of the wall clock with nothing." : ""}`,
);

async function formats(): Promise<void> {
  const all: readonly Format[] = [json(), msgpack(), v8()];
  const compressors: readonly Compressor[] = [passthrough(), zstd(), gzip(), brotli()];
  const writes = new Map<string, () => unknown>();
  const reads = new Map<string, () => unknown>();
  const sizes = new Map<string, number>();
  const rows: { readonly label: string; readonly cells: readonly string[] }[] = [];
  for (const format of all) {
    for (const compressor of compressors) {
      const cells: string[] = [];
      for (const { name, value } of payloads()) {
        const cell = `${format.id}+${compressor.id} ${name}`;
        const bytes = await compressor.compress(format.encode(value));
        sizes.set(cell, bytes.byteLength);
        writes.set(cell, () => compressor.compress(format.encode(value)));
        reads.set(cell, () => {
          const plain = compressor.decompress(bytes, 2 ** 26);
          return plain instanceof Uint8Array ? format.decode(plain) : plain.then((arrived) => format.decode(arrived));
        });
        cells.push(cell);
      }
      rows.push({ label: compressor.id === "none" ? format.id : `${format.id} + ${compressor.id}`, cells });
    }
  }
  const writeUs = await medians(writes);
  const readUs = await medians(reads);
  table(
    ["", ...payloads().map(({ name }) => name)],
    rows.map(({ label, cells }) => [
      label,
      ...cells.map((cell) => `${count(sizes.get(cell)!)} B, ${us(writeUs.get(cell)!)} / ${us(readUs.get(cell)!)}`),
    ]),
    "Bytes, and µs of processor time to write / to read",
  );
}

async function structures(): Promise<void> {
  const plain = msgpack();
  const records = new Packr({ moreTypes: true, structuredClone: false });
  const shared = new Packr({ moreTypes: true, structures: [], saveStructures: () => true });
  const ways = {
    "maps, as `msgpack()` writes": {
      encode: (value: unknown) => plain.encode(value),
      decode: (bytes: Uint8Array) => plain.decode(bytes),
    },
    "records within the entry": {
      encode: (value: unknown) => records.pack(value),
      decode: (bytes: Uint8Array): unknown => records.unpack(bytes),
    },
    "records shared by entries": {
      encode: (value: unknown) => shared.pack(value),
      decode: (bytes: Uint8Array): unknown => shared.unpack(bytes),
    },
  };
  const ids = Object.fromEntries(
    Array.from({ length: 1_000 }, (_, i) => [`${(i * 2_654_435_761) % 4_294_967_296}`.padStart(10, "k"), i]),
  );
  const samples = [...payloads(), { name: "1,000 ids", value: ids }];
  const writes = new Map<string, () => unknown>();
  const reads = new Map<string, () => unknown>();
  const sizes = new Map<string, string>();
  for (const [way, { encode, decode }] of Object.entries(ways)) {
    for (const { name, value } of samples) {
      encode(value); // shared structures are complete from the second time on
      const bytes = Buffer.from(encode(value));
      sizes.set(way + name, `${count(bytes.byteLength)} B (${count(zlib.zstdCompressSync(bytes).byteLength)})`);
      writes.set(way + name, () => encode(value));
      reads.set(way + name, () => decode(bytes));
    }
  }
  const writeUs = await medians(writes);
  const readUs = await medians(reads);
  table(
    ["", ...samples.map(({ name }) => name)],
    Object.keys(ways).map((way) => [
      way,
      ...samples.map(
        ({ name }) => `${sizes.get(way + name)!}, ${us(writeUs.get(way + name)!)} / ${us(readUs.get(way + name)!)}`,
      ),
    ]),
    "Bytes (with zstd), and µs of processor time to write / to read",
  );
}

async function pool(): Promise<void> {
  const sizesKib = [1, 4, 16, 32, 64, 256, 1_024];
  const text = Buffer.from(JSON.stringify(Array.from({ length: 25 }, () => payloads()[2]!.value)));
  const brotliParams = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } };
  const algorithms = {
    "gzip, level 6": [zlib.gzipSync, zlib.gunzipSync, promisify(zlib.gzip), promisify(zlib.gunzip)],
    "brotli, level 4": [
      (bytes: Uint8Array) => zlib.brotliCompressSync(bytes, brotliParams),
      zlib.brotliDecompressSync,
      (bytes: Uint8Array) =>
        promisify<Uint8Array, zlib.BrotliOptions, Buffer>(zlib.brotliCompress)(bytes, brotliParams),
      promisify(zlib.brotliDecompress),
    ],
    "zstd, level 3, of node:zlib": [
      zlib.zstdCompressSync,
      zlib.zstdDecompressSync,
      promisify<Uint8Array, Buffer>(zlib.zstdCompress),
      promisify<Uint8Array, Buffer>(zlib.zstdDecompress),
    ],
  } as const;
  const rows: string[][] = [];
  for (const [name, [compressSync, decompressSync, compress, decompress]] of Object.entries(algorithms)) {
    const cells = new Map<string, () => unknown>();
    for (const kib of sizesKib) {
      const plain = text.subarray(0, kib * 1_024);
      const packed = compressSync(plain);
      cells.set(`c${kib}`, () => compressSync(plain)).set(`C${kib}`, () => compress(plain));
      cells.set(`d${kib}`, () => decompressSync(packed)).set(`D${kib}`, () => decompress(packed));
    }
    const found = await medians(cells, wallMicroseconds);
    rows.push([
      `compress: ${name}`,
      ...sizesKib.map((kib) => `${us(found.get(`c${kib}`)!)} / ${us(found.get(`C${kib}`)!)}`),
    ]);
    rows.push([
      `decompress: ${name}`,
      ...sizesKib.map((kib) => `${us(found.get(`d${kib}`)!)} / ${us(found.get(`D${kib}`)!)}`),
    ]);
  }
  table(
    ["", ...sizesKib.map((kib) => `${count(kib)} KiB`)],
    rows,
    "µs by the wall clock, at once / through the thread pool, one call after the other",
  );
}

async function levels(): Promise<void> {
  const sizesKib = [2, 8, 32, 128];
  const text = Buffer.from(JSON.stringify(Array.from({ length: 4 }, () => payloads()[2]!.value)));
  const { BROTLI_PARAM_QUALITY, ZSTD_c_compressionLevel } = zlib.constants;
  const compressSync: readonly (readonly [
    name: string,
    levels: readonly number[],
    (bytes: Uint8Array, level: number) => unknown,
  ])[] = [
    ["gzip", [1, 6, 9], (bytes, level) => zlib.gzipSync(bytes, { level })],
    [
      "brotli",
      [1, 4, 8, 9, 11],
      (bytes, level) => zlib.brotliCompressSync(bytes, { params: { [BROTLI_PARAM_QUALITY]: level } }),
    ],
    [
      "zstd",
      [-7, 3, 4, 9, 12, 19, 22],
      (bytes, level) => zlib.zstdCompressSync(bytes, { params: { [ZSTD_c_compressionLevel]: level } }),
    ],
  ];
  const cells = new Map<string, () => unknown>();
  for (const [name, leveled, compress] of compressSync)
    for (const level of leveled)
      for (const kib of sizesKib)
        cells.set(`${name} ${level} ${kib}`, () => compress(text.subarray(0, kib * 1_024), level));
  const found = await medians(cells);
  table(
    ["level", ...sizesKib.map((kib) => `${kib} KiB`)],
    compressSync.flatMap(([name, leveled]) =>
      leveled.map((level) => [`${name} ${level}`, ...sizesKib.map((kib) => us(found.get(`${name} ${level} ${kib}`)!))]),
    ),
    "µs of processor time to compress at once",
  );
}

function wallMicroseconds(): number {
  return performance.now() * 1_000;
}

function processorMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** µs of each, in interleaved rounds: a disturbance reaches all of them. */
async function medians(
  cells: ReadonlyMap<string, () => unknown>,
  clock = processorMicroseconds,
): Promise<ReadonlyMap<string, number>> {
  const samples = new Map<string, number[]>();
  const repeats = new Map<string, number>();
  for (let round = -2; round < rounds; round++) {
    for (const [name, run] of cells) {
      const times = repeats.get(name) ?? 3;
      const startedAt = clock();
      for (let i = 0; i < times; i++) {
        const result = run();
        if (result instanceof Promise) await result;
      }
      const microseconds = (clock() - startedAt) / times;
      // As often as fits into 4 ms, by the time of the round before. Six times at least, so that one garbage collection
      // does not make up the whole sample.
      repeats.set(name, Math.max(6, Math.min(5_000, Math.round(4_000 / Math.max(microseconds, 0.1)))));
      if (round >= 0) samples.set(name, [...(samples.get(name) ?? []), microseconds]);
    }
  }
  return new Map([...samples].map(([name, all]) => [name, spread(all).median]));
}

function table(head: readonly string[], rows: readonly (readonly string[])[], caption: string): void {
  const all = [head, head.map(() => "---"), ...rows];
  console.log(`\n${caption}:\n\n${all.map((row) => `| ${row.join(" | ")} |`).join("\n")}`);
}

function count(number: number): string {
  return number.toLocaleString("en");
}

function us(microseconds: number): string {
  return microseconds < 10 ? microseconds.toFixed(1) : count(Math.round(microseconds));
}
