import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "strings: a value that is cut short has a version",
    promises: ["C318"],
    rule: "return end <= head.length ? versionOf(head, VERSION_AT, end) : NO_VERSION;",
    broken: "return versionOf(head, VERSION_AT, end);",
  },
  {
    name: "strings: a life that is over is served",
    promises: ["C316"],
    rule: "if (expiresInMs < 1 || value.length < dataAt) return undefined;",
    broken: "if (value.length < dataAt) return undefined;",
  },
];
