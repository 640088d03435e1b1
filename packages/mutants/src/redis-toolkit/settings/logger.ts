import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: what a logger throws ends the work that reports",
    promises: ["C258"],
    rule: "} catch {\n        return;\n      }",
    broken: "} catch (error) {\n        throw error;\n      }",
  },
];
