import { InvalidArgumentError } from "@hotset/core";
import { CommandError } from "@hotset/redis-toolkit";
import { EXIT, type ExitCode } from "../io.ts";

export const NOT_READABLE = "not readable";

/**
 * What `ask` finds out about one key of many. One that holds something else, or that its user may not read, must not
 * hide the others. @throws any error that is not of this key, such as a connection that is lost.
 */
export async function readable<T>(ask: () => Promise<T>): Promise<T | typeof NOT_READABLE> {
  try {
    return await ask();
  } catch (error) {
    if ((error instanceof CommandError && !error.retryable) || error instanceof InvalidArgumentError)
      return NOT_READABLE;
    throw error;
  }
}

/** Percent-encoded text of a key; the text itself where another program has written it otherwise. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * For a list. A value that cannot be read may be what was asked for: that is not the answer of a Redis without it.
 *
 * @param isNamed whether one was asked for by its name: a list of all may be empty.
 */
export function exitCodeOf(found: readonly { readonly isReadable: boolean }[], isNamed: boolean): ExitCode {
  if (found.length === 0) return isNamed ? EXIT.findings : EXIT.fine;
  return found.some(({ isReadable }) => isReadable) ? EXIT.fine : EXIT.failed;
}
