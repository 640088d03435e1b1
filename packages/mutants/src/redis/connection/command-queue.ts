import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a command that waits for room is late after one deadline",
    promises: ["C160"],
    rule: "const MAX_WAITS = 10;",
    broken: "const MAX_WAITS = 0;",
  },
  {
    name: "redis: a command may wait for room without end",
    promises: ["C160"],
    rule: "const MAX_WAITS = 10;",
    broken: "const MAX_WAITS = Infinity;",
  },
  {
    name: "redis: the time of a command begins before it is sent",
    promises: ["C160"],
    rule: "if (this.#waitsForRoom || this.#waitsToOpen) queue.restart(this);",
    broken: "if (this.#waitsToOpen) queue.restart(this);",
  },
  {
    name: "redis: the deadline of one call begins again while it waits for room",
    promises: ["C223"],
    rule: "this.#totalMs === undefined &&\n      !this.isSent &&\n      this.send !== undefined &&",
    broken: "!this.isSent &&\n      this.send !== undefined &&",
  },
  {
    name: "redis: the time of a command begins while the first connection is made",
    promises: ["C440"],
    rule: "if (this.#waitsForRoom || this.#waitsToOpen) queue.restart(this);",
    broken: "if (this.#waitsForRoom) queue.restart(this);",
  },
  {
    name: "redis: a command does not outwait the first connection",
    promises: ["C440"],
    rule: "waiter.waitsToOpen = this.isOpening;",
    broken: "",
  },
  {
    name: "redis: the deadline of one call begins with the first connection",
    promises: ["C440"],
    rule: "return this.#totalMs === undefined && !this.isSent && this.waitsToOpen;",
    broken: "return !this.isSent && this.waitsToOpen;",
  },
  {
    name: "redis: an error names the cluster, and not the node that was silent",
    promises: ["C420"],
    rule: "return this.#route?.server ?? this.#queue.server?.();",
    broken: "return this.#queue.server?.();",
  },
];
