import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a tenant of a tenant falls back to all keys",
    promises: ["C370"],
    rule: "how: options.fallback, outside: this.#space }",
    broken: "how: options.fallback, outside: KeySpace.root }",
  },
];
