/**
 * The figures of the committed results in the pages, between comments that name them.
 *
 *     npm run write -- performance
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PRODUCTS } from "../contenders/index.ts";
import { QUIET } from "../measure.ts";
import type { ToolkitResults } from "../toolkit/table.ts";
import { plot, type Panel } from "./plots.ts";
import { readResults, RESULTS, type Results } from "./results.ts";
import { shown } from "./shown.ts";
import { FOREVER, line, measured } from "./tables.ts";
import { printTargets } from "./targets.ts";

const TOP = join(import.meta.dirname, "../..");
/** Pages with figures. */
export const PAGES = ["docs/performance.md", "README.md"] as const;

const PLOTS: Readonly<Record<string, readonly Panel[]>> = {
  faults: [
    { scenario: "fault: frozen", metric: "longestMs", title: "Longest wait, Redis frozen for 3 s", unit: " ms" },
    { scenario: "fault: killed", metric: "longestMs", title: "Longest wait, Redis killed for 3 s", unit: " ms" },
    {
      scenario: "fault: cut silently",
      metric: "longestMs",
      title: "Longest wait, link cut silently for 3 s",
      unit: " ms",
    },
  ],
};

/** Writes plots and pages from the results. */
export async function writePages(): Promise<void> {
  const results = readResults("peers");
  for (const [name, svg] of Object.entries(plotsOf(results))) writeFileSync(join(RESULTS, name), svg);
  for (const page of PAGES) {
    const path = join(TOP, page);
    writeFileSync(path, withFigures(readFileSync(path, "utf8"), results));
  }
}

export function plotsOf({ rows }: Results): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(PLOTS).map(([name, panels]) => [`${name}.svg`, plot(panels, rows)]));
}

/** A page with the text between `<!-- figures: name -->` and `<!-- end of figures -->` made anew. */
export function withFigures(page: string, results: Results): string {
  return page.replace(
    /(<!-- figures: ([^>]+?) -->\n)[^]*?(<!-- end of figures -->)/g,
    (_, begin: string, name: string, end: string) => `${begin}\n${figures(name, results)}\n\n${end}`,
  );
}

function figures(name: string, results: Results): string {
  switch (name) {
    case "machine":
      return machine(results);
    case "front":
      return front(results);
    case "costs":
      return costs(results);
    case "toolkit":
      return toolkit();
    default:
      throw new Error(`no figures are named ${JSON.stringify(name)}`);
  }
}

function machine({
  machine: { commit, startedAt, node, redis, cpu, cores, loadBefore, rounds, roundMs, versions },
  othersOfACore,
  later = [],
}: Results): string {
  const quiet =
    othersOfACore <= QUIET
      ? "The machine was quiet: other processes used at most 5 % of a core."
      : `**The machine was not quiet**: other processes used up to ${shown(othersOfACore)} cores, load average ` +
        `${loadBefore} at the start. Times and rates are preliminary; processor time, bytes, promises, loads and ` +
        "counts of faults hold.";
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `Commit ${commit}, ${startedAt.slice(0, 16).replace("T", " ")} UTC; Node ${node}, Redis ${redis} over loopback ` +
      `TCP, ${cores} x ${cpu}; ${rounds} rounds of ${roundMs} ms each. Times and rates are of the best round, all else ` +
      "is the median.",
    "",
    quiet,
    "",
    ...later.flatMap((each) => [
      `Later, with commit ${each.commit}, ${each.startedAt.slice(0, 10)}: ${each.what}.`,
      "",
    ]),
    `Versions: ${packages.join(", ")}.`,
  ].join("\n");
}

const FRONT = ["hotset", "bentocache", "cacheable", "cachified"] as const;

type Measured = readonly [what: string, scenario: string, metric: string, unit: string];
const MEASURED: readonly Measured[] = [
  ["loads of one key that two processes miss", "stampede, two processes", "loads", ""],
  ["longest wait while Redis is frozen for 3 s", "fault: frozen", "longestMs", " ms"],
  ["longest wait after the link is cut for 3 s", "fault: cut silently", "longestMs", " ms"],
  ["a hit in memory", "memory hit, small", "ns", " ns"],
  ["hits in Redis, 64 in flight", "backend hit, 200 B, 64 in flight", "perSecond", "/s"],
  ["misses, loaded and stored, 64 in flight", "miss with store, 64 in flight", "perSecond", "/s"],
  ["an entry of 200 B in Redis", "Redis' memory of an entry, 100,000", "bytesEach", " bytes"],
];
const COSTS: readonly (readonly [...Measured, better: "less" | "more"])[] = [
  ["a hit in memory", "memory hit, small", "ns", " ns", "less"],
  ["a hit in memory, 2 KB", "memory hit, 2 KB", "ns", " ns", "less"],
  ["a hit in memory, over Redis", "memory hit over Redis", "ns", " ns", "less"],
  ["a hit without a promise (`peek`)", "peek", "ns", " ns", "less"],
  ["a hit of an entry with tags", "tags on 100,000 entries, memory", "hitNs", " ns", "less"],
  ["bytes allocated by a hit in memory", "memory hit, small", "bytes", "", "less"],
  ["hits in Redis, 200 B, one after the other", "backend hit, 200 B, 1 in flight", "perSecond", "/s", "more"],
  ["hits in Redis, 200 B, 64 in flight", "backend hit, 200 B, 64 in flight", "perSecond", "/s", "more"],
  ["hits in Redis, 2 KB, 64 in flight", "backend hit, 2 KB, 64 in flight", "perSecond", "/s", "more"],
  ["the same, compressed", "compressed backend hit, 2 KB, 64 in flight", "perSecond", "/s", "more"],
  ["hits in Redis, 50 KB, 64 in flight", "backend hit, 50 KB, 64 in flight", "perSecond", "/s", "more"],
  ["batches of 100 hits in Redis", "batch of 100", "perSecond", "/s", "more"],
  ["Redis's CPU time of a hit", "backend hit, 200 B, 64 in flight", "redisUs", " µs", "less"],
  ["misses with store, 64 in flight", "miss with store, 64 in flight", "perSecond", "/s", "more"],
  ["Redis's CPU time of a miss", "miss with store, 64 in flight", "redisUs", " µs", "less"],
  ["p99 of a mix of hits and misses, 2,000/s", "mix at 2,000/s", "p99Ms", " ms", "less"],
  ["loads of a key that two processes miss", "stampede, two processes", "loads", "", "less"],
  ["callers that wait for a refresh at expiry", "refresh at expiry", "waited", "", "less"],
  ["of 100 callers after an idle period, how many wait", "refresh at expiry", "waitedAfterPause", "", "less"],
  ["invalidating a tag of 100,000 entries in memory", "tags on 100,000 entries, memory", "invalidateMs", " ms", "less"],
  ["the same in Redis", "tags on 100,000 entries, redis", "invalidateMs", " ms", "less"],
  ["memory of a small entry in the process", "memory of an entry, 100,000", "bytesEach", " bytes", "less"],
  ["an entry of 200 B in Redis", "Redis' memory of an entry, 100,000", "bytesEach", " bytes", "less"],
  ["importing the package", "import", "ms", " ms", "less"],
  ["installed size", "install", "kb", " KB", "less"],
  ["installed packages", "install", "packages", "", "less"],
  ["longest wait, Redis frozen for 3 s", "fault: frozen", "longestMs", " ms", "less"],
  ["longest wait, Redis killed for 3 s", "fault: killed", "longestMs", " ms", "less"],
  ["longest wait, Redis slower by 200 ms", "fault: slow by 200 ms", "longestMs", " ms", "less"],
  ["longest wait, link cut for 3 s", "fault: cut silently", "longestMs", " ms", "less"],
  ["failed calls, Redis killed for 3 s", "fault: killed", "failed", "", "less"],
  ["failed calls, Redis out of memory", "fault: full", "failed", "", "less"],
];
/** The figures of other caches without faults, under the plans of `npm run torture`. */
const PROMISED = join(TOP, "docs/guide/what-is-promised.md");

/**
 * How often a process got what was older than its own change, as the page has it; hotset has one row for all faults.
 */
function olderAnswers(product: string): string {
  const page = readFileSync(PROMISED, "utf8");
  return new RegExp(`^\\| ${product}[^|]*\\| (?:none|all six) \\| (\\d+) \\|`, "m").exec(page)![1]!;
}

/** The table of the page about costs: hotset, its strings, and the best of the others by name. */
function costs(results: Results): string {
  const peers = PRODUCTS.filter(({ kind }) => kind === "peer").map(({ name }) => name);
  const rows = COSTS.map(([what, scenario, metric, unit, better]) => {
    const valueOf = (product: string): number | undefined => measured(results, scenario, product, metric);
    const written = (value: number | undefined): string => (value === undefined ? "" : `${shown(value)}${unit}`);
    const [best] = peers
      .flatMap((name) => ({ name, value: valueOf(name) ?? Number.NaN }))
      .filter(({ value }) => !Number.isNaN(value))
      .toSorted((one, other) => (better === "less" ? one.value - other.value : other.value - one.value));
    const others = best === undefined ? "" : `${written(best.value)}, ${best.name}`;
    return [what, written(valueOf("hotset")), written(valueOf("hotset, string layout")), others];
  });
  return [
    line(["", "hotset", 'with `layout("string")`', "the best other"]),
    "|---|---:|---:|---:|",
    ...rows.map(line),
  ].join("\n");
}

/** The table of the README: rows that it wins, and rows that it loses. */
function front(results: Results): string {
  const versionOf = (name: string): string => {
    const [main = ""] = PRODUCTS.find((product) => product.name === name)!.packages;
    return name === "hotset" ? "hotset" : `${name} ${results.machine.versions[main]}`;
  };
  const rows = MEASURED.map(([what, scenario, metric, unit]) => [
    what,
    ...FRONT.map((product) => {
      const value = measured(results, scenario, product, metric);
      if (value === undefined) return "";
      return value >= FOREVER ? "never in time" : `${shown(value)}${unit}`;
    }),
  ]);
  const table = [
    line(["", ...FRONT.map(versionOf)]),
    `|---|${FRONT.map(() => "---:|").join("")}`,
    line([
      "stale reads after a change by the same process, in about 1,500 reads without faults",
      ...FRONT.map(olderAnswers),
    ]),
    ...rows.map(line),
  ].join("\n");
  if (results.othersOfACore <= QUIET) return table;
  return `${table}\n\nPreliminary: the machine was busy, so times and rates are too high or too low; counts and bytes hold.`;
}

/** The verdicts about the client of the toolkit. */
function toolkit(): string {
  const { machine, rows } = JSON.parse(readFileSync(join(RESULTS, "toolkit.json"), "utf8")) as ToolkitResults;
  // The last row says of which kind the others are.
  const figuresOfClient = rows.filter(({ id }) => id !== "R3-36");
  return [
    line(["the client of the toolkit", "measured"]),
    "|---|---|",
    ...figuresOfClient.map(({ what, value }) => line([what, value])),
    "",
    machine,
  ].join("\n");
}

if (import.meta.main) {
  if (!existsSync(join(RESULTS, "peers.json"))) throw new Error("there are no results yet: run npm run bench -- peers");
  await writePages();
  printTargets(readResults("peers"));
}
