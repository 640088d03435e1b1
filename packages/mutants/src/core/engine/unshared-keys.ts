import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "not shared: a tag call does not end it",
    promises: ["C452"],
    rule: " && !this.#tags.wasCalled(found.dependsOn, found.tagSequence)",
    broken: "",
  },
];
