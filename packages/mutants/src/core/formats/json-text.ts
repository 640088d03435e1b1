import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "json: a name before a space is taken for text",
    promises: ["C141"],
    rule: "while (bytes[at]! <= SPACE) at++;",
    broken: "",
  },
  {
    name: "json: an escaped quote ends a text",
    promises: ["C141"],
    rule: "bytes[at] === BACKSLASH ? 2 : 1",
    broken: "1",
  },
  {
    name: "json: a walk of large JSON does not see its depth",
    promises: ["C142"],
    rule: "if (depth === MAX_DEPTH) return undefined;\n        heap.array(1);",
    broken: "heap.array(1);",
  },
  {
    name: "json: a bracket after any comma takes the level of the last",
    promises: ["C337"],
    rule: "return last === BRACE_END || last === BRACKET_END;",
    broken: "return !Number.isNaN(last);",
  },
  {
    name: "json: each bracket counts as a level",
    promises: ["C337"],
    rule: "if (text.charCodeAt(at - 1) !== COMMA) return false;",
    broken: "if (text.charCodeAt(at - 1) !== at) return false;",
  },
];
