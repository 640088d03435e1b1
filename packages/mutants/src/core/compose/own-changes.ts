import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "compose: a change does not overtake reads",
    promises: ["C124"],
    rule: "each.isOvertaken = true;",
    broken: "each.isOvertaken = false;",
  },
  {
    name: "compose: an entry is copied while its key is changed",
    promises: ["C124"],
    rule: " || this.#queue.has(mark.tableKey)",
    broken: "",
  },
  {
    name: "compose: changes of one key are sent at once",
    promises: ["C123"],
    rule: "return this.#queue.run(backendKey, async () => {",
    broken: "return Promise.resolve().then(async () => {",
  },
  {
    name: "compose: a change is not remembered once it has ended",
    promises: ["C124"],
    rule: "until: this.#clock.now() + this.#nearTtlMs",
    broken: "until: this.#clock.now() - this.#nearTtlMs",
  },
  {
    name: "compose: near is not used again for a key that changed",
    promises: ["C124"],
    rule: "if (change !== undefined) change.version = version;",
    broken: "",
  },
  {
    name: "compose: a change hides near for ever",
    promises: ["C124"],
    rule: " || change.until <= this.#clock.now()",
    broken: "",
  },
  {
    name: "compose: the memory of changes grows without bound",
    promises: ["C124"],
    rule: "if (this.#recent.size > MAX_RECENT)",
    broken: "if (this.#recent.size < 0)",
  },
  {
    name: "compose: an entry that may lag is copied over a change of this process",
    promises: ["C422"],
    rule: "terms.mayLag !== true ||",
    broken: "true ||",
  },
];
