import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "leases: none are taken",
    promises: ["C52"],
    rule: "if (leases === undefined || flight.isUnreachable || flight.isAlone) {",
    broken: "if (leases !== undefined || flight.isUnreachable || flight.isAlone) {",
  },
  {
    name: "leases: every request takes the lease over",
    promises: ["C52", "C53"],
    rule: "isForced ? TAKE_OVER : flight.seen,",
    broken: "TAKE_OVER,",
  },
  {
    name: "leases: a forced load waits for its turn",
    promises: ["C11"],
    rule: "isForced ? TAKE_OVER : flight.seen,",
    broken: "flight.seen,",
  },
  {
    name: "leases: no entry that was read is over",
    promises: ["C421", "C424"],
    rule: "fallback.version === seen && now >= fallback.expiresAt",
    broken: "false",
  },
  {
    name: "leases: each entry that was read is over",
    promises: ["C424"],
    rule: "fallback.version === seen && now >= fallback.expiresAt",
    broken: "fallback.version === seen",
  },
  {
    name: "leases: an entry that a tag made stale is over",
    promises: ["C424"],
    rule: "now >= fallback.expiresAt",
    broken: "now >= fallback.staleAt",
  },
  {
    name: "leases: a release without a message wakes no flight of this process",
    promises: ["C52"],
    rule: "release.then(() => flights.wake(flight.key.local), ignore)",
    broken: "release.catch(ignore)",
  },
  {
    name: "leases: close does not wait until one is released",
    promises: ["C117"],
    rule: "void writes.include(release.then(() => flights.wake(flight.key.local), ignore)),",
    broken: "void release.then(() => flights.wake(flight.key.local), ignore),",
  },
  {
    name: "leases: close does not wait for one that is granted late",
    promises: ["C117"],
    rule: "void this.#context.writes.include(\n      acquiring",
    broken: "void Promise.resolve(\n      acquiring",
  },
  {
    name: "leases: an unavailable lease fails the call",
    promises: ["C55"],
    rule: "unreachableBy(error, flight);\n      return { kind",
    broken: "throw error;\n      return { kind",
  },
  {
    name: "leases: one without tag versions is kept",
    promises: ["C56"],
    rule: "||\n      (versions !== undefined && pinned === undefined)",
    broken: "",
  },
  {
    name: "leases: one that was granted to a fenced load is kept",
    promises: ["C56", "C61"],
    rule: "||\n      fencedBy(this.#context, flight, dependencies(flight.key.space, flight.tags)) !== undefined\n    )\n      lease.release();",
    broken: ") lease.release();",
  },
  {
    name: "leases: a first use of a tag keeps callers from sharing its load",
    promises: ["C76"],
    rule: "flight.hearUpTo(tags.sequence);",
    broken: "return;",
  },
  {
    name: "leases: after a failure elsewhere all load at once",
    promises: ["C24"],
    rule: "if (leases === undefined || flight.isUnreachable || flight.isAlone) {",
    broken: "if (leases === undefined || flight.isUnreachable || flight.isAlone || flight.fallback !== undefined) {",
  },
  {
    name: "tags: the items of a batch share their versions, though a caller brought more tags",
    promises: ["C49"],
    rule: "if (shared !== undefined && haveEqualItems(shared.keys, keys))",
    broken: "if (shared !== undefined)",
  },
  {
    name: "joining: a message about a pinned tag hides one about a tag that the loader added",
    promises: ["C433"],
    rule: "if (!tags.hadEvents(others, flight.tagSequence, flight.heardSequence))",
    broken: "",
  },
  {
    name: "not shared: a value that was loaded under a marker is stored over what came since",
    promises: ["C453"],
    rule: "if (answer.seen === flight.seen) return;\n      lease.release();\n      flight.lose();",
    broken: "",
  },
];
