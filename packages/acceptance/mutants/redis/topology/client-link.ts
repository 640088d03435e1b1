import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a command that a client sends again over its next connection counts as answered",
    promises: ["C91"],
    rule: 'if (epoch !== this.#epoch) throw new Error("the client has reconnected meanwhile");',
    broken: "",
  },
];
