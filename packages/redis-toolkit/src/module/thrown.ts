const MAX_LENGTH = 2_000;

/**
 * The message of what a handler threw, for people. Handlers throw anything: also errors whose message is not text, and
 * what throws when it is looked at. So this never throws, and it is well-formed text of at most `most` characters.
 */
export function thrownText(thrown: unknown, most: number = MAX_LENGTH): string {
  try {
    return textOf(thrown).slice(0, most).toWellFormed();
  } catch {
    return "an error that cannot be read";
  }
}

/** Not by `instanceof`, since errors of another realm have a message too. */
function textOf(thrown: unknown): string {
  const text: unknown =
    typeof thrown === "object" && thrown !== null ? (thrown as { readonly message?: unknown }).message : thrown;
  if (typeof text === "string") return text;
  if (typeof thrown === "number" || typeof thrown === "boolean" || typeof thrown === "bigint") return String(thrown);
  return `a value of type ${typeof thrown}`;
}
