import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a burst of which a part was executed is sent to another node",
    promises: ["C220"],
    rule: "return wasInside && isInside;",
    broken: "return true;",
  },
  {
    name: "redis: ASKING is queued inside of a transaction",
    promises: ["C220"],
    rule: 'if (!isInside) sent.push(["ASKING"]);',
    broken: 'sent.push(["ASKING"]);',
  },
];
