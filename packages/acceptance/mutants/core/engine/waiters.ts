import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "joining: a settled load is kept",
    promises: ["C51"],
    rule: "flights.remove(flight);",
    broken: "",
  },
  {
    name: "tags: an entry invalidated while a load ran is served as its fallback",
    promises: ["C69"],
    rule: "this.#context.tags.wasInvalidated(fallback.dependsOn, flight.tagSequence) ? undefined : fallback",
    broken: "fallback",
  },
  {
    name: "errors: an entry deleted while a load ran is served as its fallback",
    promises: ["C26", "C59", "C5"],
    rule: 'if (flight.fencedBy !== undefined && flight.fencedBy !== "stale") return undefined;',
    broken: "",
  },
  {
    name: "limits: softTimeout ends a wait that has no fallback",
    promises: ["C35"],
    rule: 'if (limit === "soft" && !covered && flight.loaded === undefined) return;',
    broken: "",
  },
  {
    name: "limits: softTimeout counts from when a stale value was found",
    promises: ["C35"],
    rule: "const leftMs = waiter.call.startedAt + softTimeoutMs - this.#context.clock.now();",
    broken: "const leftMs = softTimeoutMs;",
  },
  {
    name: "limits: hardTimeout is ignored",
    promises: ["C36"],
    rule: "if (hardTimeoutMs !== Infinity)\n        waiter",
    broken: "if (false) waiter",
  },
  {
    name: "limits: a load ends with the wait of its caller",
    promises: ["C36", "C37", "C39"],
    rule: "flight.goToBackground();\n    this.#context.waitUntil?.(flight.whenSettled());",
    broken: "this.abort(flight, undefined);",
  },
  {
    name: "limits: after a timeout the next caller loads beside the load that goes on",
    promises: ["C37"],
    rule: "flight.goToBackground();\n    this.#context.waitUntil?.(flight.whenSettled());",
    broken: "flight.goToBackground();\n    flight.supersede();\n    this.#context.waitUntil?.(flight.whenSettled());",
  },
  {
    name: "limits: the load goes on when its last caller has left",
    promises: ["C42"],
    rule: "else this.abort(flight, reason);",
    broken: "else this.#goOnAlone(flight);",
  },
  {
    name: "limits: the load ends with the first caller who leaves",
    promises: ["C42"],
    rule: "if (!flight.isAbandoned || flight.isBackground",
    broken: "if (flight.isBackground",
  },
];
