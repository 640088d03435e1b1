import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "tags: tags that the loader adds late are not checked",
    promises: ["C60", "C77"],
    rule: "await store.unchangedSince(pinned.at, late)",
    broken: "(await store.pin(late)).versions",
  },
  {
    name: "tags: a missing version counts as a hit",
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
    name: "tags: marking stale removes, in the local tier",
    promises: ["C70"],
    rule: "entry.tagSequence) ? staleByTag(entry, now) : entry;",
    broken: "entry.tagSequence) ? undefined : entry;",
  },
  {
    name: "tags: invalidating leaves a stale value",
    promises: ["C69"],
    rule: "entry.tagSequence)) return undefined;",
    broken: "entry.tagSequence)) return staleByTag(entry, sequence);",
  },
  {
    name: "tags: forgotten calls count as never made",
    promises: ["C80"],
    rule: "this.#floor = this.sequence;",
    broken: "",
  },
  {
    name: "tags: remembered calls grow without bound",
    promises: ["C80"],
    rule: "> MAX_REMEMBERED) this.#forget();",
    broken: "> MAX_REMEMBERED) {}",
  },
  {
    name: "clear: reaches the siblings",
    promises: ["C78"],
    rule: "tags.length === 0 ? [prefix]",
    broken: "tags.length === 0 ? [keySpace.tagPrefixes[0]!]",
  },
  {
    name: "changes: loads from before a tag changed elsewhere are shared",
    promises: ["C41", "C61"],
    rule: "this.#since(this.#heardByNamespace, keySpace.tagPrefixes, heardSince)))",
    broken: "false))",
  },
  {
    name: "changes: copies are not checked against tags that changed elsewhere",
    promises: ["C67", "C81"],
    rule: "heard(keys: readonly string[]): void {\n    this.sequence += 1;",
    broken: "heard(keys: readonly string[]): void {",
  },
  {
    name: "changes: a copy promoted while a tag changed is not checked against it",
    promises: ["C61", "C81"],
    rule: "if (entry.tagSequence === this.sequence) return entry;",
    broken:
      "if (entry.tagSequence === this.sequence) return entry;\n    if (!this.wasCalled(entry.dependsOn, entry.tagSequence)) entry.tagSequence = this.sequence;",
  },
];
