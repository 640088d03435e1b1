import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { ofWorkspace, startOwnRedis } from "@hotset/test-servers";
import type { Load } from "../processes/listeners-process.ts";
import { Fleet } from "./caches.ts";
import { Meter } from "./meter.ts";
import type { Comparison } from "./results.ts";
import { Sockets } from "./sockets.ts";

const CLI = join(import.meta.dirname, "../../packages/cli/src/bin.ts");
/** Caches of each of twelve processes. */
const EACH = 8;
/** Bare connections, which keep Redis as busy as a fleet does: caches of this machine could not. */
const SOCKETS = 500;

export interface Service extends Load {
  /** Hits in Redis, of the bare connections. */
  readonly hitsPerSecond: number;
}

type Served = Readonly<Record<"reads" | "loads", number>>;

const USUAL: Service = {
  // Each changes every 5 s, and is read far more often, also by a cache that waits for a core.
  keys: Array.from({ length: 100 }, (_, i) => `k${i}`),
  tagged: Array.from({ length: 30 }, (_, i) => `t${i}`),
  forMs: 15_000,
  turnMs: 500,
  loadsPerTurn: 0.2,
  writesPerSecond: 20,
  tagCallsPerSecond: 2,
  hitsPerSecond: 6_000,
};

/** A scaled-down service, predicted and measured: all caches hold all keys and use all tags. */
export async function compared(given: Partial<Service>): Promise<Comparison> {
  const service = { ...USUAL, ...given };
  const { forMs, hitsPerSecond } = service;
  await using server = await startOwnRedis();
  const meter = new Meter(server);
  // Heartbeats belong to the service; what Redis does without any client does not.
  await meter.rest(4_000);
  await using fleet = await Fleet.open(server.url, EACH);
  const sockets = await Sockets.open(server.port, SOCKETS);
  await fleet.all("serve", { ...service, forMs: 3_000 });
  const done = { hits: 0, served: [] as readonly Served[], changed: [0, 0] as readonly [number, number] };
  const us = await meter.us(async () => {
    [done.hits, done.served, done.changed] = await Promise.all([
      sockets.serve(hitsPerSecond, forMs),
      fleet.all("serve", service),
      fleet.first.call("change", service),
    ]);
  });
  sockets.close();
  const total = (name: keyof Served): number => done.served.reduce((sum, one) => sum + one[name], 0);
  const [writes, tagCalls] = done.changed;
  const figures = { hits: done.hits, reads: total("reads"), loads: total("loads"), writes, tagCalls };
  const words = wordsOf(fleet.size, figures, forMs / 1_000);
  const measuredCores = us / 1e3 / forMs;
  const predictedCores = predicted(words);
  return { words, predictedCores, measuredCores, ratio: predictedCores / measuredCores };
}

/** The options of `hotset capacity` for what was done. */
function wordsOf(
  caches: number,
  {
    hits,
    reads,
    loads,
    writes,
    tagCalls,
  }: Readonly<Record<"hits" | "reads" | "loads" | "writes" | "tagCalls", number>>,
  seconds: number,
): readonly string[] {
  const all = reads + hits;
  const options = {
    processes: caches + SOCKETS,
    keys: 1_000,
    reads: (all / seconds).toFixed(3),
    "in-memory": ((100 * (reads - loads)) / all).toFixed(3),
    loads: ((100 * loads) / all).toFixed(3),
    writes: (writes / seconds).toFixed(3),
    holders: caches,
    "tag-calls": (tagCalls / seconds).toFixed(3),
    "tag-users": caches,
  };
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

function predicted(words: readonly string[]): number {
  const command = [...ofWorkspace(), CLI, "capacity", ...words, "--json"];
  return (JSON.parse(execFileSync(process.execPath, command, { encoding: "utf8" })) as { readonly cores: number })
    .cores;
}
