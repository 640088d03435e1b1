import type { Breakage } from "../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "msgpack: a date of another realm is written as it is",
    promises: ["C462"],
    rule: "if (types.isDate(value)) return value instanceof Date ? value : new Date(value);",
    broken: "if (value instanceof Date) return value;",
  },
  {
    name: "msgpack: bytes of another realm are written as they are",
    promises: ["C462"],
    rule: "return viewOfThisRealm(value);",
    broken: "return value;",
  },
];
