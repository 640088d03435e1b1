import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "strings: a suspended machine takes entries for younger",
    promises: ["C316"],
    rule: "Math.max(this.#monotonicMs() - sent.monotonicMs, this.#wallMs() - sent.wallMs)",
    broken: "this.#monotonicMs() - sent.monotonicMs",
  },
  {
    name: "strings: the wall clock of a client counts",
    promises: ["C316"],
    rule: "return serverMs + Math.max(",
    broken: "return this.#wallMs() + 0 * Math.max(",
  },
];
