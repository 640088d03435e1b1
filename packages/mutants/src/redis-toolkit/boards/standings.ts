import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "boards: equal scores have different ranks",
    promises: ["A84"],
    rule: 'if (this.#ranks !== "ordinal" && before.score === score) return before.rank;',
    broken: "",
  },
  {
    name: "boards: a bigint is rounded in silence",
    promises: ["A84"],
    rule: "if (BigInt(Number.isFinite(Number(score)) ? Number(score) : 0) === score)",
    broken: "if (Number.isFinite(Number(score)))",
  },
];
