import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "seal: hmac signs without the context",
    promises: ["C150"],
    rule: ".update(length).update(context).update(bytes)",
    broken: ".update(length).update(bytes)",
  },
  {
    name: "seal: hmac does not say where the context ends",
    promises: ["C150"],
    rule: ".update(length).update(context).update(bytes)",
    broken: ".update(context).update(bytes)",
  },
];
