import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "recovery: a replay leaves the copies of a set that was under way",
    promises: ["C93"],
    rule: "key: (key) => later.mutations.replayed(key),",
    broken: "key: () => undefined,",
  },
];
