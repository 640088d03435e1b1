import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "freshness: the local tier goes by the clock on the wall",
    promises: ["C34"],
    rule: "performance.now()",
    broken: "Date.now()",
  },
  {
    name: "freshness: a delay longer than a timer can take fires at once",
    promises: ["C9"],
    rule: "timer =\n        leftMs > MAX_TIMER_MS",
    broken: "timer = false",
  },
  {
    name: "clock: a late timer overtakes the answers that have arrived",
    promises: ["C130"],
    rule: "setImmediate(() => {\n        if (!isCancelled) callback();\n      });",
    broken: "if (!isCancelled) callback();",
  },
  {
    name: "life: a timer keeps the process alive",
    promises: ["C116"],
    rule: "timer.unref();",
    broken: "",
  },
];
