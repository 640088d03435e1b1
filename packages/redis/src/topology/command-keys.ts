import { hasHashTag } from "../primitives/hash-slots.ts";

/** The key that decides where a command goes. */
export function keyOf(args: readonly (string | Buffer)[]): string | undefined {
  switch (args[0]) {
    case "PTTL":
    case "HMGET":
    case "HGET":
    case "HLEN":
    case "MGET":
    case "GET":
    case "SET":
    case "GETRANGE":
    case "EXISTS":
    case "TYPE":
      return args[1] as string;
    case "EVALSHA":
    case "EVAL":
      return args[3] as string;
    default:
      return undefined;
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
