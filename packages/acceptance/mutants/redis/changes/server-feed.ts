import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: what an old connection has left in its buffers is executed",
    promises: ["C94"],
    rule: "if (previous?.id !== undefined && identity.runId !== undefined && previous.identity.runId === identity.runId)\n      await",
    broken: "if (false) await",
  },
];
