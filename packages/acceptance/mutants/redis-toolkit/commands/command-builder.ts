import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: keepTtl sets a key that is absent, for ever",
    promises: ["A25"],
    rule: 'args.push("KEEPTTL", "XX")',
    broken: 'args.push("KEEPTTL")',
  },
  {
    name: "toolkit: a hash gets no life",
    promises: ["A28"],
    rule: 'if (life === "0")',
    broken: "if (life.length > 0)",
  },
  {
    name: "toolkit: the keys of a script have no prefix",
    promises: ["A86"],
    rule: 'const inside = keys.map((key) => space.inside(checkKey("script", key)));',
    broken: 'const inside = keys.map((key) => checkKey("script", key));',
  },
];
