import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: an error whose message is an object is taken for text",
    promises: ["C368"],
    rule: 'typeof text === "string" ? text : `a value of type ${typeof text}`',
    broken: "(text as string)",
  },
];
