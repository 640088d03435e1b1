import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a confirmation has two deadlines",
    promises: ["C132"],
    rule: 'if (reply === null) return new Further(["HLEN"]);',
    broken:
      'if (reply === null) return this.#send(["HLEN"], key, (count) => (count === 0 ? "" : NO_VERSION)) as never;',
  },
  {
    name: "redis: a lease that is asked for again has another deadline",
    promises: ["C132"],
    rule: "new Further([token, life, answer, flag(reply[1] === 0 || reply[1] === 1)])",
    broken: "(this.acquire(key, token, leaseMs, answer) as never)",
  },
  {
    name: "redis: an entry in its last millisecond is loaded over",
    promises: ["C52"],
    rule: "flag(reply[1] === 0 || reply[1] === 1)",
    broken: "flag(false)",
  },
];
