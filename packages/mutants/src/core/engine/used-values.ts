import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "inherit: tags count by their versions of now, and not by those of the value",
    promises: ["C455"],
    rule: 'return isOther ? "fenced" : this',
    broken: "return this",
  },
  {
    name: "inherit: a value without versions counts as current",
    promises: ["C455"],
    rule: 'this.#hasUnversioned ? "unreachable" : undefined',
    broken: "undefined",
  },
  {
    name: "inherit: of two values with different versions of a tag the last one counts",
    promises: ["C455"],
    rule: '=== "current" ? version : NO_VERSION',
    broken: '=== "current" ? version : version',
  },
  {
    name: "inherit: tags of another cache",
    promises: ["C454"],
    rule: "if (made === undefined || owner !== this.#owner) return;",
    broken: "if (made === undefined) return;",
  },
  {
    name: "inherit: a value that is stored nowhere limits nothing",
    promises: ["C454"],
    rule: "made === undefined ? 0 :",
    broken: "made === undefined ? Infinity :",
  },
  {
    name: "inherit: instants of another cache are those of this one",
    promises: ["C454"],
    rule: "made.staleAt - wholeInstant(owner.clock.now())",
    broken: "made.staleAt - wholeInstant(this.#owner.clock.now())",
  },
];
