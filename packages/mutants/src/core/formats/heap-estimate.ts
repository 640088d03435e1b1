import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "heap: no sum of memory is too much",
    promises: ["C141"],
    rule: "return this.bytes > budget(maxBytes);",
    broken: "return this.bytes > Infinity * budget(maxBytes);",
  },
  {
    name: "heap: objects count nothing",
    promises: ["C141"],
    rule: "this.bytes += OBJECT_BYTES;\n    this.#shapes",
    broken: "this.#shapes",
  },
  {
    name: "heap: a new name counts like a known one",
    promises: ["C141"],
    rule: "this.bytes += NEW_NAME_BYTES + to - from;",
    broken: "this.bytes += SLOT_BYTES;",
  },
  {
    name: "heap: the room that an index claims is not counted",
    promises: ["C141"],
    rule: "SLOT_BYTES * grown",
    broken: "SLOT_BYTES",
  },
  {
    name: "heap: no input is large enough to be walked",
    promises: ["C141", "C142"],
    rule: "byteLength * factor > budget(maxBytes)",
    broken: "byteLength > budget(maxBytes) * factor",
  },
];
