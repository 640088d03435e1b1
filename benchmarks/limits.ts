import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Outcome, Spread } from "./measure.ts";
import { inShort, isHeld, type Figure } from "./trial.ts";
import { plotOf, type Bar } from "./peers/bars.ts";

const RESULTS = join(import.meta.dirname, "results");
const PATH = join(RESULTS, "limits.json");

/** Results of `npm run bench`: hotset beside the raw limit. */
export interface Limits {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly redis: string | undefined;
  readonly commit: string;
  readonly rounds: number;
  readonly isAlone: boolean;
  /** The most of one core that other processes used. */
  readonly othersOfACore: number;
  readonly outcomes: readonly Outcome[];
  readonly figures: Readonly<Record<string, readonly Figure[]>>;
}

/** Keeps the results of a whole run for the pages. */
export function keepLimits(limits: Limits): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(PATH, `${JSON.stringify(limits, null, 1)}\n`);
  writeFileSync(join(RESULTS, "limits.svg"), limitsPlot(limits));
}

/** `undefined`: no run has been committed. */
export function readLimits(): Limits | undefined {
  return existsSync(PATH) ? (JSON.parse(readFileSync(PATH, "utf8")) as Limits) : undefined;
}

export function limitsPlot({ outcomes }: Limits): string {
  const bars = (shows: Outcome["shows"]): readonly Bar[] =>
    outcomes
      .filter((outcome) => outcome.shows === shows)
      .map(({ scenario, ratio }) => ({ label: scenario, kind: "ours", figure: ratio.median, ...ratio }));
  return plotOf([
    { title: "Time in times of the raw limit: less is better", unit: "", bars: bars("cost") },
    { title: "Speed as a part of the raw limit: more is better", unit: "", bars: bars("speed") },
  ]);
}

/** All comparisons and figures as Markdown. */
export function limitsTable(limits: Limits): string {
  const { node, cpu, cores, redis, commit, rounds, isAlone, othersOfACore, outcomes, figures } = limits;
  const quiet = isAlone
    ? "the machine was quiet"
    : `**the machine was not quiet**: others used up to ${inShort(othersOfACore)} cores`;
  const compared = outcomes.map((outcome) => {
    const { scenario, rawNs, hotsetNs, ratio, shows, target, isHeld: holds } = outcome;
    const bound =
      target === undefined ? "" : `${shows === "cost" ? "at most" : "at least"} ${target}: ${verdict(holds)}`;
    return row([
      scenario,
      time(rawNs),
      time(hotsetNs),
      `${inShort(ratio.median)} (${inShort(ratio.least)} to ${inShort(ratio.most)})`,
      bound,
    ]);
  });
  const found = Object.entries(figures).map(([name, rows]) =>
    [`**${name}**`, "", row(["figure", "value", "bound"]), "|---|---:|---|", ...rows.map(figureRow)].join("\n"),
  );
  return [
    `Commit ${commit.slice(0, 12)}, Node ${node}, Redis ${redis}, ${cores} x ${cpu}, ${rounds} rounds; ${quiet}.`,
    ["| scenario | raw | hotset | ratio | target |", "|---|---:|---:|---:|---|", ...compared].join("\n"),
    ...found,
  ].join("\n\n");
}

function figureRow(figure: Figure): string {
  const { what, value, unit, atMost, atLeast } = figure;
  const bounds = [
    ...(atLeast === undefined ? [] : [`at least ${atLeast}`]),
    ...(atMost === undefined ? [] : [`at most ${atMost}`]),
  ].join(", ");
  return row([what, `${inShort(value)}${unit}`, bounds === "" ? "" : `${bounds}: ${verdict(isHeld(figure))}`]);
}

const verdict = (holds: boolean | undefined): string => (holds === true ? "met" : "**not met**");

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

function time({ median }: Spread): string {
  return median < 10_000 ? `${inShort(median)} ns` : `${inShort(median / 1_000)} µs`;
}
