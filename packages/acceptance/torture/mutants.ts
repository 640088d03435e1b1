import type { Rule } from "./checker.ts";
import type { Focus, Topology } from "./plan.ts";

/** One rule between processes, and what the code looks like without it. Found by `npm run torture -- --mutants`. */
export interface Mutant {
  /** What is broken. */
  readonly name: string;
  /** Which violations show it. */
  readonly shows: readonly Rule[];
  /** The faults it takes. */
  readonly focus: Focus;
  /** @default "single" */
  readonly topology?: Topology;
  /** From the top of the repository. */
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly rule: string;
  readonly broken: string;
}

export const MUTANTS: readonly Mutant[] = [];
