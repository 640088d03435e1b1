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
    rule: "this.#floor = number;",
    broken: "",
  },
  {
    name: "tags: all calls are forgotten at once",
    promises: ["C80"],
    rule: "if (this.#numbers.size <= 0.9 * MAX_REMEMBERED) return;",
    broken: "",
  },
  {
    name: "tags: a tag that is called again is forgotten with its first call",
    promises: ["C80"],
    rule: "this.#numbers.delete(key);\n    this.#numbers.set(key, number);",
    broken: "this.#numbers.set(key, number);",
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
    rule: "return since < this.sequence && this.#changedByNamespace.hasSince(keySpace.tagPrefixes, since);",
    broken: "return false;",
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
      "if (entry.tagSequence === this.sequence) return entry;\n    if (!this.wasCalled(entry.terms.dependsOn, entry.tagSequence)) entry.tagSequence = this.sequence;",
  },
];
