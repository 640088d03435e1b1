import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: of two names of one setting that differ the first counts",
    promises: ["A3"],
    rule: "if (first !== undefined && first.value !== value)",
    broken: "if (false)",
  },
  {
    name: "toolkit: the file counts more than the variables of the process",
    promises: ["A3"],
    rule: "[file === false ? {} : readFile(file), variables]",
    broken: "[variables, file === false ? {} : readFile(file)]",
  },
  {
    name: "toolkit: a service link of Kubernetes is any wrong port",
    promises: ["A2"],
    rule: "if (/^(?:tcp|udp|sctp):\\/\\//.test(text))",
    broken: "if (false)",
  },
];
