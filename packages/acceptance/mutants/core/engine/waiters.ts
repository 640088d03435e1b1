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
    rule: "this.#context.tags.wasInvalidated(fallback.terms.dependsOn, flight.tagSequence);",
    broken: "false;",
  },
  {
    name: "errors: an entry deleted while a load ran is served as its fallback",
    promises: ["C26", "C59", "C5"],
    rule: '(flight.fencedBy !== undefined && flight.fencedBy !== "stale") ||',
    broken: "",
  },
  {
    name: "limits: softTimeout ends a wait that has no fallback",
    promises: ["C35"],
    rule: 'if (answer === undefined && limit === "soft") return;',
    broken: "",
  },
  {
    name: "limits: softTimeout counts from when a stale value was found",
    promises: ["C35"],
    rule: "const leftMs = waiter.call.startedAt + softTimeoutMs - clock.now();",
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
    rule: "    else this.#goesOn(flight);\n  }\n",
    broken: "    else if (!flight.isAwaited) this.abort(flight, undefined);\n  }\n",
  },
  {
    name: "limits: after a timeout the next caller loads beside the load that goes on",
    promises: ["C37"],
    rule: "    else this.#goesOn(flight);\n  }\n",
    broken: "    else if (!flight.isAwaited) flight.supersede();\n  }\n",
  },
  {
    name: "limits: a load that goes on is not given to waitUntil",
    promises: ["C44"],
    rule: "flight.outlive()) this.#context.waitUntil?.(flight.whenSettled());",
    broken: "flight.outlive()) {}",
  },
  {
    name: "limits: the load goes on when its last caller has left",
    promises: ["C42"],
    rule: "flight.loaded === undefined) this.abort(flight, reason);",
    broken: "flight.loaded === undefined) this.#goesOn(flight);",
  },
  {
    name: "limits: the load ends with the first caller who leaves",
    promises: ["C42"],
    rule: "if (flight.isAbandoned && flight.loaded === undefined) this.abort",
    broken: "if (flight.loaded === undefined) this.abort",
  },
  {
    name: "limits: a queued load runs although no caller waits for it",
    promises: ["C135"],
    rule: 'else if (flight.phase === "queued" && flight.isUnserved) this.end(flight);',
    broken: "",
  },
  {
    name: "limits: a queued load ends although a caller was answered in its stead",
    promises: ["C135"],
    rule: 'else if (flight.phase === "queued" && flight.isUnserved) this.end(flight);',
    broken: 'else if (flight.phase === "queued" && !flight.isAwaited) this.end(flight);',
  },
  {
    name: "limits: a load that was aborted by its own loader goes on",
    promises: ["C42"],
    rule: "flight.abortLoad(reason);",
    broken: "flight.running?.abort(reason);",
  },
  {
    name: "limits: callers wait without a bound",
    promises: ["C201"],
    rule: "this.#count >= this.#context.maxWaiting && ",
    broken: "this.#count === -1 && ",
  },
  {
    name: "limits: a call inside a load is refused",
    promises: ["C201"],
    rule: "maxWaiting && !isLoading(this.#context);",
    broken: "maxWaiting;",
  },
  {
    name: "async context: onServed runs in that of the call whose load is shared",
    promises: ["C393"],
    rule: "onServed: inThisContext(given.onServed)",
    broken: "onServed: given.onServed",
  },
];
