import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: carried texts replace fields of the caller",
    promises: ["C287"],
    rule: "(names.has(pair[0]) ? [] : pair)",
    broken: "pair",
  },
];
