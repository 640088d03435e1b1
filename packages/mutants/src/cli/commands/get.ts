import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: get shows values without being asked",
    promises: ["C280"],
    rule: 'session.arguments.flag("value") ?',
    broken: "session !== undefined ?",
  },
  {
    name: "cli: get calls an entry in a string a key of another program",
    promises: ["C346"],
    rule: 'found.type === "string" && !found.isPlaceholder',
    broken: "false",
  },
  {
    name: "cli: values steer the terminal",
    promises: ["C280"],
    rule: 'shown.split("\\n").map(safe)',
    broken: 'shown.split("\\n")',
  },
];
