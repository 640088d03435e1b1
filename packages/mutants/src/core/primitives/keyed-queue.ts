import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "storing: writes of one key overtake each other",
    promises: ["C64"],
    rule: "before === undefined ? begin() : before",
    broken: "true ? begin() : before!",
  },
  {
    name: "close: it does not wait for the confirmation of what it has waited for",
    promises: ["C117"],
    rule: "    await Promise.allSettled(this.#others);\n",
    broken: "",
  },
];
