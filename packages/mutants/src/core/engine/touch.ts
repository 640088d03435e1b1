import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "touch: a stale entry is revived",
    promises: ["C174"],
    rule: "if (!isFresh(entry, now)) return undefined;",
    broken: "if (entry === undefined || now >= entry.deadAt) return undefined;",
  },
  {
    name: "touch: an entry that changed after it was read is overwritten",
    promises: ["C174"],
    rule: "if (answer.seen === version && !isOvertaken()) return true;",
    broken: "return true;",
  },
  {
    name: "touch: without leases a change elsewhere is undone",
    promises: ["C174"],
    rule: " || (remote.leases === undefined && guard.isTainted)",
    broken: "",
  },
  {
    name: "touch: the value seems to be loaded anew",
    promises: ["C174"],
    rule: "ttlMs: ttlMs + ageMs",
    broken: "ttlMs",
  },
  {
    name: "broken tiers: touch hides the error of a local tier",
    promises: ["C353"],
    rule: " || !(error instanceof CacheError)) throw error;",
    broken: ") throw error;",
  },
  {
    name: "touch: the lease of one that failed is kept",
    promises: ["C355"],
    rule: "void leases.release(key, token).catch(ignore);\n      throw error;",
    broken: "throw error;",
  },
  {
    name: "touch: an entry of unknown age seems to be loaded now",
    promises: ["C406"],
    rule: "entry.ttlMs === Infinity ? Infinity : lifeOf(entry, now).ageMs",
    broken: "lifeOf(entry, now).ageMs",
  },
  {
    name: "refusals: a touch that is taken starts no replay",
    promises: ["C438"],
    rule: "recovery?.tookWrite();",
    broken: "",
  },
];
