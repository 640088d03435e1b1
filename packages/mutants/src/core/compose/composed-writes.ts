import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "compose: a written copy in near lives as long as its entry",
    promises: ["C121"],
    rule: "{ entry: endingBy(entry, clock.now() + plan.nearTtlMs), encoded: near, versions }",
    broken: "{ entry, encoded: near, versions }",
  },
  {
    name: "compose: a side that missed a write keeps its older entry",
    promises: ["C123"],
    rule: "side.recovery.addKey(key);",
    broken: "",
  },
  {
    name: "compose: a write that a side took leaves a removal pending",
    promises: ["C123"],
    rule: "else if (isTaken) side.recovery.forgetKey(key);",
    broken: "",
  },
  {
    name: "compose: a race is answered before the slower side is hidden",
    promises: ["C123"],
    rule: "sides.otherOf(side).late.add(key.backend);",
    broken: "",
  },
  {
    name: "compose: a race ends with a refusal",
    promises: ["C123"],
    rule: ' && status !== "refused") answer',
    broken: ") answer",
  },
  {
    name: "compose: a race waits for both sides",
    promises: ["C123"],
    rule: 'if (plan.write === "race" && ',
    broken: "if (false as boolean && ",
  },
  {
    name: "compose: an overtaken load is stored on the other side",
    promises: ["C125"],
    rule: '(status === "overtaken" ? status : sendTo(other))',
    broken: "sendTo(other)",
  },
  {
    name: "compose: a removal that one side missed is done",
    promises: ["C123"],
    rule: 'for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;',
    broken: "",
  },
  {
    name: "compose: a removal leaves an earlier one pending",
    promises: ["C123"],
    rule: "side.recovery.forgetKey(key);\n      return status;",
    broken: "return status;",
  },
  {
    name: "compose: markStale brings back an entry that is to be removed",
    promises: ["C123"],
    rule: "side === near || side.recovery.covers(key, key.space.tagPrefixes)",
    broken: "side === near",
  },
  {
    name: "compose: markStale leaves the copy in near",
    promises: ["C123"],
    rule: "side === near || ",
    broken: "",
  },
  {
    name: "compose: a value that one side cannot write is lost there in silence",
    promises: ["C354"],
    rule: "side.failed(key, outcome.reason);",
    broken: "",
  },
];
