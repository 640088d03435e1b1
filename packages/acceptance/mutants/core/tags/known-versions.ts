import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "changes: versions are learnt from answers that a message has overtaken",
    promises: ["C77", "C81"],
    rule: "if (this.#asked.get(tag)!.changedAt > since) {",
    broken: "if (false) {",
  },
  {
    name: "changes: a tag that is forgotten for want of room counts as known",
    promises: ["C80"],
    rule: "this.#forgotten();",
    broken: "",
  },
  {
    name: "changes: known versions are known without bound",
    promises: ["C80"],
    rule: "if (this.#versions.size >= MAX_KNOWN && !this.#versions.has(tag)) this.#makeRoom();",
    broken: "",
  },
];
