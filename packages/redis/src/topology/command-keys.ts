import { hasHashTag } from "../primitives/hash-slots.ts";

/** The key that decides where a command of the cache goes. It comes first in all that have one, but for scripts. */
export function keyOf([name, first, , scriptKey]: readonly (string | Buffer)[]): string | undefined {
  switch (name) {
    case "PING":
      return undefined;
    case "EVALSHA":
    case "EVAL":
      return scriptKey as string;
    default:
      return first as string;
  }
}

/** How many keys are tried to find one on a given node: enough for a node that serves a hundredth of all slots. */
const MAX_TRIED = 2_000;

/** A key below `topic` that is accepted; `undefined` where none was found. */
export function keyBelow(topic: string, isAccepted: (key: string) => boolean): string | undefined {
  // With a hash tag all of them share a slot.
  for (let i = 0; i < (hasHashTag(topic) ? 1 : MAX_TRIED); i++) {
    const key = `${topic}${i.toString(36)}`;
    if (isAccepted(key)) return key;
  }
  return undefined;
}
