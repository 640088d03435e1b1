import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "keys: braces in the name of a board end its hash tag",
    promises: ["C249"],
    rule: "base: `leaderboard:${moduleOf(redis).space.hashTagged(name)}`,",
    broken: "base: `leaderboard:{${name}}`,",
  },
  {
    name: "keys: windows of a board are not on the page of keys",
    promises: ["C249"],
    rule: "return describe(`${base}:${window.name}`,",
    broken: "return describe(`${base}:of:${window.name}`,",
  },
];
