import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "leases: a lease granted after the deadline is kept",
    promises: ["C55"],
    rule: "asked?.then(({ granted }) => (granted ? leases.release(key.backend, token) : undefined)).catch(ignore);",
    broken: "",
  },
  {
    name: "broken tiers: an answer to a request for a lease that is none is lost in silence",
    promises: ["C367"],
    rule: "return asked.then(checkedAnswer);",
    broken: "return asked;",
  },
  {
    name: "broken tiers: a lease is held elsewhere for no number of milliseconds",
    promises: ["C367"],
    rule: "Number.isFinite(heldForMs)",
    broken: "true",
  },
  {
    name: "broken tiers: a lease that was granted without a version is kept",
    promises: ["C367"],
    rule: "        asked = leases.acquire(key.backend, token, leaseMs, seen, isOver);\n        return asked.then(checkedAnswer);",
    broken:
      "        asked = leases.acquire(key.backend, token, leaseMs, seen, isOver).then(checkedAnswer);\n        return asked;",
  },
  {
    name: "storing: a load that lost its lease removes the newer entry when its own is too large",
    promises: ["C102"],
    rule: "return isHolder ?",
    broken: "return true || isHolder ?",
  },
  {
    name: "aliases: a key that is asked for with the lease alone has no alias",
    promises: ["C81"],
    rule: "aliases?.add(key.backend);",
    broken: "",
  },
  {
    name: "seal: a load is kept although the entry changed",
    promises: ["C154"],
    rule: 'if ((await call(key, () => leases.confirm(key.backend))) !== seen) return "overtaken";',
    broken: "",
  },
];
