import { DecodeError } from "@hotset/core";
import { CommandError } from "../errors/command-error.ts";
import { replyError } from "../errors/reply-error.ts";
import type { Invocation } from "../module/contract.ts";

export type { Invocation };

/** Whether it is a list of commands that were described; promises of commands that run already are none. */
export const areCommands = (given: unknown): given is readonly Invocation<unknown>[] =>
  Array.isArray(given) &&
  Array.from<Partial<Invocation<unknown>> | null | undefined>(given).every(
    (one) => Array.isArray(one?.args) && typeof one.decode === "function",
  );

/** For errors: the first word, in capitals, or the call that the script carries out. */
export function operationOf({ args, operation }: Pick<Invocation<unknown>, "args" | "operation">): string {
  return operation ?? String(args[0] ?? "").toUpperCase();
}

/** The error for the caller, without the line of a script that is not the caller's. */
export const errorOf = (invocation: Invocation<unknown>, error: unknown): unknown =>
  replyError(operationOf(invocation), error, {
    isOwnScript: invocation.operation !== undefined,
    isWhole: invocation.isWhole,
  });

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
