import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: an id above 64 bits is sent",
    promises: ["A50"],
    rule: "BigInt(digits) <= LARGEST",
    broken: "BigInt(digits) >= 0n",
  },
];
