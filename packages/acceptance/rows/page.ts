import { basename } from "node:path";
import { isHeld, type Row, type Section } from "./row.ts";

const HEAD = `# Requirements

Hotset replaces what five systems had of their own: Hyperswitch's \`redis_interface\` (Rust), hitbox with its Redis backend (Rust),
RouteMQ's \`RedisManager\` (Python), RedisUtils (Rust) and Magnetiq2's Redis services (Python). This page has a row for each thing that
their users had, with its name here and the test that holds it.

A row counts as held only if its test fails where the function is removed: that is its mutant, which \`npm run mutants -- --rows\` plants
([how](../CONTRIBUTING.md#rows)). \`npm run rows\` writes this page.
`;

/** docs/requirements.md. */
export function renderPage(sections: readonly Section[], examples: ReadonlyMap<string, readonly string[]>): string {
  const rows = sections.flatMap((section) => section.rows);
  const open = rows.filter((row) => "open" in row);
  const notTaken = rows.filter((row) => "notTaken" in row);
  const held = rows.filter(isHeld);
  const figures = `Of ${rows.length} rows ${held.length} are held, ${notTaken.length} not taken, ${open.length} open.\n`;
  return [HEAD, figures, ...sections.map((section) => renderSection(section, examples))].join("\n");
}

/** The page without the column of examples, which changes with each example. */
export const withoutExamples = (page: string): string =>
  page.replaceAll(/\[[^\]]+\]\((?:examples|operations)\/[^)]*\)(?:, )?/g, "").replaceAll(/ +\|/g, " |");

function renderSection({ title, rows }: Section, examples: ReadonlyMap<string, readonly string[]>): string {
  const lines = rows.map((row) => renderRow(row, examples.get(row.id) ?? []));
  const head = "| row | there | here | module | test | example | mutant |\n|---|---|---|---|---|---|---|";
  return `## ${title}\n\n${head}\n${lines.join("\n")}\n`;
}

function renderRow(row: Row, examples: readonly string[]): string {
  const programs = examples.map((file) => `[${basename(file)}](${file.replace("docs/", "")})`).join(", ");
  const cells = [row.id, row.what, ...evidence(row, programs)];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`.replaceAll(/ +\|/g, " |");
}

function evidence(row: Row, programs: string): readonly string[] {
  if ("notTaken" in row) return [`not taken, because ${row.notTaken}`, "", "", programs, ""];
  if ("open" in row) return [`open: ${row.open}`, "", "", programs, ""];
  const [file, title] = row.test;
  return [row.here, row.module, `[${basename(file)}](../${file}): ${title}`, programs, row.mutant ?? "its own"];
}
