import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "v8: holes take no memory",
    promises: ["C141"],
    rule: "heap.array(length);",
    broken: "heap.array(0);",
  },
  {
    name: "v8: an index in UTF-16 is a name",
    promises: ["C141"],
    rule: "this.#at, tag === 0x63 ? 2 : 1)",
    broken: "this.#at, 1)",
  },
  {
    name: "v8: values of any depth are read and written",
    promises: ["C142"],
    rule: "if (depth === MAX_DEPTH) throw new Unsafe(tooDeep);",
    broken: "",
  },
  {
    name: "v8: buffers that can grow take no memory",
    promises: ["C141"],
    rule: "Math.max(byteLength, this.#varint())",
    broken: "this.#varint() * 0",
  },
];
