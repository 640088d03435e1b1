import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "lock: the time of a lock counts from its reply",
    promises: ["A65"],
    rule: "return this.#granted(vote, startedAt);",
    broken: "return this.#granted(vote, module.clock.now());",
  },
  {
    name: "lock: a grant that came too late is a lock",
    promises: ["A65"],
    rule: "if (module.clock.now() < startedAt + lifeMs - driftMs(lifeMs)) return",
    broken: "if (module.clock.now() > 0) return",
  },
  {
    name: "lock: an aborted attempt leaves its lock",
    promises: ["A64"],
    rule: "this.#leftTrace ||= this.#signal?.aborted === true || servers.mayHold(error);",
    broken: "this.#leftTrace ||= servers.mayHold(error);",
  },
  {
    name: "lock: the release of an abandoned attempt can undo the next one",
    promises: ["A64"],
    rule: "this.#token = randomUUID();",
    broken: "",
  },
];
