/**
 * Replays traces through `memory()`, and compares the hit ratio of adaptive eviction with that of LRU, of other policies
 * as their papers give them, and with the best that is possible (Belady). Then the CPU time of a hit and of a new key, and the memory of an entry.
 *
 *     npm run bench -- hits                            synthetic traces: Zipf, scan, loop, shift
 *     npm run bench -- hits --traces <directory>       those in a directory; also HOTSET_TRACES=<directory>
 *     npm run bench -- hits --sizes 0.5%,10%,100,512   parts of the keys, or numbers of entries
 *     npm run bench -- hits --svg hits.svg --json hits.json --rounds 15
 *
 * Values have equal sizes, none ends, and a miss is followed by a store. An adaptive tier hashes with a seed of its own
 * at each run, so ratios vary by some tenths of a point.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { memory } from "@hotset/memory";
import { TestClock } from "@hotset/testing";
import { hitsOfBelady } from "./belady.ts";
import { costs } from "./cost.ts";
import { plot } from "./plot.ts";
import { POLICIES } from "./policies.ts";
import { syntheticTraces, tracesIn, type Trace } from "./traces.ts";

interface Row {
  readonly trace: string;
  readonly size: string;
  readonly entries: number;
  /** Hits in percent of all accesses. */
  readonly lru: number;
  readonly adaptive: number;
  readonly belady: number;
  /** Of other policies, by their names. */
  readonly others: Readonly<Record<string, number>>;
}

const { values } = parseArgs({
  options: {
    traces: { type: "string", default: process.env["HOTSET_TRACES"] ?? "" },
    sizes: { type: "string", default: "0.1%,1%,5%,20%" },
    rounds: { type: "string", default: "9" },
    svg: { type: "string", default: "hit-ratios.svg" },
    json: { type: "string" },
  },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds must be a whole number of at least 1, got ${JSON.stringify(values.rounds)}`);
const sizes = values.sizes.split(",");
for (const size of sizes)
  if (!/^\d+(?:\.\d+)?%$|^[1-9]\d*$/.test(size))
    throw new Error(`--sizes must be parts of the keys like 5%, or numbers of entries, got ${JSON.stringify(size)}`);

const traces = values.traces === "" ? syntheticTraces() : tracesIn(values.traces);
console.log("hits in percent of the accesses; behind adaptive: points above LRU");
console.log(
  line("trace", "accesses", "keys", "size", "entries", "LRU", "adaptive", "", "Belady", ...Object.keys(POLICIES)),
);
const rows = traces.flatMap(replayed);
printMeans();
writeFileSync(values.svg, plot(traces.map(panelOf)));
console.log(`plot: ${values.svg}`);

const measured = [1_000, 10_000, 100_000].flatMap((entries) => costs(entries, rounds));
for (const { what, entries, adaptiveNs, lruNs, ratio } of measured)
  console.log(
    `${what.padEnd(30)} ${String(entries).padStart(7)} entries: ${adaptiveNs.median.toFixed(0)} ns to ${lruNs.median.toFixed(0)} ns, ratio ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)})`,
  );
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const memoryOf = { adaptive: bytesEach("adaptive"), lru: bytesEach("lru") };
console.log(
  `memory of an entry in a full tier of 100,000, without its key and value: ${memoryOf.adaptive} bytes, with LRU ${memoryOf.lru}`,
);
if (values.json !== undefined)
  writeFileSync(
    values.json,
    `${JSON.stringify({ node: process.version, rounds, rows, costs: measured, bytesEach: memoryOf }, null, 2)}\n`,
  );

function replayed(trace: Trace): readonly Row[] {
  return sizes.map((size) => {
    const entries = size.endsWith("%")
      ? Math.max(1, Math.round((trace.keyCount * Number(size.slice(0, -1))) / 100))
      : Number(size);
    const row = {
      trace: trace.name,
      size,
      entries,
      lru: replay(trace, entries, "lru"),
      adaptive: replay(trace, entries, "adaptive"),
      belady: (hitsOfBelady(trace, entries) / trace.accesses.length) * 100,
      others: Object.fromEntries(
        Object.entries(POLICIES).map(([name, policy]) => [name, ratioOf(trace, policy(entries))]),
      ),
    };
    const gained = row.adaptive - row.lru;
    console.log(
      line(
        ...[row.trace, trace.accesses.length, trace.keyCount, size, entries, row.lru.toFixed(1)],
        ...[row.adaptive.toFixed(1), signed(gained), row.belady.toFixed(1)],
        ...Object.values(row.others).map((percent) => percent.toFixed(1)),
      ),
    );
    return row;
  });
}

function replay({ accesses, keyCount }: Trace, entries: number, eviction: "lru" | "adaptive"): number {
  const tier = memory({ maxEntries: entries, maxBytes: Infinity, eviction });
  tier.attach({ clock: new TestClock(), evicted: () => undefined });
  const keys = Array.from({ length: keyCount }, (_, i) => `product:${i}`);
  const entry = { value: 1, deadAt: Infinity };
  let hits = 0;
  for (const number of accesses) {
    const key = keys[number]!;
    if (tier.get(key) === undefined) tier.set(key, entry);
    else hits += 1;
  }
  return (hits / accesses.length) * 100;
}

function ratioOf({ accesses }: Trace, access: (key: number) => boolean): number {
  let hits = 0;
  for (const key of accesses) if (access(key)) hits += 1;
  return (hits / accesses.length) * 100;
}

function printMeans(): void {
  for (const { name } of traces) {
    const gains = rows.filter(({ trace }) => trace === name).map(({ adaptive, lru }) => adaptive - lru);
    const mean = gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
    console.log(`${name.padEnd(12)} mean ${signed(mean)}, least ${signed(Math.min(...gains))}`);
  }
}

function panelOf({ name }: Trace) {
  const own = rows.filter(({ trace }) => trace === name);
  return {
    title: name,
    sizes: own.map(({ size }) => size),
    curves: [
      { name: "LRU", percents: own.map(({ lru }) => lru) },
      { name: "adaptive", percents: own.map(({ adaptive }) => adaptive) },
      { name: "Belady", percents: own.map(({ belady }) => belady) },
    ],
  };
}

function bytesEach(eviction: "lru" | "adaptive"): number {
  const entry = { value: 1, deadAt: Infinity, encodedBytes: 200 };
  const keys = Array.from({ length: 120_000 }, (_, i) => `product:${i}`);
  // So that V8 keeps each key as one flat string, before the measurement and after it.
  const known = new Set(keys);
  const before = occupied();
  const tier = memory({ maxEntries: 100_000, maxBytes: "1gb", eviction });
  tier.attach({ clock: new TestClock(), evicted: () => undefined });
  for (const key of keys) tier.set(key, entry);
  const bytes = Math.round((occupied() - before) / tier.entryCount);
  if (known.size !== keys.length || tier.entryCount !== 100_000) throw new Error("a key or an entry is missing");
  return bytes;
}

function occupied(): number {
  for (let times = 0; times < 3; times += 1) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function signed(points: number): string {
  return `${points < 0 ? "" : "+"}${points.toFixed(2)}`;
}

function line(...cells: readonly (string | number)[]): string {
  return cells.map((cell, i) => (i === 0 ? String(cell).padEnd(12) : String(cell).padStart(10))).join("");
}
