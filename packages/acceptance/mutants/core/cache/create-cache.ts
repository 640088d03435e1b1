import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "recovery: a replay leaves the copies of a set that was under way",
    promises: ["C93"],
    rule: "key: (key) => mutations.replayed(key),",
    broken: "key: () => undefined,",
  },
  {
    name: "life: close aborts what is under way",
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
    name: "life: close waits for ever",
    promises: ["C117"],
    rule: "await this.#within(timeoutMs, this.#settled());",
    broken: "await this.#settled();",
  },
];
