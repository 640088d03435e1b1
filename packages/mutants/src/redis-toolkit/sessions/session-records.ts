import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "sessions: the epoch of the user is not compared",
    promises: ["C242"],
    rule: "if (epoch === session.epoch) return session;",
    broken: "return session;",
  },
  {
    name: "sessions: a lost epoch ends nothing",
    promises: ["C243"],
    rule: "if (epoch === session.epoch) return session;",
    broken: "if (epoch === null || epoch === session.epoch) return session;",
  },
  {
    name: "sessions: those that have ended stay in the index",
    promises: ["A83"],
    rule: "if (gone.length > 0)",
    broken: "if (false)",
  },
  {
    name: "sessions: a new id takes the user's epoch of now",
    promises: ["C242"],
    rule:
      'const epoch = userId === undefined ? "" : await this.#enrol(userId, to.handle, idleMs);\n    const before = ' +
      "await this.#find(from);",
    broken:
      "const before = await this.#find(from);\n    userId ??= before?.userId;\n    const epoch = userId === " +
      'undefined ? "" : await this.#enrol(userId, to.handle, idleMs);',
  },
  {
    name: "sessions: those that end are counted by sessions() alone",
    promises: ["C288"],
    rule: "    if (wasThere) this.#counts.sessionsEnded += 1;\n",
    broken: "",
  },
  {
    name: "sessions: one that ended with all of its user was there",
    promises: ["C418"],
    rule: "(current === epoch || current === undefined)",
    broken: "(current === epoch || current !== epoch)",
  },
];
