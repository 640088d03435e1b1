import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: errors with what they quote are on the channel of commands",
    promises: ["C262"],
    rule: "COMMANDS.publish({ operation, client, durationMs, code } satisfies CommandEvent);",
    broken: "COMMANDS.publish({ operation, client, durationMs, code, error });",
  },
  {
    name: "toolkit: a command that failed has no code",
    promises: ["C262"],
    rule: 'error === undefined ? undefined : error instanceof CacheError ? error.code : "UNKNOWN"',
    broken: "undefined",
  },
  {
    name: "toolkit: all commands have ended when the first one did",
    promises: ["C262"],
    rule: "  setImmediate(endTurn);\n",
    broken: "",
  },
  {
    name: "toolkit: all commands have begun when the first one did",
    promises: ["C342"],
    rule: "  void NOW.then(endBurst);\n",
    broken: "",
  },
  {
    name: "toolkit: each command that is observed looks at the clock",
    promises: ["A90"],
    rule: "  if (burstAt !== undefined) return burstAt;\n",
    broken: "",
  },
];
