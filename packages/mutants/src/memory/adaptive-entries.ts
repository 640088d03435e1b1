import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "adaptive memory: one entry too many",
    promises: ["C176"],
    rule: "this.#slots.size === this.#bounds.maxEntries",
    broken: "this.#slots.size > this.#bounds.maxEntries",
  },
  {
    name: "adaptive memory: an entry that grows makes no room",
    promises: ["C176"],
    rule: "this.#lists.without(slot, () => this.#makeRoom(size));",
    broken: "void size;",
  },
  {
    name: "adaptive memory: an entry that grows may be evicted for itself",
    promises: ["C177"],
    rule: "this.#lists.without(slot, () => this.#makeRoom(size));",
    broken: "this.#makeRoom(size);",
  },
  {
    name: "adaptive memory: a free slot holds on to its value",
    promises: ["C179"],
    rule: "this.#entries[slot] = undefined;",
    broken: "",
  },
  {
    name: "adaptive memory: shadows are blind to hits",
    promises: ["C178"],
    rule: "if (state >= SAMPLED) this.#showShadows(this.#lists.hashes[slot]!);",
    broken: "",
  },
  {
    name: "adaptive memory: the duel is for ever as large as at its start",
    promises: ["C178"],
    rule: "this.#duel === undefined || capacity > 2 * this.#duel.capacity || 4 * capacity < this.#duel.capacity",
    broken: "this.#duel === undefined",
  },
  {
    name: "adaptive memory: the duel of few entries starts anew again and again",
    promises: ["C178"],
    rule: "const FEWEST_ENTRIES = 32;",
    broken: "const FEWEST_ENTRIES = 1;",
  },
];
