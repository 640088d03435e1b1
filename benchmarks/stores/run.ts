/**
 * Compares the stores of hotset: the same calls without a memory tier, in one process, in turns.
 *
 *     npm run bench -- stores                 about two minutes
 *     npm run bench -- stores --rounds 9 --operations 8000
 *
 * Prints the speed as a ratio to Redis, and the processor time of this process for each operation. The second is the
 * steadier number; for a store with a server a part of the work is there, and not counted.
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { createCache, type Cache } from "hotset";
import { inFlight, Neighbours, QUIET, spread } from "../measure.ts";
import { record } from "../payloads.ts";
import { inShort } from "../trial.ts";
import { STORES, type Store } from "./stores.ts";

process.env["NODE_ENV"] ??= "production";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "7" }, operations: { type: "string", default: "4000" } },
});
const rounds = Number(values.rounds);
const operations = Number(values.operations);
const VALUE = record(1_500);
const ENTRY_BYTES = Buffer.byteLength(JSON.stringify(VALUE));
const KEYS = 2_000;
const keyOf = (i: number): string => `user:${i % KEYS}`;

interface Opened {
  readonly store: Store;
  readonly cache: Cache;
}

interface Workload {
  readonly name: string;
  /** Keys of one call. */
  readonly keys?: number;
  run(cache: Cache, calls: number): Promise<void>;
}

const never = (): never => {
  throw new Error("a benchmark of hits has loaded");
};
let fresh = 0;
const WORKLOADS: readonly Workload[] = [
  { name: "hit, 1 in flight", run: (cache, calls) => inFlight(1, calls, (i) => cache.getOrSet(keyOf(i), never)) },
  { name: "hit, 64 in flight", run: (cache, calls) => inFlight(64, calls, (i) => cache.getOrSet(keyOf(i), never)) },
  {
    name: "miss and store, 1 in flight",
    run: (cache, calls) => inFlight(1, calls / 4, () => cache.getOrSet(`miss:${(fresh += 1)}`, () => VALUE)),
    keys: 0.25,
  },
  {
    name: "miss and store, 64 in flight",
    run: (cache, calls) => inFlight(64, calls, () => cache.getOrSet(`miss:${(fresh += 1)}`, () => VALUE)),
  },
  {
    name: "batch of 100",
    run: (cache, calls) =>
      inFlight(1, calls / 20, (i) => cache.getMany(Array.from({ length: 100 }, (_, j) => keyOf(100 * i + j)))),
    keys: 5,
  },
];

const neighbours = new Neighbours();
const opened: Opened[] = [];
const bytesFor: number[] = [];
for (const make of STORES) {
  const store = await make();
  const open = (): Cache => createCache({ name: "bench" }).tier(store.open()).defaults({ ttl: "1h" }).build();
  const filler = open();
  await filler.set("first", VALUE);
  const before = await store.bytes();
  await filler.setMany(Array.from({ length: KEYS }, (_, i) => [keyOf(i), VALUE] as const));
  await filler.close();
  bytesFor.push(((await store.bytes()) - before) / KEYS / ENTRY_BYTES);
  opened.push({ store, cache: open() });
}

interface Measured {
  readonly ns: number;
  readonly cpuUs: number;
}

async function measure({ run, keys = 1 }: Workload, { cache }: Opened): Promise<Measured> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await run(cache, operations);
  const ms = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  const count = operations * keys;
  return { ns: (ms * 1e6) / count, cpuUs: (user + system) / count };
}

/** The cost of an open cache that nothing calls, in percent of a core. */
async function idle(make: () => Cache): Promise<number> {
  await using cache = make();
  await cache.get("first");
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const cpu = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / 5e4;
}

const results: Record<string, Record<string, { readonly speed: number; readonly cpuUs: number }>> = {};
for (const workload of WORKLOADS) {
  const seen = opened.map((): Measured[] => []);
  for (let round = -1; round < rounds; round += 1) {
    const turns = opened.map((_, i) => i).toSorted(() => Math.random() - 0.5);
    for (const i of turns) {
      const measured = await measure(workload, opened[i]!);
      if (round >= 0) seen[i]!.push(measured);
    }
  }
  const ns = seen.map((each) => spread(each.map((measured) => measured.ns)).median);
  const cpuUs = seen.map((each) => spread(each.map((measured) => measured.cpuUs)).median);
  results[workload.name] = Object.fromEntries(
    opened.map(({ store }, i) => [store.name, { speed: ns[0]! / ns[i]!, cpuUs: cpuUs[i]! }]),
  );
}
await Promise.all(opened.map(({ cache }) => cache.close()));
const idlePercent: number[] = [];
for (const { store } of opened)
  idlePercent.push(await idle(() => createCache({ name: "bench" }).tier(store.open()).defaults({ ttl: "1h" }).build()));

const others = neighbours.look();
console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]!.model}; entries of ${ENTRY_BYTES} bytes`);
console.log(["".padEnd(30), ...opened.map(({ store }) => store.name.padEnd(20))].join(""));
for (const [name, byStore] of Object.entries(results))
  console.log(
    [
      name.padEnd(30),
      ...opened.map(({ store }) => {
        const { speed, cpuUs } = byStore[store.name]!;
        return `${inShort(speed)} (${inShort(cpuUs)} us)`.padEnd(20);
      }),
    ].join(""),
  );
console.log(["bytes for a byte of an entry".padEnd(30), ...bytesFor.map((each) => inShort(each).padEnd(20))].join(""));
console.log(["idle, % of a core".padEnd(30), ...idlePercent.map((each) => inShort(each).padEnd(20))].join(""));
const isAlone = others <= QUIET;
console.log(
  `${isAlone ? "Alone on the machine" : "VOID: not alone on the machine"}: others used ${inShort(others)} of a core.`,
);
for (const { store } of opened) await store.stop();
if (isAlone)
  writeFileSync(
    new URL("../results/stores.json", import.meta.url),
    `${JSON.stringify({ node: process.version, cpu: cpus()[0]!.model, rounds, operations, results, bytesFor, idlePercent }, null, 2)}\n`,
  );
process.exit();
