import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: an acknowledgement that failed is forgotten",
    promises: ["C227"],
    rule: "      await this.#send(ids);\n      for (const id of ids) this.#waiting.delete(id);",
    broken: "      for (const id of ids) this.#waiting.delete(id);\n      await this.#send(ids);",
  },
];
