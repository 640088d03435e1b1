import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "compose: the leases are those of near",
    promises: ["C125"],
    rule: "[far, near].find(",
    broken: "[near, far].find(",
  },
  {
    name: "compose: a call fails when one side fails",
    promises: ["C122"],
    rule: "if (values.length !== 0) return values;",
    broken: "if (values.length === outcomes.length) return values;",
  },
  {
    name: "compose: the causes of both failures are lost",
    promises: ["C122"],
    rule: "cause: new AggregateError(causes, `${operation} failed in both backends`),",
    broken: "cause: causes[0],",
  },
  {
    name: "compose: close does not wait for the slower side",
    promises: ["C123"],
    rule: "this.#background.add(running);",
    broken: "",
  },
];
