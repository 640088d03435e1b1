// The page of the command line, from the tables of which `hotset --help` is made.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

interface OptionSpec {
  readonly value?: string;
  readonly text: string;
}

interface Command {
  readonly name: string;
  readonly summary: string;
  readonly words: string;
  readonly about: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
}

interface Tables {
  readonly COMMANDS: readonly Command[];
  readonly COMMON: Readonly<Record<string, OptionSpec>>;
}

/** By its path: no entry of the package has them. */
const { COMMANDS, COMMON } = (await import(
  pathToFileURL(join(import.meta.dirname, "../../packages/cli/src/run.ts")).href
)) as Tables;

/** The text of the page. */
export function commandPage(): string {
  const rows = COMMANDS.map(({ name, summary }) => `| [\`${name}\`](#${name}) | ${cell(summary)} |`);
  return `${[
    "# The command line: words and options",
    "<!-- Written from the tables of the commands by the build of the site: change those. -->",
    "As `hotset <command> --help` prints them. Exit codes, JSON and the checks of `doctor`: " +
      "[the command line](../command-line.md).",
    ["| command | what it does |", "|---|---|", ...rows].join("\n"),
    "## Options of every command",
    optionTable(COMMON),
    ...COMMANDS.flatMap(sectionOf),
  ].join("\n\n")}\n`;
}

const sectionOf = ({ name, summary, words, about, options }: Command): readonly string[] => [
  `## \`${name}\``,
  cell(`${summary[0]!.toUpperCase()}${summary.slice(1)}.`),
  [
    "```text",
    ["hotset", name, words, "[options]"].filter((word) => word !== "").join(" "),
    ...(about.length === 0 ? [] : ["", ...about]),
    "```",
  ].join("\n"),
  ...(Object.keys(options).length === 0 ? [] : [optionTable(options)]),
];

function optionTable(options: Readonly<Record<string, OptionSpec>>): string {
  const rows = Object.entries(options).map(([name, { value, text }]) => {
    const [meaning = "", ...usual] = text.split("; default: ");
    const shown = value === undefined ? `--${name}` : `--${name} ${value}`;
    return `| \`${shown}\` | ${cell(meaning)} | ${cell(usual.join("; "))} |`;
  });
  return ["| option | what it does | default |", "|---|---|---|", ...rows].join("\n");
}

/** `<name>` is no tag of HTML. */
const cell = (text: string): string =>
  text
    .replaceAll("|", String.raw`\|`)
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
