/**
 * The figures of the committed results in the pages, between comments that name them.
 *
 *     npm run write -- performance
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PRODUCTS } from "../contenders/index.ts";
import { limitsTable, readLimits } from "../limits.ts";
import { QUIET } from "../measure.ts";
import { toolkitTables } from "../toolkit/table.ts";
import { plot, type Panel } from "./plots.ts";
import { readResults, RESULTS, type Results } from "./results.ts";
import { SCENARIOS } from "./scenarios.ts";
import { shown } from "./shown.ts";
import { FOREVER, line, measured, tableOf } from "./tables.ts";
import { printTargets, targetTable } from "./targets.ts";

const TOP = join(import.meta.dirname, "../..");
/** Pages with figures. */
export const PAGES = ["docs/performance.md", "benchmarks/figures/README.md", "README.md"] as const;

const PLOTS: Readonly<Record<string, readonly Panel[]>> = {
  memory: [
    { scenario: "memory hit, small", metric: "ns", title: "A hit in memory, awaited", unit: " ns" },
    { scenario: "peek", metric: "ns", title: "A hit in memory without a promise", unit: " ns" },
    { scenario: "memory of an entry, 100,000", metric: "bytesEach", title: "Memory of a small entry", unit: " bytes" },
  ],
  redis: [
    {
      scenario: "backend hit, 200 B, 64 in flight",
      metric: "perSecond",
      title: "Hits in Redis, 200 B, 64 in flight",
      unit: "/s",
    },
    { scenario: "miss with store, 64 in flight", metric: "perSecond", title: "Misses, 64 in flight", unit: "/s" },
    { scenario: "miss with store, 64 in flight", metric: "redisUs", title: "Redis' time of a miss", unit: " µs" },
    { scenario: "batch of 100", metric: "ns", title: "A batch of 100", unit: " ns" },
  ],
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

const NO_RUN = "No results of a whole run have been committed yet.";

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
    case "targets":
      return targetTable(results);
    case "front":
      return front(results);
    case "costs":
      return costs(results);
    case "limits": {
      const limits = readLimits();
      return limits === undefined
        ? NO_RUN
        : `![Ratios to the raw limit](../results/limits.svg)\n\n${limitsTable(limits)}`;
    }
    case "toolkit":
      return toolkitTables(RESULTS) ?? NO_RUN;
    default: {
      const wanted = SCENARIOS.filter((scenario) => scenario.name.startsWith(name));
      if (wanted.length === 0) throw new Error(`no scenario begins with ${JSON.stringify(name)}`);
      return wanted.map((scenario) => tableOf(scenario, results.rows)).join("\n\n");
    }
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
      "is the median; then the range.",
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
  ["a hit in memory, over Redis", "memory hit over Redis", "ns", " ns", "less"],
  ["hits in Redis, 200 B, 64 in flight", "backend hit, 200 B, 64 in flight", "perSecond", "/s", "more"],
  ["hits in Redis, 50 KB, 64 in flight", "backend hit, 50 KB, 64 in flight", "perSecond", "/s", "more"],
  ["batches of 100 hits in Redis", "batch of 100", "perSecond", "/s", "more"],
  ["misses with store, 64 in flight", "miss with store, 64 in flight", "perSecond", "/s", "more"],
  ["loads of a key that two processes miss", "stampede, two processes", "loads", "", "less"],
  ["memory of a small entry in the process", "memory of an entry, 100,000", "bytesEach", " bytes", "less"],
  ["an entry of 200 B in Redis", "Redis' memory of an entry, 100,000", "bytesEach", " bytes", "less"],
  ["importing the package", "import", "ms", " ms", "less"],
  ["longest wait, Redis frozen for 3 s", "fault: frozen", "longestMs", " ms", "less"],
  ["longest wait, link cut for 3 s", "fault: cut silently", "longestMs", " ms", "less"],
];
/** The figures of `npm run torture -- peers` without faults. */
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

if (import.meta.main) {
  if (!existsSync(join(RESULTS, "peers.json"))) throw new Error("there are no results yet: run npm run bench -- peers");
  await writePages();
  printTargets(readResults("peers"));
}
