import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
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
}

export const verdictTable = (rows: readonly RowVerdict[]): Table => ({
  name: "toolkit: rows",
  what: "what the users of RedisUtils were promised, judged by this run",
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

/** `undefined`: no run has been committed. */
export function toolkitTables(folder: string): string | undefined {
  const path = join(folder, "toolkit.json");
  if (!existsSync(path)) return undefined;
  const { machine, tables } = JSON.parse(readFileSync(path, "utf8")) as ToolkitResults;
  return [machine, ...tables.map(markdown)].join("\n\n");
}
