import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "msgpack: buffers take their bytes alone",
    promises: ["C141"],
    rule: "this.heap?.add(BUFFER_BYTES + byteLength);",
    broken: "this.heap?.add(byteLength);",
  },
  {
    name: "msgpack: an index in a small value is a name like others",
    promises: ["C141"],
    rule: "byte > NINE && byte < 0xc0;",
    broken: "byte < 0xc0;",
  },
  {
    name: "msgpack: a name is looked at as far as it claims",
    promises: ["C400"],
    rule: "if (end >= bytes.length) throw cutShort();",
    broken: "",
  },
  {
    name: "msgpack: a short name may be __proto__",
    promises: ["C403"],
    rule: "isShortText(token) && token !== PROTO_TOKEN",
    broken: "isShortText(token)",
  },
  {
    name: "msgpack: a short name may end after the bytes",
    promises: ["C403"],
    rule: "mayBeUsual(name) && end < length &&",
    broken: "mayBeUsual(name) &&",
  },
  {
    name: "msgpack: positions may leave 32 bits",
    promises: ["C400"],
    rule: "if (bytes.byteLength > MAX_BYTES)",
    broken: "if (false)",
  },
  {
    name: "msgpack: names in an overlong form are read",
    promises: ["C141"],
    rule: "byte === 0xc0 || byte === 0xc1 ||",
    broken: "",
  },
  {
    name: "msgpack: arrays may be one level deeper on reading",
    promises: ["C142"],
    rule: "depth >= MAX_DEPTH && !(isMark && depth === MAX_DEPTH)",
    broken: "depth > MAX_DEPTH",
  },
];
