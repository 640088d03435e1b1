import type { OptionSpec } from "./arguments.ts";
import type { Command } from "./command.ts";

export function overview(commands: readonly Command[]): string {
  return [
    "hotset: caches, queues and locks in Redis, seen from outside of your services",
    "",
    "  hotset <command> [options]",
    "",
    ...explained(commands.map(({ name, summary }) => [name, summary] as const)),
    "",
    ...wrapped(
      "Redis is found by the variables of createRedis(): REDIS_URL, or REDIS_HOST and REDIS_PASSWORD, or " +
        "REDIS_CLUSTER_URLS, or REDIS_SENTINELS. Without any it is localhost:6379.",
    ),
    "",
    "  hotset <command> --help   more about one command",
    "  hotset --version",
    "",
    "Exit codes",
    ...explained([
      ["0", "all is well, or done"],
      ["1", "doctor has findings of --fail-on, or what was asked for is not there"],
      ["2", "wrong arguments or settings; nothing was sent"],
      ["3", "Redis could not be reached, did not answer in time, or refused the login"],
      ["4", "Redis refused a command, or hotset failed"],
    ]),
    "",
  ].join("\n");
}

export function helpOf(command: Command, common: Readonly<Record<string, OptionSpec>>): string {
  const lines = (options: Readonly<Record<string, OptionSpec>>): readonly (readonly [string, string])[] =>
    Object.entries(options).map(([name, { value, text }]) => [
      value === undefined ? `--${name}` : `--${name} ${value}`,
      text,
    ]);
  return [
    ...wrapped(`hotset ${command.name}: ${command.summary}`),
    "",
    ...wrapped(`  hotset ${[command.name, command.words, "[options]"].filter((word) => word !== "").join(" ")}`, 4),
    "",
    ...(command.about.length === 0 ? [] : [...command.about.flatMap((line) => wrapped(line)), ""]),
    ...explained([...lines(command.options), ...lines(common)]),
    "",
  ].join("\n");
}

/** Columns of the narrowest terminal that is usual. */
const WIDTH = 80;

/** Names to the left; what they are to the right, in as many lines as it takes. */
function explained(rows: readonly (readonly [name: string, text: string])[]): readonly string[] {
  const at = 4 + Math.max(...rows.map(([name]) => name.length));
  return rows.flatMap(([name, text]) => wrapped(`  ${name}`.padEnd(at) + text, at));
}

/** Lines of at most 80 columns. @param indent columns that all lines but the first leave free. */
function wrapped(text: string, indent = 0): readonly string[] {
  if (text.length <= WIDTH) return [text];
  const end = text.lastIndexOf(" ", WIDTH);
  if (end <= indent) return [text];
  return [text.slice(0, end).trimEnd(), ...wrapped(" ".repeat(indent) + text.slice(end + 1), indent)];
}
