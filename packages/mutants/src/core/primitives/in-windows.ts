import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "many keys: all of them are sent at once",
    promises: ["C158", "C160"],
    rule: "{ length: Math.min(width, items.length) }",
    broken: "{ length: items.length }",
  },
  {
    name: "many keys: all of them are read and loaded at once",
    promises: ["C158"],
    rule: "if (items.length <= size) return yield items;",
    broken: "return yield items;",
  },
];
