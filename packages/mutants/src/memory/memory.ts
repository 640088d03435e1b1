import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "memory: a value larger than maxEntryBytes is kept",
    promises: ["C102"],
    rule: "ofValue > this.#maxEntryBytes || size",
    broken: "size",
  },
  {
    name: "memory: an ended entry stays until it is read",
    promises: ["C106"],
    rule: "if (entry.deadAt > now) return entry.deadAt;",
    broken: "return Infinity;",
  },
  {
    name: "memory: compressed bytes are counted",
    promises: ["C188"],
    rule: "entry.uncompressedBytes ?? entry.encodedBytes",
    broken: "entry.encodedBytes",
  },
  {
    name: "memory: bytes are not bounded by default",
    promises: ["C212"],
    rule: "if (given === Infinity) return undefined;",
    broken: "if (given === Infinity || given === undefined) return undefined;",
  },
];
