import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the reply to a command that a client sent again over its next connection counts",
    promises: ["C91"],
    rule: 'if (epoch !== this.#epoch) throw new Error("the client has reconnected meanwhile");',
    broken: "",
  },
  {
    name: "redis: why a client of the user is not connected shows its password",
    promises: ["C145"],
    rule: "conceal(error, secretsOf(client));",
    broken: "",
  },
];
