/** A rule of the code, and the code without it. */
export interface BrokenRule {
  /** Says what is broken. */
  readonly name: string;
  /** From the top of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly rule: string;
  readonly broken: string;
}

/** A rule whose loss a test must notice. */
export interface Mutant extends BrokenRule {
  /** A test that names one of these must fail. */
  readonly promises: readonly string[];
}

/**
 * The text of a source file without the rule.
 *
 * @throws {Error} when the rule does not occur exactly once.
 */
export function withoutRule(text: string, { name, file, rule, broken }: BrokenRule): string {
  const occurrences = text.split(rule).length - 1;
  if (occurrences !== 1)
    throw new Error(`${name}: the rule occurs ${occurrences} times in ${file}; it must occur once`);
  return text.replace(rule, () => broken);
}
