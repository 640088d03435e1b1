import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "streams: the tag of dead letters leaves out the tenant",
    promises: ["A52"],
    rule: "  return `{${whole}}:dead`;",
    broken: "  return `{${key}}:dead`;",
  },
  {
    name: "streams: a server that evicts is not refused",
    promises: ["C229"],
    rule: "if (this.#requireNoEviction) return",
    broken: "if (false) return",
  },
];
