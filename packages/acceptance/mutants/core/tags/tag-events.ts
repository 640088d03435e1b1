import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
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
    name: "tags: a forgotten tag counts as never called",
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
    name: "changes: a load from before a tag changed elsewhere is joined",
    promises: ["C41", "C61"],
    rule: "this.#since(this.#changedByNamespace, keySpace.tagPrefixes, changedSince)))",
    broken: "false))",
  },
  {
    name: "changes: copies are not checked after a tag changed elsewhere",
    promises: ["C67", "C81"],
    rule: "changed(keys: readonly string[]): void {\n    this.sequence += 1;",
    broken: "changed(keys: readonly string[]): void {",
  },
  {
    name: "changes: a copy promoted while a tag changed is not checked",
    promises: ["C61", "C81"],
    rule: "if (entry.tagSequence === this.sequence) return entry;",
    broken:
      "if (entry.tagSequence === this.sequence) return entry;\n    if (!this.wasCalled(entry.dependsOn, entry.tagSequence)) entry.tagSequence = this.sequence;",
  },
];
