import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "promotion: get promotes an entry read before a fence",
    promises: ["C62", "C63"],
    rule: " && !guard.isTainted",
    broken: "",
  },
  {
    name: "promotion: get ignores tag calls made during the read",
    promises: ["C62"],
    rule: "const entry = found && tags.hold(found, clock.now());",
    broken: "const entry = found && { ...found, tagSequence: tags.sequence };",
  },
  {
    name: "promotion: get keeps stale entries as well",
    promises: ["C12"],
    rule: "if (isFresh(entry, clock.now()) && !guard",
    broken: "if (!guard",
  },
  {
    name: "recovery: get finds an entry whose invalidation is pending",
    promises: ["C93"],
    rule: "if (entry === undefined || this.#context.recovery?.covers(key, entry.dependsOn) === true) return undefined;",
    broken: "if (entry === undefined) return undefined;",
  },
];
