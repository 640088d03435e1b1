import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a script that the server has forgotten is an error",
    promises: ["A86"],
    rule: 'if (script === undefined || !(error instanceof Error) || !error.message.startsWith("NOSCRIPT"))',
    broken: "if (true)",
  },
];
