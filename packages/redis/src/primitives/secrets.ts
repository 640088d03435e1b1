/** Redis quotes the arguments of a command that it does not know: passwords, keys and values. */
const QUOTED_ARGUMENTS = /,? with args beginning with[^]*$/i;

/** A redirection is parsed, and names an address, not an argument. */
const REDIRECTION = /^(?:MOVED|ASK) \d+ /;

/**
 * Removes, in place, the arguments that a server quotes, and `secrets` as they are or percent-encoded, from the message
 * of `error` and of all its causes. The first word stays: it is the kind of an error reply.
 */
export function conceal(error: unknown, secrets: readonly string[] = []): void {
  // A set that grows while it is walked: each error once, in a circle of causes too.
  const errors = new Set([error]);
  for (const each of errors) {
    if (!(each instanceof Error)) continue;
    concealMessage(each, secrets);
    errors.add(each.cause);
    if (each instanceof AggregateError) for (const one of each.errors as unknown[]) errors.add(one);
  }
}

function concealMessage(error: Error, secrets: readonly string[]): void {
  const { message, stack } = error;
  if (REDIRECTION.test(message)) return;
  const kindEnd = message.indexOf(" ") + 1;
  let text = message.slice(kindEnd).replace(QUOTED_ARGUMENTS, "");
  for (const secret of secrets) for (const form of formsOf(secret)) text = text.replaceAll(form, "***");
  const concealed = message.slice(0, kindEnd) + text;
  if (concealed === message) return;
  replace(error, "message", concealed);
  if (stack !== undefined)
    replace(
      error,
      "stack",
      stack.replace(message, () => concealed),
    );
}

/** The encoded forms first: the other may be a part of them. */
function formsOf(secret: string): readonly string[] {
  const encoded = encodeURIComponent(secret.toWellFormed());
  return [encoded, encoded.toLowerCase(), secret].filter((form) => form !== "");
}

/** Errors of other libraries may have no setter. */
const replace = (error: Error, name: "message" | "stack", value: string): void => {
  Reflect.defineProperty(error, name, { value, configurable: true, writable: true, enumerable: false });
};
