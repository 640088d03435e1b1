import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "storing: every set of one key is sent, overtaken or not",
    promises: ["C137"],
    rule: "this.#status ??= await send(call, encoded);",
    broken: "this.#status = await send(call, encoded);",
  },
  {
    name: "storing: the first of the sets that wait is sent",
    promises: ["C137"],
    rule: "of this.#calls.toReversed())",
    broken: "of this.#calls)",
  },
  {
    name: "storing: the value of an overtaken set is not encoded",
    promises: ["C137"],
    rule: "const encoded = await encode(call.entry.value);",
    broken: "if (this.#status !== undefined) continue;\n        const encoded = await encode(call.entry.value);",
  },
];
