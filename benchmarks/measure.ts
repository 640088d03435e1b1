import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { descendants } from "./descendants.ts";

/** One side of a comparison. `run` performs `operations` of them and resolves when all are done. */
export interface Contender {
  readonly name: string;
  run(operations: number): Promise<unknown>;
}

/** A comparison: hotset against the raw limit, in the same process, over the same transport. */
export interface Scenario {
  readonly name: string;
  readonly raw: Contender;
  readonly hotset: Contender;
  /** Operations of one round, for each side. */
  readonly operations: number;
  /** Which ratio is shown: time of hotset by time of raw (`cost`), or the other way round (`speed`). */
  readonly shows: "cost" | "speed";
  /** Bound of the ratio: at most, for `cost`; at least, for `speed`. */
  readonly target?: number;
  /** Measures bytes allocated per operation of hotset, too. At most so many. */
  readonly maxBytes?: number;
  /** Name of the operations, to print how many are done in a second. */
  readonly counts?: string;
  /** Before each measurement, not timed. */
  rest?(): Promise<void>;
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface Outcome {
  readonly scenario: string;
  readonly rawNs: Spread;
  readonly hotsetNs: Spread;
  /** Over the rounds: each compares two measurements that follow one another. */
  readonly ratio: Spread;
  readonly shows: "cost" | "speed";
  readonly target: number | undefined;
  readonly isHeld: boolean | undefined;
  readonly bytesPerOperation: number | undefined;
  readonly maxBytes: number | undefined;
  readonly counts: string | undefined;
}

/** Interleaved rounds, A B A B, after two that only warm up. */
export async function compare(scenario: Scenario, rounds: number): Promise<Outcome> {
  const { raw, hotset, operations, shows, target, maxBytes, counts } = scenario;
  const raws: number[] = [];
  const hotsets: number[] = [];
  const ratios: number[] = [];
  for (let round = -2; round < rounds; round += 1) {
    await scenario.rest?.();
    const rawNs = await nanosecondsEach(raw, operations);
    await scenario.rest?.();
    const hotsetNs = await nanosecondsEach(hotset, operations);
    if (round < 0) continue;
    raws.push(rawNs);
    hotsets.push(hotsetNs);
    ratios.push(shows === "cost" ? hotsetNs / rawNs : rawNs / hotsetNs);
  }
  const ratio = spread(ratios);
  await scenario.rest?.();
  const bytesPerOperation = maxBytes === undefined ? undefined : await allocatedEach(hotset);
  return {
    scenario: scenario.name,
    rawNs: spread(raws),
    hotsetNs: spread(hotsets),
    ratio,
    shows,
    target,
    isHeld: target === undefined ? undefined : shows === "cost" ? ratio.median <= target : ratio.median >= target,
    bytesPerOperation,
    maxBytes,
    counts,
  };
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)]!, least: sorted[0]!, most: sorted.at(-1)! };
}

/** `operations` calls with so many in flight, each begun when one has ended. */
export async function inFlight(
  limit: number,
  operations: number,
  call: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < operations) await call(next++);
  };
  await Promise.all(Array.from({ length: limit }, lane));
}

async function nanosecondsEach({ run }: Contender, operations: number): Promise<number> {
  const startedAt = performance.now();
  await run(operations);
  return ((performance.now() - startedAt) / operations) * 1e6;
}

/** Growth of the heap over few enough operations that nothing is collected in between. */
async function allocatedEach({ run }: Contender): Promise<number> {
  const samples: number[] = [];
  for (let i = 0; i < 15; i += 1) {
    collect();
    const before = process.memoryUsage().heapUsed;
    await run(2_000);
    samples.push((process.memoryUsage().heapUsed - before) / 2_000);
  }
  return Math.round(spread(samples).median);
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** The most of a core that others may use for times and rates to count. */
export const QUIET = 0.05;

/** Processor time that other processes use while a benchmark runs. Linux only; `NaN` elsewhere. */
export class Neighbours {
  #machine = machineTicks();
  #own = ownTicks();

  /** Share of one core that others used since the last look. Processes that this one has started are its own. */
  look(): number {
    const machine = machineTicks();
    const own = ownTicks();
    const busy = machine.busy - this.#machine.busy - (own - this.#own);
    const perCore = (machine.all - this.#machine.all) / machine.cores;
    this.#machine = machine;
    this.#own = own;
    return Math.max(0, busy / perCore);
  }
}

function machineTicks(): { readonly busy: number; readonly all: number; readonly cores: number } {
  try {
    const lines = readFileSync("/proc/stat", "utf8").split("\n");
    const ticks = lines[0]!.split(/\s+/).slice(1, 9).map(Number);
    const all = ticks.reduce((sum, each) => sum + each, 0);
    return { all, busy: all - ticks[3]! - ticks[4]!, cores: lines.filter((line) => /^cpu\d/.test(line)).length };
  } catch {
    return { busy: NaN, all: NaN, cores: NaN };
  }
}

function ownTicks(): number {
  return [process.pid, ...descendants()].reduce((sum, pid) => {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
      // With those of children that have ended.
      return sum + fields.slice(11, 15).reduce((ticks, field) => ticks + Number(field), 0);
    } catch {
      return sum;
    }
  }, 0);
}

let bestMs = Infinity;

/**
 * Whether a fixed piece of work takes as long now as it does at best. A virtual machine shares caches and execution
 * units with neighbours that no counter of it shows: then code takes up to four times as long.
 */
export function isUndisturbed(): boolean {
  const ms = Math.min(...Array.from({ length: bestMs === Infinity ? 200 : 5 }, referenceMs));
  bestMs = Math.min(bestMs, ms);
  return ms <= 1.1 * bestMs;
}

const REFERENCE = new Map(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, { id: i, name: `x${i}` }]));

function referenceMs(): number {
  const startedAt = performance.now();
  let found = 0;
  for (let i = 0; i < 60_000; i += 1) found += REFERENCE.get(`k${(i * 7) % 2_000}`)!.name.length;
  for (let i = 0; i < 200; i += 1) found += JSON.stringify(JSON.parse('{"a":1,"b":[1,2,3],"c":"hello"}')).length;
  if (found === 0) throw new Error("nothing was found");
  return performance.now() - startedAt;
}
