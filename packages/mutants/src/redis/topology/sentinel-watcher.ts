import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: each connection to a primary watches the sentinels",
    promises: ["C225"],
    rule: "if (!this.#isListening) {",
    broken: "if (this.#watched.size > 0) {",
  },
  {
    name: "redis: over RESP2 a subscribed connection asks a sentinel",
    promises: ["C225"],
    rule: "sentinel.settings.protocol === 3",
    broken: "sentinel.settings.protocol !== undefined",
  },
  {
    name: "redis: a sentinel that contradicts the others is believed again and again",
    promises: ["C326"],
    rule: 'if (this.#endOthers(named)) throw new Error("it names another primary than the other sentinels");',
    broken: "if (this.#endOthers(named)) return;",
  },
  {
    name: "redis: the watcher of the sentinels outlives its connection",
    promises: ["C225"],
    rule: "    this.#closing.abort();\n    this.#cancelNext();\n    this.#subscriber?.session.destroy();\n",
    broken: "",
  },
];
