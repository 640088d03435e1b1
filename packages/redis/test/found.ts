import type { StoredEntry } from "@hotset/core";

/** The entry of a batch's answer. @throws the error of a key that could not be read. */
export function found(answer: StoredEntry | Error | undefined): StoredEntry | undefined {
  if (answer instanceof Error) throw answer;
  return answer;
}
