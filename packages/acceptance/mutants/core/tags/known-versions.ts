import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "changes: versions are recorded from answers that a message overtook",
    promises: ["C77", "C81"],
    rule: "if (this.#asked.get(tag)!.changeSequence > since) {",
    broken: "if (false) {",
  },
  {
    name: "changes: copies are not checked after a tag version was evicted",
    promises: ["C80"],
    rule: "this.#forgotten();",
    broken: "",
  },
  {
    name: "changes: known versions grow without bound",
    promises: ["C80"],
    rule: "if (this.#versions.size >= MAX_KNOWN && !this.#versions.has(tag)) this.#makeRoom();",
    broken: "",
  },
  {
    name: "tags: what was asked for is remembered for ever",
    promises: ["C80"],
    rule: "{ count: 1, changeSequence: 0 }",
    broken: "{ count: 3, changeSequence: 0 }",
  },
];
