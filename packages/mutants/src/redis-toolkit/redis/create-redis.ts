import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: the connection closes under the modules",
    promises: ["C257"],
    rule: "this.#modules.stop().then(() => this.#connection.close())",
    broken: "this.#connection.close()",
  },
];
