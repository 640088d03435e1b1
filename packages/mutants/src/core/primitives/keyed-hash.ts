import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "keys: every process hashes with the same secret",
    promises: ["C136"],
    rule: "return [bytes.readInt32LE(0), bytes.readInt32LE(4)];",
    broken: "return [1, 2 * bytes.length];",
  },
];
