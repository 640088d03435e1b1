import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a pool lends more sockets than its maximum",
    promises: ["C224"],
    rule: "if (this.#inUse < max) {",
    broken: "if (this.#inUse <= max) {",
  },
  {
    name: "redis: a pool lends a socket that a caller has changed",
    promises: ["C224"],
    rule: 'if (reset === "impossible") {',
    broken: "if (reset === undefined) {",
  },
];
