import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "promotion: get promotes an entry read before a fence",
    promises: ["C62", "C63"],
    rule: "if (isFresh(entry, clock.now())) promote(this.#context, guard, entry, namespace.policy.localTtlMs, clock.now());",
    broken:
      "if (entry !== undefined && isFresh(entry, clock.now()))\n      this.#context.local?.put(key.local, entry, namespace.policy.localTtlMs ?? Infinity, flights.copyEpoch(guard));",
  },
  {
    name: "promotion: get ignores tag calls made during the read",
    promises: ["C62"],
    rule: "const entry = found && tags.applyTo(found, clock.now());",
    broken: "const entry = found && { ...found, tagSequence: tags.sequence };",
  },
  {
    name: "promotion: get keeps stale entries as well",
    promises: ["C12"],
    rule: "if (isFresh(entry, clock.now())) promote(this.#context, guard, entry, namespace.policy.localTtlMs, clock.now());",
    broken:
      "if (entry !== undefined && !guard.isTainted)\n      this.#context.local?.put(key.local, entry, namespace.policy.localTtlMs ?? Infinity, flights.copyEpoch(guard));",
  },
  {
    name: "recovery: get finds an entry whose invalidation is pending",
    promises: ["C93"],
    rule: " || recovery?.hides(key, entry) === true)",
    broken: ")",
  },
  {
    name: "getMany: a copy that ends while other keys are read counts as absent",
    promises: ["C114"],
    rule: "return answers;\n  }\n\n  /** One trip",
    broken:
      "return answers.map((answer, i) =>\n" +
      "      asked.some(({ index }) => index === i) || local?.get(keys[i]!.local, clock.now()) ? answer : undefined,\n" +
      "    );\n  }\n\n  /** One trip",
  },
  {
    name: "not shared: a marker is a value",
    promises: ["C453"],
    rule: "entry === undefined || entry.terms.marker !== undefined ||",
    broken: "entry === undefined ||",
  },
];
