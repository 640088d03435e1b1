import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: null takes the default of a part of the address",
    promises: ["C363"],
    rule: "given !== undefined && (given === null || !SHAPES[name].is(given))",
    broken: "given !== undefined && given !== null && !SHAPES[name].is(given)",
  },
];
