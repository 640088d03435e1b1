import { isRedirection } from "../primitives/faults.ts";

export type Commands = readonly (readonly (string | Buffer)[])[];

/** The commands that are sent for a burst, and how its results are found among the replies. */
export interface SentBurst {
  readonly sent: Commands;
  resultsOf(replies: readonly unknown[]): readonly unknown[];
}

export const asIs = (commands: Commands): SentBurst => ({ sent: commands, resultsOf: (replies) => replies });

/**
 * For a node that a slot is being moved to. ASKING applies to the next command, or to the whole transaction that this
 * command begins; inside of one it would be queued.
 */
export function withAsking(commands: Commands): SentBurst {
  const sent: (readonly (string | Buffer)[])[] = [];
  const positions: number[] = [];
  let isInside = false;
  for (const command of commands) {
    if (!isInside) sent.push(["ASKING"]);
    positions.push(sent.length);
    sent.push(command);
    isInside = isInsideAfter(command, isInside);
  }
  return { sent, resultsOf: (replies) => positions.map((position) => replies[position]) };
}

/** Whether no command of a burst was executed: each was redirected, or is in a transaction that was aborted. */
export function isUnexecuted(commands: Commands, results: readonly unknown[]): boolean {
  let isInside = false;
  return commands.every((command, index) => {
    const wasInside = isInside;
    isInside = isInsideAfter(command, isInside);
    const result = results[index];
    if (isRedirection(result) || isAborted(result) || WITHOUT_EFFECT.has(nameOf(command))) return true;
    return wasInside && isInside;
  });
}

function isInsideAfter(command: readonly (string | Buffer)[], isInside: boolean): boolean {
  const name = nameOf(command);
  return name === "MULTI" || (isInside && name !== "EXEC" && name !== "DISCARD");
}

const nameOf = ([name]: readonly (string | Buffer)[]): string => String(name).toUpperCase();

const isAborted = (result: unknown): boolean => result instanceof Error && result.message.startsWith("EXECABORT ");

const WITHOUT_EFFECT: ReadonlySet<string> = new Set(["MULTI", "DISCARD", "WATCH", "UNWATCH"]);
