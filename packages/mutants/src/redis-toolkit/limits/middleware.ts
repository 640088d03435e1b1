import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "limits: the slot of a request is kept until it ends by itself",
    promises: ["C238"],
    rule: 'else response.once("close", () => passage.release());',
    broken: "",
  },
];
