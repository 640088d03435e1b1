import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "freshness: a boundary instant belongs to the earlier state",
    promises: ["C21", "C22"],
    rule: "if (now < entry.staleAt) return now",
    broken: "if (now <= entry.staleAt) return now",
  },
  {
    name: "freshness: the last instant of staleWhileRevalidate belongs to it",
    promises: ["C22"],
    rule: "if (now < entry.staleAt + shorter",
    broken: "if (now <= entry.staleAt + shorter",
  },
  {
    name: "freshness: an entry lives to the end of its last instant",
    promises: ["C21", "C23"],
    rule: "entry === undefined || now >= entry.deadAt",
    broken: "entry === undefined || now > entry.deadAt",
  },
  {
    name: "freshness: stale values are served at once after staleWhileRevalidate",
    promises: ["C22"],
    rule: 'return "fallback";',
    broken: 'return "revalidate";',
  },
  {
    name: "freshness: stale values are served as fallback after staleIfError",
    promises: ["C23", "C25"],
    rule: "now < entry.staleAt + shorter(entry.terms.staleIfErrorMs",
    broken: "now < Infinity + shorter(entry.terms.staleIfErrorMs",
  },
  {
    name: "freshness: a reader cannot shorten the stale windows",
    promises: ["C22", "C25"],
    rule: "Math.min(storedMs, acceptedMs)",
    broken: "storedMs",
  },
  {
    name: "freshness: a reader lengthens the stale windows",
    promises: ["C22", "C25"],
    rule: "Math.min(storedMs, acceptedMs)",
    broken: "acceptedMs",
  },
  {
    name: "freshness: refreshAhead is ignored",
    promises: ["C30"],
    rule: 'aheadAt(entry, windows.refreshAhead) ? "fresh" : "ahead"',
    broken: 'aheadAt(entry, windows.refreshAhead) ? "fresh" : "fresh"',
  },
  {
    name: "freshness: a stale local copy is preferred to a newer one in the backend",
    promises: ["C29"],
    rule: "loadedAt(copy) > loadedAt(stored) ? copy : stored",
    broken: "copy",
  },
  {
    name: "freshness: a copy is preferred to another write that the backend has and that seems older",
    promises: ["C29"],
    rule: "if (stored.version !== undefined && copy.version !== undefined) return stored;",
    broken: "",
  },
  {
    name: "freshness: a copy that seems newer is preferred to the same write as the backend has it now",
    promises: ["C29"],
    rule: "if (stored.version !== undefined && copy.version !== undefined) return stored;",
    broken:
      "if (stored.version !== undefined && copy.version !== undefined && stored.version !== copy.version) return stored;",
  },
  {
    name: "freshness: an infinite copy that a tag made stale counts as loaded just now",
    promises: ["C29", "C406"],
    rule: "ttlMs: entry.ttlMs === Infinity ? Infinity : lifeOf(entry, staleAt).ageMs,\n    staleAt,\n    terms",
    broken: "ttlMs: lifeOf(entry, staleAt).ageMs,\n    staleAt,\n    terms",
  },
  {
    name: "freshness: markStale keeps the end of the life",
    promises: ["C70"],
    rule: "const expiresAt = Math.min(entry.expiresAt, staleAt +",
    broken: "const expiresAt = Math.max(entry.expiresAt, staleAt +",
  },
  {
    name: "freshness: maxAge admits an entry of unknown age",
    promises: ["C214"],
    rule: "(entry.ttlMs === Infinity || loadedAt(entry) <= loadedAfter)",
    broken: "loadedAt(entry) <= loadedAfter",
  },
  {
    name: "freshness: an error brings back what is older than maxAge",
    promises: ["C214"],
    rule: "    !isTooOld(entry, windows) &&\n",
    broken: "",
  },
  {
    name: "freshness: an older copy is preferred to what was marked stale in a backend without versions",
    promises: ["C29"],
    rule: "!isVersioned && copy?.isAlone !== true ? read : newer(read, copy)",
    broken: "false ? read : newer(read, copy)",
  },
  {
    name: "freshness: a forced call that wants the error gets a fresh value",
    promises: ["C448"],
    rule: "    windows.staleIfErrorMs !== 0 &&\n",
    broken: "",
  },
];
