import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: an error whose message is an object is taken for text",
    promises: ["C368"],
    rule: 'if (typeof text === "string") return text;',
    broken: "if (text !== undefined) return text as string;",
  },
];
