import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "fence: of two sets at once the first to arrive fences the other",
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
    name: "trust: a read in flight when the link was lost is trusted",
    promises: ["C86", "C87"],
    rule: "return !guard.isTainted && guard.epoch === this.#trust.epoch;",
    broken: "return !guard.isTainted;",
  },
  {
    name: "trust: loads from before the link was lost are shared",
    promises: ["C86"],
    rule: "((each.epoch === this.#trust.epoch ||",
    broken: "((each.epoch >= 0 ||",
  },
  {
    name: "trust: an unverified copy is shared with callers that join",
    promises: ["C86"],
    rule: "each.hasCopy ? -Infinity : each.readAt",
    broken: "each.readAt",
  },
  {
    name: "lease: a flight that still reads when an older load is stored loads a result that is not stored",
    promises: ["C52"],
    rule: "if (each instanceof Flight && each.serial > stored.serial) each.taint();\n        else each.fence",
    broken: "each.fence",
  },
];
