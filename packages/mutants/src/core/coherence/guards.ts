import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "fence: a delete after a markStale leaves the fallback",
    promises: ["C26"],
    rule: '(this.#fencedBy === "stale" && by !== "lease")',
    broken: "false",
  },
  {
    name: "fence: a load that waited is older than what its own process stored meanwhile",
    promises: ["C52"],
    rule: "this.#serial = nextSerial();",
    broken: "",
  },
];
