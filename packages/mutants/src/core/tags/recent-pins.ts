import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "tags: without reported changes each load pins",
    promises: ["C469"],
    rule: "return { at: this.#at, versions };",
    broken: "return undefined;",
  },
  {
    name: "tags: pins without reported changes last for ever",
    promises: ["C469"],
    rule: "if (this.#clock.now() - this.#since >= REPIN_MS) return undefined;",
    broken: "",
  },
  {
    name: "tags: a changed version that a read finds is pinned no sooner",
    promises: ["C469"],
    rule: "if (isChanged) this.#forget();",
    broken: "",
  },
  {
    name: "tags: a pin from before a renewal here is remembered",
    promises: ["C469"],
    rule: "if (sequence === this.#changeSequence) this.#remember",
    broken: "this.#remember",
  },
  {
    name: "tags: late tags are refused for a second after a renewal elsewhere",
    promises: ["C469"],
    rule: "if (versions.includes(undefined)) this.#forget();",
    broken: "",
  },
];
