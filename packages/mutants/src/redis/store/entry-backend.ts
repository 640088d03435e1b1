import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: copies of answers by replicas are kept in the local tier",
    promises: ["A44"],
    rule: "else if (hold.link.readsFromReplicas === true) this.readsLag = true;",
    broken: "",
  },
];
