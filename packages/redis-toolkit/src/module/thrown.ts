const MAX_LENGTH = 2_000;

/**
 * The message of what a handler threw, for people. Handlers throw anything: also errors whose message is no text, and
 * what throws when it is looked at. So this never throws, and it is well-formed text of at most `most` characters.
 */
export function thrownText(thrown: unknown, most: number = MAX_LENGTH): string {
  try {
    const text: unknown = thrown instanceof Error ? thrown.message : thrown;
    return (typeof text === "string" ? text : `a value of type ${typeof text}`).slice(0, most).toWellFormed();
  } catch {
    return "an error that cannot be read";
  }
}
