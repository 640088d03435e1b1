import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "keys: any cache uses a backend without a prefix",
    promises: ["C146"],
    rule: "keepsKeys === true)",
    broken: "keepsKeys === true && false)",
  },
];
