import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "joining: a fenced load is joined",
    promises: ["C66"],
    rule: "super.taint();\n    this.#isJoinable = false;",
    broken: "super.taint();",
  },
  {
    name: "leases: a change wakes no waiting flight",
    promises: ["C52"],
    rule: "this.#isJoinable = false;\n    this.wake();",
    broken: "this.#isJoinable = false;",
  },
  {
    name: "trust: loads from before the link was lost are shared while they are stored",
    promises: ["C86"],
    rule: "if (epoch !== this.epoch) this.#isJoinable = false;",
    broken: "",
  },
  {
    name: "joining: a local-only load is not shared after a message",
    promises: ["C90"],
    rule: "call.namespace.remote === undefined ? Infinity : tagSequence",
    broken: "tagSequence",
  },
  {
    name: "backend: each step of a flight has the whole budget",
    promises: ["C43", "C92"],
    rule: "this.spendBackendTime(now - this.#readAt, this.#answeredBefore);",
    broken: "",
  },
  {
    name: "backend: a flight that waits behind others spends its budget",
    promises: ["C392"],
    rule: "this.call.namespace.remote!.answered - answeredBefore > MANY",
    broken: "false",
  },
  {
    name: "backend: the first calls of a process pay for its connection",
    promises: ["C440"],
    rule: "answeredBefore === 0 ||",
    broken: "",
  },
  {
    name: "limits: a caller that was served already can abandon the refresh of another",
    promises: ["C22", "C42"],
    rule: 'this.#joined = side === "background" ? 1 : 0;',
    broken: "this.#joined = 0;",
  },
  {
    name: "limits: a caller whose time was over before the load began lets the signal of another abort it",
    promises: ["C37", "C42"],
    rule: 'if (by === "signal") this.#aborted += 1;',
    broken: "this.#aborted += 1;",
  },
  {
    name: "limits: an abort during the call of the loader is lost",
    promises: ["C42"],
    rule: "if (this.#abortedFor !== undefined) load.abort(this.#abortedFor.reason);",
    broken: "",
  },
  {
    name: "flights: each tag of a caller that joins is looked for among all tags",
    promises: ["C407"],
    rule: "!known.has(tag)",
    broken: "!this.#tags.includes(tag)",
  },
  {
    name: "leases: the end of a lease wakes no waiting flight",
    promises: ["C445"],
    rule: "      this.#awaitsOwnChange = false;\n    }\n    this.wake();",
    broken: "      this.#awaitsOwnChange = false;\n    }",
  },
  {
    name: "trust: an own store looks like a later change",
    promises: ["C450"],
    rule: 'if (order === "exact" && this.#awaitsOwnChange) {',
    broken: "if (false) {",
  },
  {
    name: "trust: the lease of another process hides its change",
    promises: ["C450"],
    rule: "      this.#awaitsOwnChange = false;\n    }\n    this.wake();",
    broken: "    }\n    this.wake();",
  },
  {
    name: "trust: a loose report of a lease hides a change",
    promises: ["C450"],
    rule: 'if (order === "exact" && this.#awaitsOwnChange) {',
    broken: "if (this.#awaitsOwnChange) {",
  },
];
