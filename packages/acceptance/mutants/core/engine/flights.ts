import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "fence: the first of two concurrent sets to arrive fences the other",
    promises: ["C60", "C94"],
    rule: "if (!(each instanceof WriteGuard)) fenced",
    broken: "fenced",
  },
  {
    name: "fence: a stored load leaves reads to be promoted over it",
    promises: ["C60", "C62"],
    rule: " || !(each instanceof Flight) || each.isReading",
    broken: "",
  },
  {
    name: "fence: a stored load fences those that began after it",
    promises: ["C11", "C60"],
    rule: "each.serial < stored.serial ||",
    broken: "each.serial >= 0 ||",
  },
  {
    name: "joining: a fenced load is joined",
    promises: ["C66"],
    rule: "guard.isJoinable = false;",
    broken: "",
  },
  {
    name: "leases: a change wakes no waiter",
    promises: ["C52"],
    rule: "guard.isJoinable = false;\n  woken(guard);",
    broken: "guard.isJoinable = false;",
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
    name: "trust: loads from before the link was lost are shared while they are stored",
    promises: ["C86"],
    rule: "if (epoch !== this.epoch) this.isJoinable = false;",
    broken: "",
  },
  {
    name: "joining: loads that never leave the process are not shared after a message",
    promises: ["C90"],
    rule: "call.namespace.remote === undefined ? Infinity : tagSequence",
    broken: "tagSequence",
  },
  {
    name: "fence: a delete after a markStale leaves the fallback",
    promises: ["C26"],
    rule: '(guard.fencedBy === "stale" && by !== "lease")',
    broken: "false",
  },
  {
    name: "leases: a flight that still reads when an older load is stored loads again",
    promises: ["C52"],
    rule: "if (each instanceof Flight && each.serial > stored.serial) tainted(each);\n        else fenced",
    broken: "fenced",
  },
];
