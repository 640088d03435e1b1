import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "fence: the first of two concurrent sets to arrive fences the other",
    promises: ["C60", "C94"],
    rule: "if (!(each instanceof WriteGuard)) each.fence(by);",
    broken: "each.fence(by);",
  },
  {
    name: "fence: a stored load leaves reads to be promoted over it",
    promises: ["C60", "C62"],
    rule: ' || !(each instanceof Flight) || each.phase === "reading"',
    broken: "",
  },
  {
    name: "fence: a stored load fences those that began after it",
    promises: ["C11", "C60"],
    rule: "each.serial < stored.serial ||",
    broken: "each.serial >= 0 ||",
  },
  {
    name: "trust: reads and loads pending when the link was lost are trusted",
    promises: ["C86", "C87"],
    rule: "return !guard.isTainted && guard.epoch === this.#trust.epoch;",
    broken: "return !guard.isTainted;",
  },
  {
    name: "trust: loads from before the link was lost are shared",
    promises: ["C86"],
    rule: "(each.epoch === this.#trust.epoch &&\n            (each",
    broken: "(true && (each",
  },
  {
    name: "trust: an unverified copy is served as fallback to joining callers",
    promises: ["C86"],
    rule: "each.hasCopy ? -Infinity : each.readAt",
    broken: "each.readAt",
  },
  {
    name: "lease: who still looks when an older load is stored loads for nothing",
    promises: ["C52"],
    rule: "if (each instanceof Flight && each.serial > stored.serial) each.taint();\n        else each.fence",
    broken: "each.fence",
  },
];
