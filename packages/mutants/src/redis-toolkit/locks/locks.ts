import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "lock: an outage looks like a lock that is held",
    promises: ["A64"],
    rule: "if (error instanceof LockUnavailableError) return undefined;",
    broken: "if (error instanceof Error) return undefined;",
  },
  {
    name: "lock: a lock of a task is not extended",
    promises: ["A65"],
    rule: "    lease.keep();\n",
    broken: "",
  },
  {
    name: "lock: a release that fails hides the error of the task",
    promises: ["A65"],
    rule: "await lease[Symbol.asyncDispose]();",
    broken: "await lease.end();",
  },
];
