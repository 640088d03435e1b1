import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "trust: it has no end",
    promises: ["C86"],
    rule: "return this.#isAttached ? this.#provenAt + this.#maxStalenessMs : -Infinity;",
    broken: "return this.#isAttached ? Infinity : -Infinity;",
  },
  {
    name: "trust: the loss of the link changes nothing until it would have ended",
    promises: ["C86"],
    rule: "this.#isAttached = false;\n    this.#provenAt = -Infinity;\n    this.#trust.renew();",
    broken: "this.#trust.renew();",
  },
  {
    name: "trust: what was read before changes are heard is served",
    promises: ["C87"],
    rule: "this.#isAttached = true;\n    this.#trust.renew();",
    broken: "this.#isAttached = true;",
  },
  {
    name: "trust: loads are shared for as long as they take, though nobody vouches for them",
    promises: ["C86"],
    rule: "return now < this.until || now - beganAt < this.#maxStalenessMs;",
    broken: "return true;",
  },
  {
    name: "trust: nobody shares a load while changes are not heard",
    promises: ["C86"],
    rule: "return now < this.until || now - beganAt < this.#maxStalenessMs;",
    broken: "return now < this.until;",
  },
];
