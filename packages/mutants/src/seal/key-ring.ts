import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "seal: the last key seals",
    promises: ["C153"],
    rule: "this.first = ring[0]!;",
    broken: "this.first = ring.at(-1)!;",
  },
  {
    name: "seal: only the first key opens",
    promises: ["C153"],
    rule: "const key = this.#keys.get(id);",
    broken: "const key = this.first.id === id ? this.first : undefined;",
  },
  {
    name: "seal: text that is not a key is cut to one",
    promises: ["C153"],
    rule: 'typeof given === "string" && !BASE64_KEY.test(given)',
    broken: "given === undefined",
  },
];
