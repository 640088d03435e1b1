import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PRODUCTS } from "../contenders/index.ts";
import { RESULTS, type Results } from "./results.ts";
import { shown } from "./shown.ts";
import { FOREVER, measured } from "./tables.ts";

/** One row of the table of targets. */
export interface Judged {
  readonly what: string;
  readonly target: string;
  /** As measured, for people. */
  readonly value: string;
  /** `undefined`: this version or this run has nothing to measure. */
  readonly isMet: boolean | undefined;
}

type Read = (product: string, scenario: string, metric: string) => number | undefined;
type Ratio = (of: readonly [string, string], to: readonly [string, string], metric: string) => number | undefined;
type Best = (scenario: string, metric: string, better: "less" | "more") => readonly [string, number] | undefined;

const HIT = "memory hit, small";
const hit = (size: string): string => `backend hit, ${size}, 64 in flight`;
const MISS = "miss with store, 64 in flight";
const BATCH = "batch of 100";
const STRING = "hotset, string layout";
const COMMANDS = "node-redis, commands of hotset";
/** `GET`, with `SET` in a miss, and `MGET` for a batch. */
const PLAIN = "node-redis GET";
const IN_REDIS = "Redis' memory of an entry, 100,000";
const peers = PRODUCTS.filter(({ kind }) => kind === "peer").map(({ name }) => name);

/** All targets, with the figures of a run. */
export function judge(results: Pick<Results, "rows">): readonly Judged[] {
  const read: Read = (product, scenario, metric) => measured(results, scenario, product, metric);
  const ratio: Ratio = (of, to, metric) => {
    const [above, below] = [read(...of, metric), read(...to, metric)];
    return above === undefined || below === undefined ? undefined : above / below;
  };
  const best: Best = (scenario, metric, better) => {
    const known = peers.flatMap((name): (readonly [string, number])[] => {
      const value = read(name, scenario, metric);
      return value === undefined ? [] : [[name, value]];
    });
    return known.toSorted((a, b) => (better === "less" ? a[1] - b[1] : b[1] - a[1]))[0];
  };
  return [
    ...memoryRows(read, ratio, best),
    ...redisRows(read, ratio, best),
    atMost("stampede in two processes", read("hotset", "stampede, two processes", "loads"), 1, " load"),
    atMost("refresh at expiry: callers that waited", read("hotset", "refresh at expiry", "waited"), 0, ""),
    atMost(
      "refresh after a pause: callers that waited",
      read("hotset", "refresh at expiry", "waitedAfterPause"),
      0,
      "",
    ),
    memoryOfAnEntry(read),
    ...hitRatios(),
    ...faultRows(results, read),
  ];
}

function redisRows(read: Read, ratio: Ratio, best: Best): readonly Judged[] {
  const size = hit("200 B");
  const [name, rate] = best(size, "perSecond", "more") ?? ["no other cache", NaN];
  const ours = read(STRING, size, "perSecond");
  return [
    ...costRows("a hit of 200 B, 64 in flight", "hotset", size, { bytes: 8_000, promises: 7 }, read),
    atMost(
      "client CPU of a hit of 200 B, 64 in flight",
      ratio(["hotset", size], [COMMANDS, size], "clientUs"),
      0.95,
      " times the same commands on node-redis",
    ),
    {
      what: "backend hit of 200 B, 64 in flight: string",
      target: "at least 1.2 times the best other cache",
      ...verdict(ours === undefined ? undefined : ours / rate, (value) => value >= 1.2, ` times ${name}`),
    },
    atMost(
      "client CPU of a hit of 2 KB in msgpack",
      ratio(["hotset", hit("2 KB")], ["hotset, json", hit("2 KB")], "clientUs"),
      1.1,
      " times that of JSON",
    ),
    atMost(
      "client CPU of a miss with store, 64 in flight",
      ratio(["hotset", MISS], [PLAIN, MISS], "clientUs"),
      3.3,
      " times `GET` and `SET` on node-redis",
    ),
    ...costRows("a miss with store", "hotset", MISS, { bytes: 24_000, promises: 20 }, read),
    atMost("Redis' time of a miss: hash", read("hotset", MISS, "redisUs"), 15, " µs"),
    atMost("Redis' time of a miss: string, without `IFEQ`", read(STRING, MISS, "redisUs"), 12, " µs"),
    atMost(
      "time of a batch of 100: hash",
      ratio(["hotset", BATCH], [COMMANDS, BATCH], "ns"),
      0.75,
      " times the same commands on node-redis",
    ),
    ...costRows("a batch of 100", "hotset", BATCH, { bytes: 400_000, promises: 25 }, read),
    atMost("time of a batch of 100: string", ratio([STRING, BATCH], [PLAIN, BATCH], "ns"), 1.3, " times MGET"),
    atMost("an entry of 200 B in Redis", read("hotset", IN_REDIS, "bytesEach"), 760, " bytes"),
  ];
}

function memoryRows(read: Read, ratio: Ratio, best: Best): readonly Judged[] {
  const [name, ns] = best(HIT, "ns", "less") ?? ["no other cache", NaN];
  const ours = read("hotset", HIT, "ns");
  return [
    atMost(
      "memory hit, async",
      ratio(["hotset", HIT], ["lru-cache", HIT], "ns"),
      1.25,
      " times an async function around lru-cache",
    ),
    {
      what: "memory hit, async, next to other caches",
      target: "faster than each",
      value: ours === undefined ? "not measured" : `${shown(ours)} ns; ${name} ${shown(ns)} ns`,
      isMet: ours === undefined ? undefined : ours < ns,
    },
    atMost("`peek` in the root", ratio(["hotset", "peek"], ["lru-cache", "peek"], "ns"), 1.2, " times lru-cache"),
    atMost(
      "`peek` in a namespace",
      ratio(["hotset, namespace", "peek"], ["hotset", "peek"], "ns"),
      1.25,
      " times that in the root",
    ),
  ];
}

/** Garbage and promises of one operation, which hold on a busy machine. */
function costRows(
  what: string,
  product: string,
  scenario: string,
  bounds: { readonly bytes: number; readonly promises: number },
  read: Read,
): readonly Judged[] {
  return [
    atMost(`allocated by ${what}`, read(product, scenario, "bytes"), bounds.bytes, " bytes"),
    atMost(`promises of ${what}`, read(product, scenario, "promises"), bounds.promises, ""),
  ];
}

function memoryOfAnEntry(read: Read): Judged {
  const [ours, bare] = ["hotset", "lru-cache"].map((name) => read(name, "memory of an entry, 100,000", "bytesEach"));
  const above = ours === undefined || bare === undefined ? undefined : ours - bare;
  return atMost("memory of an entry", above, 130, " bytes above lru-cache with the bare value");
}

interface Replay {
  readonly trace: string;
  readonly lru: number;
  readonly adaptive: number;
  readonly belady: number;
}

/** Points that the mean over all sizes of the cache is to be above LRU. */
const GAINS = { web07: 2.5, "orm-busy": 0, multi2: 9, "2_pools": 9, loop: 30 } as const;

/** From `npm run bench -- hits --traces <directory> --json benchmarks/results/hits.json`. */
function hitRatios(): readonly Judged[] {
  const path = join(RESULTS, "hits.json");
  const rows = existsSync(path)
    ? (JSON.parse(readFileSync(path, "utf8")) as { readonly rows: readonly Replay[] }).rows
    : [];
  const worst = Math.min(...rows.map(({ lru, adaptive }) => adaptive - lru));
  return [
    {
      what: "hit ratio, adaptive",
      target: "never more than 1 point below LRU",
      value: rows.length === 0 ? "not measured" : `${worst.toFixed(2)} points at worst of ${rows.length} replays`,
      isMet: rows.length === 0 ? undefined : worst >= -1,
    },
    ...Object.entries(GAINS).map(([trace, points]) => gainOn(trace, points, rows)),
  ];
}

function gainOn(trace: string, points: number, rows: readonly Replay[]): Judged {
  const what = `hit ratio, adaptive, on ${trace}`;
  const target = `on average at least ${points} points above LRU`;
  const own = rows.filter((row) => row.trace === trace);
  if (own.length === 0) return { what, target, value: "not measured", isMet: undefined };
  const mean = (of: "adaptive" | "belady"): number => own.reduce((sum, row) => sum + row[of] - row.lru, 0) / own.length;
  const gain = mean("adaptive");
  return {
    what,
    target,
    value: `${gain.toFixed(2)} points; the best possible ${mean("belady").toFixed(2)}`,
    isMet: gain >= points,
  };
}

/** One response timeout of a second; with it the load of 5 ms and the lateness of timers. */
const LONGEST_MS = 1_100;

function faultRows({ rows }: Pick<Results, "rows">, read: Read): readonly Judged[] {
  const scenarios = [...new Set(rows.map(({ scenario }) => scenario).filter((name) => name.startsWith("fault: ")))];
  return scenarios.map((scenario): Judged => {
    const [failed, wrong, longest] = ["failed", "wrong", "longestMs"].map((metric) => read("hotset", scenario, metric));
    const isKnown = failed !== undefined && wrong !== undefined && longest !== undefined;
    return {
      what: scenario,
      target: "nothing failed, nothing wrong, at most one response timeout",
      value: isKnown ? `${failed} failed, ${wrong} wrong, longest wait ${shown(longest)} ms` : "not measured",
      isMet: isKnown ? failed === 0 && wrong === 0 && longest <= LONGEST_MS : undefined,
    };
  });
}

function atMost(what: string, value: number | undefined, bound: number, unit: string): Judged {
  return {
    what,
    target: `at most ${bound.toLocaleString("en")}${unit}`,
    ...verdict(value, (given) => given <= bound, unit),
  };
}

function verdict(
  value: number | undefined,
  holds: (value: number) => boolean,
  unit = " times",
): Pick<Judged, "value" | "isMet"> {
  if (value === undefined || Number.isNaN(value)) return { value: "not measured", isMet: undefined };
  return { value: value >= FOREVER ? "never in time" : `${shown(value)}${unit}`, isMet: holds(value) };
}

const VERDICTS = { true: "met", false: "not met", undefined: "not measured" } as const;

export function printTargets(results: Pick<Results, "rows">): void {
  for (const { what, target, value, isMet } of judge(results))
    console.log(`${what.padEnd(46)} ${target.padEnd(56)} ${value.padEnd(44)} ${VERDICTS[`${isMet}`]}`);
}
