import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a connection that is being opened is kept, although it is no longer trusted",
    promises: ["A44"],
    rule: "if (!this.#isAttemptTrusted) {",
    broken: "if (this.#closing.signal.aborted) {",
  },
  {
    name: "redis: calls that are cut off by a reset of our own learn only that they were disconnected",
    promises: ["C327"],
    rule: "    rejectInFlight(session.client, cause);\n",
    broken: "",
  },
  {
    name: "redis: each refused write leaves a replica",
    promises: ["C183"],
    rule: "if (now - this.#leftReplicaAt < REPLICA_MS) return;",
    broken: "",
  },
  {
    name: "redis: a connection that was not in use is replaced at once",
    promises: ["C330"],
    rule: "if (isInUse) this.#retryLater(cause);",
    broken: "this.#retryLater(cause);",
  },
  {
    name: "redis: a connection that receives changes is not in use",
    promises: ["C330"],
    rule: "      this.#changes?.hasListeners() === true ||\n",
    broken: "",
  },
  {
    name: "async context: a connection is attributed to the call that asked for it first",
    promises: ["C394"],
    rule: "(this.#attempt ??= inNoCall(() =>",
    broken: "(this.#attempt ??= (<T>(body: () => T): T => body())(() =>",
  },
  {
    name: "redis: a silent server has the whole time of the first connection",
    promises: ["C440"],
    rule: "        this.queue.isOpening = false;\n      });",
    broken: "      });",
  },
];
