import { DecodeError } from "@hotset/core";
import { CommandError } from "../errors/command-error.ts";
import type { RedisArgument } from "../keys/key-space.ts";

/** One command: what is sent, where it goes, and what its reply means. Nothing is sent before it is run. */
export interface Invocation<T> {
  /** Name and arguments, as Redis gets them. */
  readonly args: readonly RedisArgument[];
  /** The keys among the arguments, as Redis has them. The first decides the node of a cluster. */
  readonly keys: readonly RedisArgument[];
  /** It changes nothing, so it may be sent again when a connection is lost. */
  readonly isReadOnly: boolean;
  /** Whether text in the reply comes as strings or as Buffers. */
  readonly replies: "text" | "bytes";
  /** Reads the reply. An error of it reaches the caller. */
  readonly decode: (reply: unknown) => T;
  /** The server may wait for so long before it replies, `Infinity` without end: it gets a connection of its own. */
  readonly blockMs?: number | undefined;
  /** Every primary of a cluster carries it out: replies are added, joined to one list, or the first that is there. */
  readonly spread?: "sum" | "join" | "first" | undefined;
  /** Bound on the whole call. @default `commandTimeout` */
  readonly deadlineMs?: number | undefined;
  /** Ends the call with its reason. What was sent may be executed all the same. */
  readonly signal?: AbortSignal | undefined;
  /** The text of the script that `EVALSHA` names, for a server that has forgotten it. */
  readonly script?: string | undefined;
}

/** Whether it is a list of commands that were described; promises of commands that run already are none. */
export const areCommands = (given: unknown): given is readonly Invocation<unknown>[] =>
  Array.isArray(given) &&
  Array.from<Partial<Invocation<unknown>> | null | undefined>(given).every(
    (one) => Array.isArray(one?.args) && typeof one.decode === "function",
  );

/** For errors: the first word, in capitals. */
export function operationOf({ args }: Pick<Invocation<unknown>, "args">): string {
  const [name = ""] = args;
  return String(name).toUpperCase();
}

/**
 * Reads a reply.
 *
 * @throws {CommandError} `CORRUPT_VALUE` where it cannot be read. Other errors of `decode` are passed on.
 */
export function decodeReply<T>(invocation: Invocation<T>, reply: unknown): T {
  try {
    return invocation.decode(reply);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const operation = operationOf(invocation);
    throw new CommandError(`${operation}: ${error.message}`, { code: "CORRUPT_VALUE", operation });
  }
}

export const asNumber = (reply: unknown): number => Number(reply);
export const isOne = (reply: unknown): boolean => Number(reply) === 1;
export const orUndefined = <T>(reply: unknown): T | undefined => (reply === null ? undefined : (reply as T));
