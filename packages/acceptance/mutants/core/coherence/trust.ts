import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "trust: has no end",
    promises: ["C86"],
    rule: "return this.#isAttached ? this.#provenAt + this.#maxStalenessMs : -Infinity;",
    broken: "return this.#isAttached ? Infinity : -Infinity;",
  },
  {
    name: "trust: the loss of the link does not end it",
    promises: ["C86"],
    rule: "this.#isAttached = false;\n    this.#provenAt = -Infinity;\n    this.#trust.renew();",
    broken: "this.#trust.renew();",
  },
  {
    name: "trust: a copy from before the subscription is served",
    promises: ["C87"],
    rule: "this.#isAttached = true;\n    this.#trust.renew();",
    broken: "this.#isAttached = true;",
  },
  {
    name: "trust: loads are joined for as long as they take, without trust",
    promises: ["C86"],
    rule: "return now < this.until || now - beganAt < this.#maxStalenessMs;",
    broken: "return true;",
  },
  {
    name: "trust: no load is joined while the subscription is lost",
    promises: ["C86"],
    rule: "return now < this.until || now - beganAt < this.#maxStalenessMs;",
    broken: "return now < this.until;",
  },
];
