import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "reissue: invalidations from before the window are issued again",
    promises: ["C93"],
    rule: "[...all.values()].filter(({ issuedAt }) => issuedAt >= since);",
    broken: "[...all.values()];",
  },
  {
    name: "reissue: an overflow is lost",
    promises: ["C96"],
    rule: "overflowed: this.#overflowedAt >= since,\n    }",
    broken: "overflowed: false }",
  },
];
