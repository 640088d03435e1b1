import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "events: what a listener throws is thrown at the caller",
    promises: ["C118"],
    rule: "} catch {\n        continue;",
    broken: "} catch (error) {\n        throw error;",
  },
];
