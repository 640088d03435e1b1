import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a listener whose promise rejects ends the process",
    promises: ["C258"],
    rule: "Promise.resolve(listener(details as never)).catch(() => undefined);",
    broken: "listener(details as never);",
  },
];
