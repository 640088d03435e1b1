import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a colon in the id of a tenant leads into the keys of another",
    promises: ["A36"],
    rule: "/[A-Za-z0-9_.-]/",
    broken: "/[A-Za-z0-9_.:-]/",
  },
  {
    name: "toolkit: half of a surrogate pair leads into another tenant",
    promises: ["C364"],
    rule: "    if (!id.isWellFormed())\n",
    broken: '    if (id === "")\n',
  },
  {
    name: "toolkit: the tenant is not in the hash tag",
    promises: ["C488"],
    rule: "return `{${this.prefix}${escaped}}`;",
    broken: "return `{${escaped}}`;",
  },
];
