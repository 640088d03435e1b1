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

const MAX_NAME_LENGTH = 200;
const MAX_STACK_LENGTH = 4_000;

/** Name and stack of what a handler threw, where it has them as text: bounded and well-formed. Never throws. */
export function thrownDetails(thrown: unknown): { readonly name?: string; readonly stack?: string } {
  const textAt = (property: "name" | "stack", most: number): string | undefined => {
    try {
      const text = (thrown as { readonly [part in typeof property]?: unknown } | null | undefined)?.[property];
      return typeof text === "string" ? text.slice(0, most).toWellFormed() : undefined;
    } catch {
      return undefined;
    }
  };
  const [name, stack] = [textAt("name", MAX_NAME_LENGTH), textAt("stack", MAX_STACK_LENGTH)];
  return { ...(name !== undefined && { name }), ...(stack !== undefined && { stack }) };
}

/** Not by `instanceof`, since errors of another realm have a message too. */
function textOf(thrown: unknown): string {
  const text: unknown =
    typeof thrown === "object" && thrown !== null ? (thrown as { readonly message?: unknown }).message : thrown;
  if (typeof text === "string") return text;
  if (typeof thrown === "number" || typeof thrown === "boolean" || typeof thrown === "bigint") return String(thrown);
  return `a value of type ${typeof thrown}`;
}
