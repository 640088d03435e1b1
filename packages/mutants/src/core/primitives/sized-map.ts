import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "bounds: a key that is set again counts twice",
    promises: ["C96"],
    rule: "if (!this.has(key)) this.#bytes",
    broken: "this.#bytes",
  },
  {
    name: "bounds: what is deleted counts for as long as the process lives",
    promises: ["C96"],
    rule: "if (wasThere) this.#bytes -= bytesOf(key);",
    broken: "",
  },
  {
    name: "bounds: the characters of keys do not count",
    promises: ["C96"],
    rule: "2 * key.length + 128",
    broken: "128",
  },
];
