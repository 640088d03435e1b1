import { PRODUCTS } from "../contenders/index.ts";
import type { Spread } from "../measure.ts";
import type { Results, Row } from "./results.ts";
import type { Scenario } from "./scenario.ts";
import { shown } from "./shown.ts";

/** Titles and units of figures; those that are not here are not shown in tables. */
const COLUMNS: Readonly<Record<string, readonly [title: string, unit: string]>> = {
  ns: ["time", " ns"],
  perSecond: ["rate", "/s"],
  clientUs: ["client CPU", " µs"],
  redisUs: ["Redis CPU", " µs"],
  commands: ["commands", ""],
  bytes: ["allocated", " B"],
  promises: ["promises", ""],
  p50Ms: ["p50", " ms"],
  p99Ms: ["p99", " ms"],
  p999Ms: ["p99.9", " ms"],
  loads: ["loads", ""],
  longestMs: ["longest wait", " ms"],
  waited: ["waited at the end of a life", ""],
  waitedAfterPause: ["waited after a pause, of 100", ""],
  hitNs: ["a tagged hit", " ns"],
  invalidateMs: ["invalidation", " ms"],
  blockedMs: ["of it, the loop stands", " ms"],
  bytesEach: ["bytes each", ""],
  ms: ["time", " ms"],
  cpuMs: ["CPU", " ms"],
  minifiedKb: ["minified", " KB"],
  kb: ["on disk", " KB"],
  packages: ["packages", ""],
  failed: ["failed", ""],
  neverAnswered: ["of these, never answered", ""],
  wrong: ["wrong values", ""],
  deletesFailed: ["deletes that failed", ""],
  healedMs: ["stores again after", " ms"],
};
/** Figures that are the same in each round. */
const EXACT = new Set(["bytes", "promises", "packages", "kb", "minifiedKb"]);
/** Other programs only ever add time, also those of other virtual machines: the best round is nearest to the cost. */
const BEST: Readonly<Record<string, "least" | "most">> = {
  ns: "least",
  clientUs: "least",
  redisUs: "least",
  cpuMs: "least",
  perSecond: "most",
};
export const FOREVER = 1e9;

/** The best round for times and rates, the median for all else. */
export const figureOf = (metric: string, spread: Spread): number => spread[BEST[metric] ?? "median"];

/** One scenario as Markdown: a line for each contender, with {@link figureOf} and the range. */
export function tableOf(scenario: Scenario, rows: readonly Row[]): string {
  const own = rowsOf(scenario.name, rows);
  const columns = Object.keys(COLUMNS).filter((name) => own.some(({ metrics }) => metrics[name] !== undefined));
  const lines = own.map(({ product, metrics, error }) =>
    error !== undefined && Object.keys(metrics).length === 0
      ? [label(product), `could not be measured: ${error.replaceAll("|", "/")}`, ...columns.slice(1).map(() => "")]
      : [label(product), ...columns.map((name) => cell(name, metrics[name]))],
  );
  return [
    `**${scenario.name}**: ${scenario.what}`,
    "",
    line([" ", ...columns.map((name) => COLUMNS[name]![0])]),
    `|---|${columns.map(() => "---:|").join("")}`,
    ...lines.map(line),
  ].join("\n");
}

/** In the order of the contenders. */
export function rowsOf(scenario: string, rows: readonly Row[]): readonly Row[] {
  return PRODUCTS.flatMap(({ name }) => rows.find((row) => row.scenario === scenario && row.product === name) ?? []);
}

export function measured(
  { rows }: Pick<Results, "rows">,
  scenario: string,
  product: string,
  metric: string,
): number | undefined {
  const spread = rows.find((row) => row.scenario === scenario && row.product === product)?.metrics[metric];
  return spread && figureOf(metric, spread);
}

export function cell(name: string, spread: Spread | undefined): string {
  if (spread === undefined) return "";
  const [, unit] = COLUMNS[name]!;
  const { least, most } = spread;
  const figure = figureOf(name, spread);
  if (figure >= FOREVER) return "never in time";
  const range = EXACT.has(name) || least === most ? "" : ` (${shown(least)} to ${shown(most)})`;
  return `${shown(figure)}${unit}${range}`;
}

function label(product: string): string {
  const kind = PRODUCTS.find(({ name }) => name === product)?.kind;
  return kind === "ours" ? `**${product}**` : kind === "limit" ? `_${product}_` : product;
}

export function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
