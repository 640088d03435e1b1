import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "memory: more entries than maxEntries",
    promises: ["C102"],
    rule: "max: maxEntries,",
    broken: "max: maxEntries + 1,",
  },
  {
    name: "memory: more bytes than maxBytes",
    promises: ["C102"],
    rule: "{ maxSize: maxBytes }",
    broken: "{ maxSize: Number.MAX_SAFE_INTEGER }",
  },
  {
    name: "memory: an object that has grown keeps its old size",
    promises: ["C103"],
    rule: "if (this.#cache.peek(key) === entry) this.#cache.delete(key);",
    broken: "",
  },
];
