import { readFileSync } from "node:fs";
import { join } from "node:path";
import { spread, type Spread } from "../measure.ts";
import { plotOf } from "../peers/bars.ts";

const RESULTS = join(import.meta.dirname, "../results");
export const JSON_PATH = join(RESULTS, "fleet.json");
export const PLOT_PATH = join(RESULTS, "fleet.svg");

/** The cost of one step for Redis, with so many connections. */
export interface Step {
  readonly step: string;
  readonly by: "sockets" | "caches";
  readonly count: number;
  readonly us: Spread;
}

/** The spread of all rounds, in three digits. */
export function stepOf(step: string, by: Step["by"], count: number, us: readonly number[]): Step {
  const { median, least, most } = spread(us);
  return { step, by, count, us: { median: inThree(median), least: inThree(least), most: inThree(most) } };
}

export const inThree = (value: number): number => Number(value.toPrecision(3));

/** Predicted by `hotset capacity` and measured: cores of Redis. */
export interface Comparison {
  readonly words: readonly string[];
  readonly predictedCores: number;
  readonly measuredCores: number;
  readonly ratio: number;
}

export interface FleetResults {
  readonly machine: string;
  /** The names and values of `COSTS` of `hotset capacity`. */
  readonly costs: Readonly<Record<string, number>>;
  /** For one process that connects. */
  readonly connect: Readonly<Record<"us" | "bytesIn" | "bytesOut" | "commands" | "memoryBytes", number>>;
  readonly steps: readonly Step[];
  readonly services: readonly Comparison[];
}

export const textOf = (results: FleetResults): string => `${JSON.stringify(results, null, 1)}\n`;
export const readFleet = (): FleetResults => JSON.parse(readFileSync(JSON_PATH, "utf8")) as FleetResults;

const PLOTTED = ["heartbeat", "push", "re-read", "use after a tag call"];

/** Steps that each process adds, with a bar for each number of processes. */
export function plotOfFleet({ steps }: Pick<FleetResults, "steps">): string {
  const groups = PLOTTED.map((name) => ({
    title: `${name}, for each process`,
    unit: " µs",
    bars: steps
      .filter(({ step }) => step === name)
      .toSorted((one, other) => one.count - other.count)
      .map(({ by, count, us: { median, least, most } }) => ({
        label: `${count.toLocaleString("en")} ${by}`,
        kind: by === "caches" ? ("ours" as const) : ("limit" as const),
        ...{ figure: median, least, most },
      })),
  }));
  return plotOf(groups);
}
