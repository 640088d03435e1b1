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
import { PATIENCE_MS } from "./faults.ts";
import { plot, type Panel } from "./plots.ts";
import { packagesWithoutFigures, readResults, RESULTS, type Results } from "./results.ts";
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
      title: "Longest wait, link silent for 3 s (12 s: not answered)",
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
    case "peers":
      return measuredPeers(results);
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

const PEERS = PRODUCTS.filter(({ kind }) => kind === "peer").map(({ name }) => name);

function measuredPeers({ rows }: Results): string {
  const names = PEERS.filter((name) => rows.some(({ product }) => product === name));
  return (
    `The cost of a call, next to the best of ${names.length} other caches in the same run: ` +
    `${names.slice(0, -1).join(", ")} and ${names.at(-1)}. \`benchmarks/results\` has its figures as JSON.`
  );
}

function machine(results: Results): string {
  const { othersOfACore, later = [] } = results;
  const { commit, startedAt, node, redis, cpu, cores, loadBefore, rounds, roundMs, versions } = results.machine;
  const quiet =
    othersOfACore <= QUIET
      ? "The machine was quiet: other processes used at most 5 % of a core."
      : `Other processes used up to ${shown(othersOfACore)} cores, load average ${loadBefore} at the start.`;
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `Commit ${commit}, ${startedAt.slice(0, 16).replace("T", " ")} UTC; Node ${node}, Redis ${redis} over loopback ` +
      `TCP, ${cores} x ${cpu}; ${rounds} rounds of ${roundMs} ms each, every cache in turn. CPU time is that of the best ` +
      "round, all else is the median.",
    "",
    quiet,
    "",
    ...later.flatMap((each) => [
      `Later, with commit ${each.commit}, ${each.startedAt.slice(0, 10)}: ${each.what}.`,
      "",
    ]),
    `Versions: ${packages.join(", ")}.`,
    ...unmeasured(results),
  ].join("\n");
}

/** Names each contender whose set-up the results do not know, until everything is run again. */
function unmeasured(results: Results): readonly string[] {
  const missing = packagesWithoutFigures(results);
  const of = PRODUCTS.filter(({ packages }) => packages.some((name) => missing.includes(name)));
  if (of.length === 0) return [];
  const setUps = of.map(({ name, packages }) => `${name} (${packages.join(", ")})`);
  return ["", `In the benchmarks, and not in these figures yet: ${setUps.join("; ")}.`];
}

const FRONT = ["hotset", "bentocache", "cacheable"] as const;
/** The client alone: `GET`, with `SET` in a miss, and `MGET` for a batch. */
const BARE = "node-redis GET";

/** A figure of a scenario. `beside`: as a multiple of that of {@link BARE}, which ran in turn with it. */
interface Measured {
  readonly what: string;
  readonly scenario: string;
  readonly metric: string;
  readonly unit: string;
  readonly beside?: true;
}

const less = (what: string, scenario: string, metric: string, unit = ""): Measured => ({
  what,
  scenario,
  metric,
  unit,
});
/** Other programs change the time of both sides alike, and the least of many short rounds hardly at all. */
const besideBare = (what: string, scenario: string): Measured => ({
  ...less(what, scenario, "clientUs", "×"),
  beside: true,
});

const HIT = "backend hit, 200 B, 64 in flight";
const MISS = "miss with store, 64 in flight";
const COUNTS: readonly Measured[] = [
  less("loads of one key that two processes miss", "stampede, two processes", "loads"),
  less("longest wait while Redis is frozen for 3 s", "fault: frozen", "longestMs", " ms"),
  less("longest wait after the link goes silent for 3 s", "fault: cut silently", "longestMs", " ms"),
  less("longest wait while Redis is slower by 200 ms", "fault: slow by 200 ms", "longestMs", " ms"),
];
const CALLS: readonly Measured[] = [
  less("CPU time of a hit in memory", "memory hit, small", "clientNs", " ns"),
  besideBare("CPU time of a hit in Redis, as a multiple of a bare `GET`", HIT),
  besideBare("CPU time of a miss, as a multiple of a bare `GET` and `SET`", MISS),
];
const ENTRY = less("an entry of 200 B in Redis", "Redis' memory of an entry, 100,000", "bytesEach", " bytes");
const COSTS: readonly Measured[] = [
  ...CALLS,
  besideBare("CPU time of a hit of 2 KB, as a multiple of a bare `GET`", "backend hit, 2 KB, 64 in flight"),
  besideBare("CPU time of a batch of 100 hits, as a multiple of a bare `MGET`", "batch of 100"),
  less("CPU time of a hit in memory without a promise (`peek`)", "peek", "clientNs", " ns"),
  less("Redis's CPU time of a hit", HIT, "redisUs", " µs"),
  less("Redis's CPU time of a miss", MISS, "redisUs", " µs"),
  less("commands of a hit in Redis", HIT, "commands"),
  less("commands of a miss, with those inside scripts", MISS, "commands"),
  ENTRY,
  less("bytes allocated by a hit in memory", "memory hit, small", "bytes"),
  less("bytes allocated by a hit in Redis", HIT, "bytes"),
  less("bytes allocated by a miss", MISS, "bytes"),
  less("promises of a hit in Redis", HIT, "promises"),
  less("promises of a miss", MISS, "promises"),
  less("memory of a small entry in the process", "memory of an entry, 100,000", "bytesEach", " bytes"),
  less("CPU time of the import", "import", "cpuMs", " ms"),
  less("installed size", "install", "kb", " KB"),
  less("installed packages", "install", "packages"),
  ...COUNTS,
  less("longest wait, Redis killed for 3 s", "fault: killed", "longestMs", " ms"),
];
/** The answers of {@link FRONT} to a row of the comparison. */
function undoneDeletes(): readonly string[] {
  const page = readFileSync(join(TOP, "docs/migrating/comparison.md"), "utf8");
  const [, row] = /^\| the same with memory in front of Redis \|(.*)\|$/m.exec(page)!;
  const answers = row!.split("|").map((cell) => (cell.trim() === "nothing" ? "no" : "yes"));
  return answers.slice(0, FRONT.length);
}

function valueOf(results: Results, { scenario, metric, beside }: Measured, product: string): number | undefined {
  // Processor time of calls in memory, which are too short for microseconds.
  const [name, times] = metric === "clientNs" ? ["clientUs", 1_000] : [metric, 1];
  const value = measured(results, scenario, product, name);
  if (value === undefined || beside === undefined) return value === undefined ? undefined : value * times;
  return value / measured(results, scenario, BARE, name)!;
}

function written(results: Results, figure: Measured, product: string): string {
  const value = valueOf(results, figure, product);
  if (value === undefined) return "";
  const isLost = figure.metric === "longestMs" && measured(results, figure.scenario, product, "neverAnswered")! > 0;
  if (isLost) return `over ${PATIENCE_MS / 1_000} s`;
  return value >= FOREVER ? "never in time" : `${shown(value)}${figure.unit}`;
}

/** The table of the page about costs: hotset, the best of the others by name, and strings. */
function costs(results: Results): string {
  const rows = COSTS.map((figure) => [
    figure.what,
    written(results, figure, "hotset"),
    bestOther(results, figure),
    written(results, figure, "hotset, string layout"),
  ]);
  return [
    line(["", "hotset", "the best other", 'with `layout("string")`']),
    "|---|---:|---:|---:|",
    ...rows.map(line),
  ].join("\n");
}

/** The least figure of the others, and whose it is: that of one, of all, or of all but a few. */
function bestOther(results: Results, figure: Measured): string {
  const others = PEERS.flatMap((name) => {
    const value = valueOf(results, figure, name);
    return value === undefined ? [] : [{ name, value, text: written(results, figure, name) }];
  }).toSorted((one, other) => one.value - other.value);
  const [best] = others;
  if (best === undefined) return "";
  const equals = others.filter(({ text }) => text === best.text).map(({ name }) => name);
  const worse = others.map(({ name }) => name).filter((name) => !equals.includes(name));
  return `${best.text}, ${whose(equals, worse)}`;
}

function whose(equals: readonly string[], worse: readonly string[]): string {
  if (equals.length <= worse.length || equals.length === 1) return equals.join(" and ");
  return worse.length === 0 ? "all" : `all but ${worse.join(" and ")}`;
}

/** The table of the README: rows that it wins, and rows that it loses. */
function front(results: Results): string {
  const versionOf = (name: string): string => {
    const [main = ""] = PRODUCTS.find((product) => product.name === name)!.packages;
    return name === "hotset" ? "hotset" : `${name} ${results.machine.versions[main]}`;
  };
  return [
    line(["", ...FRONT.map(versionOf)]),
    `|---|${FRONT.map(() => "---:|").join("")}`,
    line(["a running load can undo a `delete`", ...undoneDeletes()]),
    ...[...COUNTS, ...CALLS, ENTRY].map((figure) =>
      line([figure.what, ...FRONT.map((product) => written(results, figure, product))]),
    ),
  ].join("\n");
}

/** The verdicts about the client of the toolkit. */
function toolkit(): string {
  const results = JSON.parse(readFileSync(join(RESULTS, "toolkit.json"), "utf8")) as ToolkitResults;
  const { machine, rows, prices } = results;
  // The last row says of which kind the others are.
  const figuresOfClient = rows.filter(({ id }) => id !== "R3-36");
  return [
    line(["the client of the toolkit", "measured"]),
    "|---|---|",
    ...figuresOfClient.map(({ what, value }) => line([what, value])),
    "",
    machine,
    "",
    line(["the price of one call: CPU time, ours by that of the cheapest other package", "measured", "aim", "result"]),
    "|---|---|---|---|",
    ...prices.rows.map(({ what, value, target, isMet }) => line([what, value, target, isMet ? "" : "lost"])),
    "",
    prices.machine,
  ].join("\n");
}

if (import.meta.main) {
  if (!existsSync(join(RESULTS, "peers.json"))) throw new Error("there are no results yet: run npm run bench -- peers");
  await writePages();
  printTargets(readResults("peers"));
}
