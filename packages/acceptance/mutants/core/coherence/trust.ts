import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "trust: it has no end",
    promises: ["C86"],
    rule: "return this.#isAttached ? this.#provenAt + this.#maxStalenessMs : -Infinity;",
    broken: "return this.#isAttached ? Infinity : -Infinity;",
  },
  {
    name: "trust: the loss of the link has no effect until trust would have ended",
    promises: ["C86"],
    rule: "this.#isAttached = false;\n    this.#provenAt = -Infinity;\n    this.#trust.renew();",
    broken: "this.#trust.renew();",
  },
  {
    name: "trust: copies read before the link was up are served",
    promises: ["C87"],
    rule: "this.#isAttached = true;\n    this.#trust.renew();",
    broken: "this.#isAttached = true;",
  },
  {
    name: "trust: unverified loads are shared without a time limit",
    promises: ["C86"],
    rule: "return now < this.until || now - beganAt < this.#maxStalenessMs;",
    broken: "return true;",
  },
  {
    name: "trust: loads are not shared while the link is down",
    promises: ["C86"],
    rule: "return now < this.until || now - beganAt < this.#maxStalenessMs;",
    broken: "return now < this.until;",
  },
];
