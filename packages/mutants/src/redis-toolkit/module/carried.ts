import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: an entry without texts has an empty carrier all the same",
    promises: ["C287"],
    rule: "  return Object.keys(carrier).length === 0 ? undefined : carrier;",
    broken: '  return Object.keys(carrier).length === 0 ? { traceparent: "" } : carrier;',
  },
  {
    name: "toolkit: handlers run outside their trace",
    promises: ["C287"],
    rule: "  if (!CONSUME.hasSubscribers) return handle();",
    broken: "  return handle();",
  },
];
