import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "compose: a lease answers with an entry that is to be removed",
    promises: ["C123"],
    rule: "if (lead.isHidden(request.key)) throw unasked(lead.tier.label);",
    broken: "",
  },
  {
    name: "compose: a lease does not wait for the removal of an older entry",
    promises: ["C123"],
    rule: "if (lead.isHidden(request.key)) await lead.recovery.replay();",
    broken: "",
  },
  {
    name: "compose: an entry that comes with a lease is not checked against tag versions",
    promises: ["C125"],
    rule: "entry: await lead.check(request, answer.entry, reads.tagCheckFor(request))",
    broken: "entry: answer.entry",
  },
  {
    name: "compose: a call with a token is answered by near, which grants the lease",
    promises: ["C125"],
    rule: "if (lead === sides.near) return",
    broken: "if (lead !== sides.far) return answer;\n      if (lead === sides.near) return",
  },
  {
    name: "compose: a loaded entry is stored on one side only",
    promises: ["C125"],
    rule: "writes.storeLoaded(key, write, lead, (led) => leases.store(key, led, token, seen))",
    broken: "leases.store(key, write, token, seen)",
  },
];
