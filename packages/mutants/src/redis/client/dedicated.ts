import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a dedicated socket outlives a command that it did not answer",
    promises: ["C221"],
    rule: "if (this.isBusy && isOverdue) this.#lose(error);",
    broken: "",
  },
  {
    name: "redis: a dedicated socket outlives an aborted command that it did not answer",
    promises: ["C221", "C409"],
    rule: 'this.#lose(reason instanceof Error ? reason : new Error("its signal was aborted")),',
    broken: "undefined,",
  },
  {
    name: "redis: a blocking call has no slack",
    promises: ["C221"],
    rule: "options.deadlineMs ?? blockMs + responseTimeoutMs",
    broken: "options.deadlineMs ?? blockMs",
  },
  {
    name: "listeners: one of a lost socket that throws keeps it from the others",
    promises: ["C357"],
    rule: "deliver(listener, cause);",
    broken: "listener(cause);",
  },
  {
    name: "redis: the confirmation of MONITOR is waited for without a deadline",
    promises: ["C221"],
    rule: "this.#queue.begin<unknown>(MONITOR);",
    broken: "this.#queue.begin<unknown>(MONITOR, 600_000);",
  },
];
