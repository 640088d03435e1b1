import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: an address that resolveAddress refuses is used",
    promises: ["C147"],
    rule: "if (resolved === undefined)\n    return refuse(",
    broken: "if (resolved === undefined) return { host, port };\n  if (resolved === null)\n    return refuse(",
  },
];
