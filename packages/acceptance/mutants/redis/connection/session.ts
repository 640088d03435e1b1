import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: error replies are cleaned only after node-redis has published them",
    promises: ["C145"],
    rule: "    conceal(error, secrets);\n    onErrorReply(error);",
    broken: "    onErrorReply(error);",
  },
];
