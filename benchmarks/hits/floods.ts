/**
 * Replays traces through a cache while half of all calls are a flood: keys that are asked for once. Compares the hit
 * ratio of the calls of the trace without a flood, with one, and with one and a budget of new keys.
 *
 *     npm run bench -- floods                              synthetic traces
 *     npm run bench -- floods --traces <directory>         those in a directory; also HOTSET_TRACES=<directory>
 *     npm run bench -- floods --sizes 1%,10% --rate 1000   entries as parts of the keys; calls a second of the trace
 *
 * The cache is `memory()`, once with LRU, which stands for a Redis with `allkeys-lru` too, and once adaptive. Values
 * have equal sizes and none ends. A first miss of the flood comes between two calls of the trace, on a clock that
 * the calls move. "quiet" is the price of the budget where there is no flood, "stored" what is written in the flood.
 */
import { parseArgs } from "node:util";
import { createCache, type Cache, type NewKeysOptions } from "@hotset/core";
import { memory } from "@hotset/memory";
import { TestClock } from "@hotset/testing";
import { syntheticTraces, tracesIn, type Trace } from "./traces.ts";

const { values } = parseArgs({
  options: {
    traces: { type: "string", default: process.env["HOTSET_TRACES"] ?? "" },
    sizes: { type: "string", default: "1%,10%" },
    rate: { type: "string", default: "1000" },
    accesses: { type: "string", default: "300000" },
    "per-second": { type: "string", default: "50" },
  },
});
const [rate, most, perSecond] = [values.rate, values.accesses, values["per-second"]].map(Number) as [
  number,
  number,
  number,
];
for (const [name, given] of Object.entries({ rate, most, perSecond }))
  if (!(given > 0)) throw new Error(`--${name} must be a number above 0, got ${given}`);

const budget: NewKeysOptions = { perSecond };
const traces = values.traces === "" ? syntheticTraces() : tracesIn(values.traces);
console.log(
  `hits in percent of the calls of the trace; newKeys: { perSecond: ${perSecond} }, ${rate} calls a second\n`,
);
console.log("| trace | entries | | quiet | quiet, newKeys | flood | flood, newKeys | stored | stored, newKeys |");
console.log("|---|---|---|---|---|---|---|---|---|");
for (const trace of traces)
  for (const size of values.sizes.split(",")) {
    const entries = Math.max(1, Math.round((trace.keyCount * Number.parseFloat(size)) / 100));
    for (const eviction of ["lru", "adaptive"] as const) {
      const runs: Outcome[] = [];
      for (const hasFlood of [false, true])
        for (const newKeys of [undefined, budget])
          runs.push(await replay(trace, { entries, eviction, hasFlood, newKeys }));
      const ratios = runs.map(({ hits }) => hits.toFixed(1));
      const stored = runs.slice(2).map((run) => run.stored);
      console.log(`| ${[trace.name, `${entries} (${size})`, eviction, ...ratios, ...stored].join(" | ")} |`);
    }
  }

interface Run {
  readonly entries: number;
  readonly eviction: "lru" | "adaptive";
  readonly hasFlood: boolean;
  readonly newKeys: NewKeysOptions | undefined;
}

interface Outcome {
  /** In percent of the calls of the trace. */
  readonly hits: number;
  /** Values that were written, those of the flood included. */
  readonly stored: number;
}

async function replay({ accesses }: Trace, { entries, eviction, hasFlood, newKeys }: Run): Promise<Outcome> {
  const clock = new TestClock();
  const cache = createCache({ name: "bench", clock, newKeys, freezeShared: false })
    .tier(memory({ maxEntries: entries, maxBytes: Infinity, eviction }))
    .defaults({ ttl: "365d" })
    .build();
  const replayed = accesses.subarray(0, most);
  let hits = 0;
  const hit = (): void => void (hits += 1);
  for (const [i, number] of replayed.entries()) {
    if (i % 100 === 0) clock.advance((100 / rate) * 1_000);
    await ask(cache, `product:${number}`, hit);
    if (hasFlood) await ask(cache, `product:random-${i}`, () => undefined);
  }
  const { loads, unadmitted } = cache.stats();
  await cache.close({ timeout: 0 });
  return { hits: (hits / replayed.length) * 100, stored: loads - unadmitted };
}

async function ask(cache: Cache, key: string, hit: () => void): Promise<void> {
  let isLoaded = false;
  await cache.getOrSet(key, () => {
    isLoaded = true;
    return 1;
  });
  if (!isLoaded) hit();
}
