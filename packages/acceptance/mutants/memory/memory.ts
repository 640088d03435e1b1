import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "memory: more entries than maxEntries",
    promises: ["C102"],
    rule: "max: limits.maxEntries,",
    broken: "max: limits.maxEntries + 1,",
  },
  {
    name: "memory: more bytes than maxBytes",
    promises: ["C102"],
    rule: "{ maxSize: limits.maxBytes }",
    broken: "{ maxSize: Number.MAX_SAFE_INTEGER }",
  },
  {
    name: "memory: a value larger than maxEntryBytes is kept",
    promises: ["C102"],
    rule: "ofValue > this.#maxEntryBytes || size",
    broken: "size",
  },
  {
    name: "memory: an object that has grown keeps its old size",
    promises: ["C103"],
    rule: "if (this.entries.peek(key) === entry) this.entries.delete(key);",
    broken: "",
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
