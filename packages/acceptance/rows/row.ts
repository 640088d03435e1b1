/** One thing that users of another system had, and where hotset has it. */
export type Row = RowText & (Held | NotTaken | Open);

export interface RowText {
  /** `R0-02`. Stable: titles of tests, examples and pages name it. */
  readonly id: string;
  /** In the words of that system's users. */
  readonly what: string;
}

/** Held by a test, which fails where a mutant removes the function. */
export interface Held {
  /** The names to use. */
  readonly here: string;
  /** The entry of the package to import, or the page or file to use. */
  readonly module: string;
  /** A file, and a part of the titles of its tests that hold the row. */
  readonly test: readonly [file: string, title: string];
  /** The name of a mutant without the function. Absent: the mutant of `mutants/rows` whose name begins with the id. */
  readonly mutant?: string;
}

/** Decided against. */
export interface NotTaken {
  /** Goes on after "not taken, because". */
  readonly notTaken: string;
}

/** Not there yet. */
export interface Open {
  /** The missing part. */
  readonly open: string;
}

/** One system, or one part of it. */
export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

export const isHeld = (row: Row): row is RowText & Held => "test" in row;
