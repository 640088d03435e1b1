import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: commands left in the buffers of an old connection are executed",
    promises: ["C94"],
    rule: "if (previous?.id !== undefined && identity.runId !== undefined && previous.identity.runId === identity.runId)\n      await",
    broken: "if (false) await",
  },
];
