import diagnostics from "node:diagnostics_channel";
import { CacheError } from "@hotset/core";

/** One command that has ended, on the diagnostics channel `hotset:redis`. It has no key and no value. */
export interface CommandEvent {
  /** The command: `EXEC` for a transaction, `EVALSHA` for a script. */
  readonly operation: string;
  /** `clientName` of `createRedis`. */
  readonly client: string;
  /** From the call to its answer, waits included. */
  readonly durationMs: number;
  /** The code of the error, if it failed. */
  readonly code: string | undefined;
}

const COMMANDS = diagnostics.channel("hotset:redis");

/** No subscriber listens: the clock is not read, and no event is made. */
const UNOBSERVED = -1;

/** To be handed to {@link commandEnded}: two calls, so that no command is wrapped in a separate function. */
export const commandStart = (): number => (COMMANDS.hasSubscribers ? begunAt() : UNOBSERVED);

/** Publishes how a command ended, in the asynchronous context of its caller. */
export function commandEnded(startedAt: number, operation: string, client: string, error?: unknown): void {
  if (startedAt === UNOBSERVED) return;
  // A command that was refused here is younger than replies of the same turn.
  const durationMs = Math.max(0, readAt() - startedAt);
  const code = error === undefined ? undefined : error instanceof CacheError ? error.code : "UNKNOWN";
  COMMANDS.publish({ operation, client, durationMs, code } satisfies CommandEvent);
}

let burstAt: number | undefined;

/**
 * When the commands of this burst were begun: those that are started one after another, until the microtasks that are
 * due have run. They are sent together and share one look at the clock: decision 0153.
 */
function begunAt(): number {
  if (burstAt !== undefined) return burstAt;
  void NOW.then(endBurst);
  return (burstAt = performance.now());
}

const NOW = Promise.resolve();

function endBurst(): void {
  burstAt = undefined;
}

let turnAt: number | undefined;

/**
 * When the replies of this turn of the event loop were read. One look at the clock for all of them: it costs as much as
 * all else, and the time in which callers of earlier replies work is not Redis's: decision 0122.
 */
function readAt(): number {
  if (turnAt !== undefined) return turnAt;
  setImmediate(endTurn);
  return (turnAt = performance.now());
}

function endTurn(): void {
  turnAt = undefined;
}
