import type { PriceRow } from "./prices.ts";
import type { RowVerdict } from "./verdicts.ts";

/** Figures as people read them: medians with ranges. */
export interface Table {
  readonly name: string;
  readonly what: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function markdown({ name, what, columns, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    `**${name}**: ${what}`,
    "",
    line(columns),
    `|---|${columns
      .slice(1)
      .map(() => "---:|")
      .join("")}`,
    ...rows.map(line),
  ].join("\n");
}

/** Results of `npm run bench -- toolkit`. */
export interface ToolkitResults {
  /** Where and how they were taken. */
  readonly machine: string;
  /** Whether its rates and times count. */
  readonly isQuiet: boolean;
  readonly rows: readonly RowVerdict[];
  readonly tables: readonly Table[];
  readonly prices: Prices;
}

/** Of one call, next to other packages. Taken on its own too: `--prices`. */
export interface Prices {
  readonly machine: string;
  readonly rows: readonly PriceRow[];
}

export const priceTable = (rows: readonly PriceRow[]): Table => ({
  name: "toolkit: prices",
  what: "CPU time of one call, next to the cheapest other package",
  columns: ["", "measured", "target", ""],
  rows: rows.map(({ what, value, target, isMet }) => [what, value, target, isMet ? "met" : "**not met**"]),
});

export const verdictTable = (rows: readonly RowVerdict[]): Table => ({
  name: "toolkit: rows",
  what: "what the toolkit is to reach, judged by this run",
  columns: ["", "measured", "target", "value", "yardstick", ""],
  rows: rows.map(({ id, what, target, value, yardstick, isMet }) => [
    id,
    what,
    target,
    value,
    yardstick,
    isMet ? "met" : "**not met**",
  ]),
});
