import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a write is sent again when its connection is lost",
    promises: ["C217"],
    rule: "if (options.isReadOnly !== true || this.#readRetries === 0)",
    broken: "if (this.#readRetries === 0)",
  },
  {
    name: "redis: a read is not sent again when its connection is lost",
    promises: ["C217"],
    rule: "if (options.isReadOnly !== true || this.#readRetries === 0)",
    broken: "if (this.#readRetries >= 0)",
  },
  {
    name: "redis: the key of a command does not decide its node",
    promises: ["C216"],
    rule: "key: options.key,",
    broken: "key: undefined,",
  },
  {
    name: "redis: a call without room is queued although it should be refused",
    promises: ["C218"],
    rule: 'this.#onOverload === "reject" &&',
    broken: "false &&",
  },
];
