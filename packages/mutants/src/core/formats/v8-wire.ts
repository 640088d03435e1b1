import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "v8: holes take no memory",
    promises: ["C141"],
    rule: "this.#certainly().array(length);",
    broken: "this.#certainly().array(0);",
  },
  {
    name: "v8: an index in UTF-16 is a name",
    promises: ["C141"],
    rule: "indexIn(this.#bytes, from, end, unitBytes)",
    broken: "indexIn(this.#bytes, from, end, 1)",
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
    rule: "Math.max(byteLength, this.#number(at))",
    broken: "this.#number(at) * 0",
  },
  {
    name: "v8: __proto__ is looked for only after a length of one byte",
    promises: ["C401"],
    rule: "byteLength === PROTO.length * unitBytes &&",
    broken: "byteLength === PROTO.length * unitBytes && this.#bytes[at]! < 0x80 &&",
  },
  {
    name: "v8: a short name may be __proto__",
    promises: ["C401"],
    rule: "byteLength < 0x80 && byteLength !== PROTO.length &&",
    broken: "byteLength < 0x80 &&",
  },
  {
    name: "v8: an index in a small value is a name like others",
    promises: ["C141"],
    rule: "bytes[at + 2]! > NINE;",
    broken: "bytes[at + 2]! > 0;",
  },
  {
    name: "v8: an integer of four bytes ends after three",
    promises: ["C403"],
    rule: "at = this.#afterNumber(at - 3) | 0;",
    broken: "at = this.heap === undefined ? at : this.#afterNumber(at - 3) | 0;",
  },
  {
    name: "v8: positions may leave 32 bits",
    promises: ["C400"],
    rule: 'if (bytes.byteLength > MAX_BYTES) return "it is longer than 2 GB";',
    broken: "",
  },
];
