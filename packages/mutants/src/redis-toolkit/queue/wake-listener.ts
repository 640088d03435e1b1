import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: workers without jobs poll",
    promises: ["C233"],
    rule: "export const POLL_MS = 5_000;",
    broken: "export const POLL_MS = 50;",
  },
  {
    name: "queue: closing the listener for wakes does not end its wait",
    promises: ["C233"],
    rule: 'this.#closing.abort(new Error("the worker stops"));',
    broken: "",
  },
];
