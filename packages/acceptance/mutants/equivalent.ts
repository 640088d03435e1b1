/** A random change that alters no behaviour that a test could rely on. */
export interface Equivalent {
  /** From the top of the repository. */
  readonly file: string;
  /** As `npm run mutants -- --random` prints them. */
  readonly before: string;
  readonly after: string;
  readonly reason: string;
}

/** Known by reading. A line that is reworded drops out by itself. */
export const EQUIVALENT: readonly Equivalent[] = [];
