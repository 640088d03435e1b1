import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "trust: has no end",
    promises: ["C86"],
    rule: "return this.#isAttached ? provenAt + this.#maxStalenessMs : -Infinity;",
    broken: "return this.#isAttached ? Infinity : -Infinity;",
  },
  {
    name: "trust: the loss of the link does not end it",
    promises: ["C86"],
    rule: "epoch.until = -Infinity;\n      this.#parts.delete(each);",
    broken: "",
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
    rule: "return now - beganAt < this.#maxStalenessMs || now < this.epochOf(localKey).until;",
    broken: "return true;",
  },
  {
    name: "trust: no load is joined while the subscription is lost",
    promises: ["C86"],
    rule: "return now - beganAt < this.#maxStalenessMs || now < this.epochOf(localKey).until;",
    broken: "return now < this.epochOf(localKey).until;",
  },
  {
    name: "trust: the loss of one part is a loss of all",
    promises: ["C165"],
    rule: "if (name !== undefined && each !== name) continue;",
    broken: "",
  },
  {
    name: "trust: copies of a lost part are trusted again when it is back",
    promises: ["C165"],
    rule: "part.epoch = { until };",
    broken: "part.epoch.until = until;",
  },
  {
    name: "trust: copies from before a suspension are served after the next sign of life",
    promises: ["C250"],
    rule: "      part.epoch = { until: -Infinity };\n      // Not -Infinity",
    broken: "      // Not -Infinity",
  },
];
