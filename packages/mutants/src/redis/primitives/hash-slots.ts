import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "cluster: a redirection to a host without a name is followed to its placeholder",
    promises: ["C410"],
    rule: "host: hostOf(match[3]!, replier),",
    broken: 'host: match[3] === "" ? replier.host : match[3]!,',
  },
];
