import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "compose: nearTtl need not be given",
    promises: ["C121"],
    rule: "    if (nearTtl === undefined)\n      throw new",
    broken: "    if (nearTtl === null)\n      throw new",
  },
  {
    name: "compose: the tag versions come from near where both issue them",
    promises: ["C125"],
    rule: "const fromFar = leaves(backend).toReversed();",
    broken: "const fromFar = leaves(backend);",
  },
  {
    name: "compose: a copy in the near side of a composition is refused unchecked",
    promises: ["C125"],
    rule: "tierOf(near, IN_NEAR)",
    broken: "tierOf(near, !IN_NEAR)",
  },
];
