/** One rule, and what the code looks like without it. */
export interface Mutant {
  /** What is broken. */
  readonly name: string;
  /** A test that names one of these must fail. */
  readonly promises: readonly string[];
  /** From the top of the repository. */
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly rule: string;
  readonly broken: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: "freshness: a boundary instant belongs to the earlier state",
    promises: ["C21", "C22"],
    file: "packages/core/src/entry.ts",
    rule: "if (now < entry.staleAt) return now",
    broken: "if (now <= entry.staleAt) return now",
  },
];
