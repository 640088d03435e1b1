import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "tags: tags that the loader adds late are not checked",
    promises: ["C60", "C77"],
    rule: "store.unchangedSince(at, late)",
    broken: "store.pin(late).then((pinned) => pinned.versions)",
  },
  {
    name: "tags: a missing version hides nothing",
    promises: ["C73"],
    rule: "if (now === undefined || now.hard",
    broken: "if (now === undefined) continue;\n    if (now.hard",
  },
  {
    name: "tags: marking stale removes, in the backend",
    promises: ["C70"],
    rule: 'verdict = "stale";',
    broken: 'return "gone";',
  },
  {
    name: "clear: reaches sibling namespaces",
    promises: ["C78"],
    rule: "tags.length === 0 ? [prefix]",
    broken: "tags.length === 0 ? [keySpace.tagPrefixes[0]!]",
  },
];
