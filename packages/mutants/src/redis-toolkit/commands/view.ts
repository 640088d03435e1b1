import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a tenant of a tenant falls back to all keys",
    promises: ["C370"],
    rule: "how: options.fallback, outside: this.#space }",
    broken: "how: options.fallback, outside: KeySpace.root }",
  },
  {
    name: "toolkit: a key that is moved in its last millisecond has no end",
    promises: ["A37"],
    rule: "leftMs === -2 || leftMs === 0",
    broken: "leftMs === -2",
  },
];
