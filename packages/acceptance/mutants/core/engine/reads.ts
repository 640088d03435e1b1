import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "promotion: get promotes what was read before a fence",
    promises: ["C62", "C63"],
    rule: " && !guard.isTainted",
    broken: "",
  },
  {
    name: "promotion: get passes by the tag calls made while it was read",
    promises: ["C62"],
    rule: "const entry = found && tags.applyTo(found, clock.now());",
    broken: "const entry = found && { ...found, tagSequence: tags.sequence };",
  },
  {
    name: "promotion: get keeps what is stale as well",
    promises: ["C12"],
    rule: "if (isFresh(entry, clock.now()) && !guard",
    broken: "if (!guard",
  },
  {
    name: "recovery: get finds what waits to be invalidated",
    promises: ["C93"],
    rule: "if (entry === undefined || this.#context.recovery?.covers(key, entry.dependsOn) === true) return undefined;",
    broken: "if (entry === undefined) return undefined;",
  },
];
