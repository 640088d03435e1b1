import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a script that the server has forgotten is an error",
    promises: ["A86"],
    rule: 'if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;',
    broken: "throw error;",
  },
  {
    name: "toolkit: a command that waits runs on the shared connection",
    promises: ["A20"],
    rule: "if (blockMs !== undefined)\n      return",
    broken: "if (false)\n      return",
  },
  {
    name: "toolkit: a script of a pipeline runs behind the others where it is not known",
    promises: ["C399"],
    rule: "if (script === undefined || invocations.length === 1) return this.run(invocation);",
    broken: "if (script !== null) return this.run(invocation);",
  },
];
