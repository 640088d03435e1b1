import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "recovery: a replay leaves the copies of a pending set",
    promises: ["C93"],
    rule: "if (pending.key !== undefined) mutations.replayed(localKey(pending.keySpace, pending.key));",
    broken: "",
  },
  {
    name: "life: close aborts pending calls",
    promises: ["C117"],
    rule: "await this.#within(timeoutMs, this.#settled());",
    broken: "",
  },
  {
    name: "life: close of one cache closes the backend of another",
    promises: ["C117"],
    rule: "return users.get(backend) === 0;",
    broken: "return true;",
  },
  {
    name: "life: close waits without a limit",
    promises: ["C117"],
    rule: "await this.#within(timeoutMs, this.#settled());",
    broken: "await this.#settled();",
  },
];
