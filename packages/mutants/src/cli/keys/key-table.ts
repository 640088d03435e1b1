import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cli: keys of tenants are those of another program",
    promises: ["C276"],
    rule: 'const TENANT = "^(?<tenant>(?:[\\\\w.%-]+:)?)";',
    broken: 'const TENANT = "^(?<tenant>)";',
  },
  {
    name: "cli: a long key of rate limits is looked at from each of its parts",
    promises: ["C276"],
    rule: "rate_limit:(?<owner>[^{}]+):",
    broken: "rate_limit:(?<owner>.+?):",
  },
];
