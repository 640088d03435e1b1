import type { OptionSpec } from "./arguments.ts";
import type { Command } from "./command.ts";
import { fields } from "./output/table.ts";

export function overview(commands: readonly Command[]): string {
  return [
    "hotset: caches, queues and locks in Redis, looked at from outside",
    "",
    "  hotset <command> [options]",
    "",
    indented(fields(commands.map(({ name, summary }) => [name, summary] as const))),
    "",
    "Redis is found as createRedis() finds it: REDIS_URL, or REDIS_HOST and REDIS_PASSWORD, or REDIS_CLUSTER_URLS, ...",
    "",
    "  hotset <command> --help   more about one command",
    "  hotset --version",
    "",
    "Exit codes: 0 fine, 1 findings or nothing found, 2 wrong arguments or settings, 3 Redis unreachable, 4 failed",
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
    `hotset ${command.name}: ${command.summary}`,
    "",
    `  hotset ${[command.name, command.words, "[options]"].filter((word) => word !== "").join(" ")}`,
    "",
    ...(command.about.length === 0 ? [] : [...command.about, ""]),
    indented(fields([...lines(command.options), ...lines(common)])),
    "",
  ].join("\n");
}

const indented = (text: string): string => text.replace(/^/gm, "  ");
