import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a dedicated socket outlives a command that it did not answer",
    promises: ["C221"],
    rule: "if (this.isBusy && (isOverdue || signal?.aborted)) this.#lose(error as Error);",
    broken: "",
  },
  {
    name: "redis: a blocking call has no slack",
    promises: ["C221"],
    rule: "deadlineMs: blockMs + responseTimeoutMs,",
    broken: "deadlineMs: blockMs,",
  },
  {
    name: "listeners: one of a lost socket that throws keeps it from the others",
    promises: ["C357"],
    rule: "deliver(listener, cause);",
    broken: "listener(cause);",
  },
];
