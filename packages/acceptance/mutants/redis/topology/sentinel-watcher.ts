import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: each connection to a primary watches the sentinels",
    promises: ["C225"],
    rule: "if (this.#listening === undefined) {",
    broken: "if (this.#watched.size > 0) {",
  },
  {
    name: "redis: over RESP2 a subscribed connection asks a sentinel",
    promises: ["C225"],
    rule: "sentinel.settings.protocol === 3",
    broken: "sentinel.settings.protocol !== undefined",
  },
];
