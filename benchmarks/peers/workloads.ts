import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { atRate } from "../at-rate.ts";
import type { Contender, Setup, Shape, Value } from "../contenders/contender.ts";
import { productNamed } from "../contenders/index.ts";
import { inFlight } from "../measure.ts";
import { record } from "../payloads.ts";
import { percentile } from "../trial.ts";
import { zipf } from "./zipf.ts";

/** Figures of one round, by name. */
export type Metrics = Readonly<Record<string, number>>;

export interface Workload {
  /** @param ms about how long it takes */
  round(ms: number): Promise<Metrics>;
  /** A number of operations, for counting what each leaves behind. */
  readonly some?: { readonly times: number; run(times: number): Promise<unknown> };
  close(): Promise<unknown>;
}

export interface WorkloadCall {
  readonly workload: keyof typeof WORKLOADS;
  readonly product: string;
  readonly shape: Shape;
  readonly url: string;
  readonly prefix: string;
  readonly ttlMs?: number;
  readonly staleMs?: number;
  readonly maxItems?: number;
  readonly isTagged?: boolean;
  readonly isCompressed?: boolean;
  /** Size of a value. @default 0: some fields */
  readonly bytes?: number;
  /** Calls at one time. @default 1 */
  readonly limit?: number;
  /** Entries that are stored before. @default 1000 */
  readonly keys?: number;
  /** Offered each second. */
  readonly perSecond?: number;
  /** How long a load takes. @default 0 */
  readonly loadMs?: number;
}

/** A call with all that workloads use, and the opened contender. */
interface Case extends Required<WorkloadCall> {
  readonly contender: Contender;
  readonly names: readonly string[];
  /** How often the source was asked. */
  readonly loads: () => number;
  valueOf(key: string): Value;
}

const WORKLOADS = { memoryHit, peek, backendHit, miss, batch, mix, crowd, refresh, tags, footprint };

export async function openWorkload(call: WorkloadCall): Promise<Workload> {
  let loads = 0;
  const full: Required<WorkloadCall> = {
    ...{ ttlMs: 3_600_000, staleMs: 0, maxItems: 10_000, isTagged: false, isCompressed: false },
    ...{ bytes: 0, limit: 1, keys: 1_000, perSecond: 0, loadMs: 0 },
    ...call,
  };
  const shared = full.bytes === 0 ? {} : record(full.bytes);
  const valueOf = (key: string): Value => ({ id: 7, name: "Ada Lovelace", ...shared, key });
  const setup: Setup = {
    ...full,
    load: async (key) => {
      loads += 1;
      if (full.loadMs > 0) await sleep(full.loadMs);
      return valueOf(key);
    },
  };
  const contender = await productNamed(call.product).open(setup);
  const names = Array.from({ length: full.keys }, (_, i) => `user:${i}`);
  return WORKLOADS[call.workload]({ ...full, contender, names, loads: () => loads, valueOf });
}

/** Hits in this process: one after the other. */
async function memoryHit(of: Case): Promise<Workload> {
  await filled(of);
  const { contender, names } = of;
  const run = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i += 1) await contender.getOrSet(names[i % names.length]!);
  };
  return hits(of, { ...repeated(run, of), some: { times: 10_000, run } });
}

async function peek(of: Case): Promise<Workload> {
  await filled(of);
  const { contender, names } = of;
  const look = contender.peek!;
  let found = 0;
  const run = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i += 1) if (look(names[i % names.length]!) !== undefined) found += 1;
  };
  const { round, close } = repeated(run, of, 20_000);
  return {
    close,
    round: async (ms) => {
      found = 0;
      const metrics = await round(ms);
      if (found !== metrics["operations"]) throw new Error("a hit has missed");
      return metrics;
    },
  };
}

/** Hits in Redis, with so many in flight. */
async function backendHit(of: Case): Promise<Workload> {
  await filled(of);
  const { contender, names, limit } = of;
  const call = (i: number): Promise<unknown> => contender.getOrSet(names[i % names.length]!);
  return hits(of, flights(call, of, { times: 4_000, run: (times) => inFlight(limit, times, call) }));
}

/** Keys that no one has asked for before; the source answers at once. */
async function miss(of: Case): Promise<Workload> {
  const { contender, limit, prefix } = of;
  let next = 0;
  const call = (): Promise<unknown> => contender.getOrSet(`${prefix}:${(next += 1)}`);
  return flights(call, of, { times: 2_000, run: (times) => inFlight(limit, times, call) });
}

/** A hundred hits in Redis by one call, or by a hundred calls at once where there is no such call. */
async function batch(of: Case): Promise<Workload> {
  await filled(of);
  const { contender, names } = of;
  const hundred = names.slice(0, 100);
  const call = (): Promise<unknown> =>
    contender.getMany?.(hundred) ?? Promise.all(hundred.map((key) => contender.getOrSet(key)));
  return hits(of, flights(call, of, { times: 100, run: (times) => inFlight(1, times, call) }));
}

/** Reads, and one write in twenty, of keys by Zipf at a fixed rate. */
async function mix(of: Case): Promise<Workload> {
  const { contender, names, perSecond, valueOf, loads } = of;
  await filled(of);
  const next = zipf(names.length, 0.99, 7);
  const call = (i: number): Promise<unknown> => {
    const key = names[next()]!;
    return i % 20 === 19 ? contender.set(key, valueOf(key)) : contender.getOrSet(key);
  };
  const round = async (ms: number): Promise<Metrics> => {
    const loadsBefore = loads();
    const cpu = process.cpuUsage();
    const { latencies, elapsedMs } = await atRate(perSecond, ms, call);
    const used = process.cpuUsage(cpu);
    return {
      operations: latencies.length,
      perSecond: (latencies.length / elapsedMs) * 1_000,
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
      p999Ms: percentile(latencies, 0.999),
      clientUs: (used.user + used.system) / latencies.length,
      loads: loads() - loadsBefore,
    };
  };
  return { round, close: () => contender.close() };
}

/** Callers of one cold key at the same time. */
async function crowd({ contender, limit, loads, loadMs, prefix }: Case): Promise<Workload> {
  let next = 0;
  return {
    async round() {
      const before = loads();
      const startedAt = performance.now();
      const key = `${prefix}:cold:${(next += 1)}`;
      await Promise.all(Array.from({ length: limit }, () => contender.getOrSet(key)));
      return { loads: loads() - before, longestMs: performance.now() - startedAt - loadMs };
    },
    close: () => contender.close(),
  };
}

/** Calls of one key around the end of its life, and after an idle pause: how many waited for the load. */
async function refresh({ contender, ttlMs, staleMs, loadMs, names, valueOf }: Case): Promise<Workload> {
  const key = names[0]!;
  const waits = async (): Promise<boolean> => {
    const startedAt = performance.now();
    await contender.getOrSet(key);
    return performance.now() - startedAt > loadMs * 0.8;
  };
  return {
    async round() {
      await contender.set(key, valueOf(key));
      // Asked for once, so that all tiers have it.
      await contender.getOrSet(key);
      const busy: Promise<boolean>[] = [];
      for (const end = performance.now() + ttlMs + 600; performance.now() < end; await sleep(5)) busy.push(waits());
      const waited = (await Promise.all(busy)).filter(Boolean).length;
      await contender.set(key, valueOf(key));
      await contender.getOrSet(key);
      await sleep(ttlMs + Math.min(1_000, staleMs / 2));
      const idle = (await Promise.all(Array.from({ length: 100 }, waits))).filter(Boolean).length;
      return { waited, waitedAfterPause: idle };
    },
    close: () => contender.close(),
  };
}

/** One tag on all entries: what it costs to read them, and to invalidate them. */
async function tags({ contender, names, valueOf, shape, limit }: Case): Promise<Workload> {
  const at = (i: number): string => names[i % names.length]!;
  return {
    async round() {
      await inFlight(64, names.length, (i) => contender.setTagged!(at(i), valueOf(at(i)), "all"));
      const reads = shape === "memory" ? 50_000 : 5_000;
      const startedAt = performance.now();
      await inFlight(limit, reads, (i) => contender.getOrSet(at(i)));
      const hitNs = ((performance.now() - startedAt) / reads) * 1e6;
      const before = performance.now();
      const invalidated = contender.invalidateTag!("all");
      const blockedMs = performance.now() - before;
      await invalidated;
      return { hitNs, invalidateMs: performance.now() - before, blockedMs };
    },
    close: () => contender.close(),
  };
}

/** Bytes of an entry: its key, its value and all that the cache keeps beside them. Needs `--expose-gc`. */
async function footprint({ contender, keys, valueOf, shape }: Case): Promise<Workload> {
  return {
    async round() {
      const before = occupied();
      await inFlight(shape === "memory" ? 1 : 64, keys, (i) => contender.set(`user:${i}`, valueOf(`user:${i}`)));
      return { bytesEach: (occupied() - before) / keys };
    },
    close: () => contender.close(),
  };
}

function occupied(): number {
  for (let times = 0; times < 3; times += 1) globalThis.gc!();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function filled({ contender, names, valueOf }: Case): Promise<void> {
  await inFlight(32, names.length, (i) => contender.set(names[i]!, valueOf(names[i]!)));
  // So that a value which is read first from another tier is where the next read finds it.
  await inFlight(32, names.length, (i) => contender.getOrSet(names[i]!));
}

/** A workload of hits, which fails when one of them loads. */
function hits({ loads }: Case, workload: Workload): Workload {
  const before = loads();
  return {
    ...workload,
    async round(ms) {
      const metrics = await workload.round(ms);
      if (loads() !== before) throw new Error(`${loads() - before} hits have loaded`);
      return metrics;
    },
  };
}

/** Calls in chunks, and between them a turn of the event loop, whose time does not count. */
function repeated(run: (times: number) => Promise<void>, { contender }: Case, chunk = 2_000): Workload {
  return {
    async round(ms) {
      let operations = 0;
      let spent = 0;
      let cpuUs = 0;
      const endsAt = performance.now() + ms;
      do {
        const cpu = process.cpuUsage();
        const before = performance.now();
        await run(chunk);
        spent += performance.now() - before;
        const used = process.cpuUsage(cpu);
        cpuUs += used.user + used.system;
        operations += chunk;
        await turn();
      } while (performance.now() < endsAt);
      return { operations, ns: (spent / operations) * 1e6, clientUs: cpuUs / operations };
    },
    close: () => contender.close(),
  };
}

/** So many calls at one time, each begun when another has ended. */
function flights(
  call: (i: number) => Promise<unknown>,
  { limit, contender, workload }: Case,
  some: NonNullable<Workload["some"]>,
): Workload {
  const lanes = workload === "batch" ? 1 : limit;
  return {
    some,
    async round(ms) {
      let operations = 0;
      const cpu = process.cpuUsage();
      const startedAt = performance.now();
      const lane = async (): Promise<void> => {
        while (performance.now() - startedAt < ms) await call((operations += 1));
      };
      await Promise.all(Array.from({ length: lanes }, lane));
      const elapsedMs = performance.now() - startedAt;
      const used = process.cpuUsage(cpu);
      return {
        operations,
        ns: (elapsedMs / operations) * 1e6,
        perSecond: (operations / elapsedMs) * 1_000,
        clientUs: (used.user + used.system) / operations,
      };
    },
    close: () => contender.close(),
  };
}
