import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a slow reader keeps every message",
    promises: ["A47"],
    rule: "if (this.#messages >= buffer)",
    broken: "if (false)",
  },
  {
    name: "toolkit: a message that cannot be read ends the loop",
    promises: ["A48"],
    rule: "        this.corrupt += 1;\n",
    broken: "        return this.return();\n",
  },
  {
    name: "toolkit: a subscription that overflowed before it was confirmed stays at the server",
    promises: ["A47"],
    rule: "if (this.#ended !== undefined) this.#ended = end();",
    broken: "",
  },
  {
    name: "toolkit: two readers of a subscription wake one",
    promises: ["A47"],
    rule: "this.#turn.then(() => this.#take())",
    broken: "this.#take()",
  },
];
