import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: volatile policies are taken to remove keys without an end",
    promises: ["C277"],
    rule: '(policy.startsWith("allkeys") ||',
    broken: '(policy !== "noeviction" ||',
  },
  {
    name: "cli: a server without an append-only file is taken for a durable one",
    promises: ["C277"],
    rule: 'info.text("aof_enabled") === "0"',
    broken: 'info.text("aof_enabled") === "no"',
  },
  {
    name: "cli: keys that must have an end are counted with those of other programs",
    promises: ["C277"],
    rule: 'known?.ends === "always"',
    broken: 'known?.ends === "never"',
  },
];
