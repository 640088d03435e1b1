import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "backend: a flight that waits behind others is late where its budget ends",
    promises: ["C392"],
    rule: "    if (flight.isBehind(answered)) return call;\n",
    broken: "",
  },
  {
    name: "fence: loads are not checked against tag calls of this process",
    promises: ["C41", "C60"],
    rule: "if (!tags.wasCalled(dependsOn, flight.tagSequence)) return undefined;",
    broken: "return undefined;",
  },
];
