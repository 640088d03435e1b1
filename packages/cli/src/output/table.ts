import { numberText, safe } from "./text.ts";

export type Cell = string | number | undefined;

/** Columns as wide as their widest cell, numbers to the right; `-` for what is not known. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const isNumber = head.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === "number"));
  const cells = [head, ...rows.map((row) => row.map(textOf))];
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  const lines = cells.map((row) =>
    row.map((cell, i) => (isNumber[i] === true ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  "),
  );
  return lines.map((line) => line.trimEnd()).join("\n");
}

/** Names to the left, values to the right of them. */
export function fields(rows: readonly (readonly [name: string, value: Cell])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${textOf(value)}`).join("\n");
}

const textOf = (cell: Cell): string =>
  cell === undefined ? "-" : typeof cell === "number" ? numberText(cell) : safe(cell);
