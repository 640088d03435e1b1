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
    rule: 'else if (each.phase === "reading") each.taint();',
    broken: "",
  },
  {
    name: "fence: a stored load fences those that began after it",
    promises: ["C11", "C60"],
    rule: "|| each.serial >= stored.serial) continue;",
    broken: "|| each === stored) continue;",
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
    rule: "(each.epoch === this.#trust.epoch &&",
    broken: "(each.epoch >= 0 &&",
  },
  {
    name: "trust: a load without the backend is shared for any time, also while changes may be on their way",
    promises: ["C86"],
    rule: "(each.isUnreachable && this.#trust.epochOf(localKey).until === -Infinity) ||",
    broken: "each.isUnreachable ||",
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
    rule: 'if (each.hasBegunToLoad) each.fence("set");',
    broken: 'if (each.hasBegunToLoad || each.phase === "reading") each.fence("set");',
  },
  {
    name: "lease: a stored load fences older calls that load after it",
    promises: ["C52"],
    rule: 'if (each.hasBegunToLoad) each.fence("set");',
    broken: 'each.fence("set");',
  },
  {
    name: "fence: an entry that a stored load replaced is served as fallback by an older call",
    promises: ["C26"],
    rule: "each.dropFallback();",
    broken: "",
  },
];
