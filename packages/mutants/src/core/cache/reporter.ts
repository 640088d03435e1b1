import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "observing: each trouble is a warning",
    promises: ["C203"],
    rule: "if (warned.has(cause) || (",
    broken: "if ((",
  },
  {
    name: "observing: a logger sees the message of the loader's error",
    promises: ["C203"],
    rule: "error instanceof Error ? error.name : typeof error",
    broken: "String(error)",
  },
  {
    name: "observing: the second cause for which a value cannot be written is silent",
    promises: ["C430"],
    rule: 'error.code === "ENCODE_FAILED" ? ',
    broken: "false ? ",
  },
  {
    name: "observing: an outage is a warning, and each kind of load in it another",
    promises: ["C441"],
    rule: 'if ([...warned].some((kind) => kind.startsWith("BACKEND_"))) return;',
    broken: "",
  },
];
