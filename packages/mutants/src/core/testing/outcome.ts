import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "testing: flush waits for the immediates of fake timers",
    promises: ["C412"],
    rule: 'import { setImmediate } from "node:timers";',
    broken: "",
  },
];
