import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a write is sent again when its connection is lost",
    promises: ["C217"],
    rule: "options.isReadOnly !== true || !isAway(error)",
    broken: "!isAway(error)",
  },
  {
    name: "redis: a read is not sent again when its connection is lost",
    promises: ["C217"],
    rule: "if (error.maybeExecuted) repeats += 1;",
    broken: "if (error.maybeExecuted) throw error;",
  },
  {
    name: "redis: a read that waits for Redis uses up its repetitions",
    promises: ["C217"],
    rule: "if (error.maybeExecuted) repeats += 1;",
    broken: "repeats += 1;",
  },
  {
    name: "redis: the key of a command does not decide its node",
    promises: ["C216"],
    rule: "function sendOptions({ key, typeMapping }: CallOptions,",
    broken: "function sendOptions({ none: key, typeMapping }: CallOptions & { none?: undefined },",
  },
  {
    name: "redis: a call without room is queued although it should be refused",
    promises: ["C218"],
    rule: 'this.#settings.onOverload === "reject" && queue.isFull',
    broken: "false",
  },
];
