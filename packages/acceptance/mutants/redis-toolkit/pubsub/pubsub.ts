import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a gap in a subscription is not reported",
    promises: ["A46"],
    rule: 'subscriber.use.on("gap", () => queue.gap())',
    broken: 'subscriber.use.on("gap", () => undefined)',
  },
  {
    name: "toolkit: the last listener leaves its connection open",
    promises: ["A45"],
    rule: "(forget() ? use.close() : undefined)",
    broken: "(forget() ? undefined : undefined)",
  },
];
