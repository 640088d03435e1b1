import diagnostics from "node:diagnostics_channel";
import { CacheError } from "@hotset/core";

/** One command that has ended, on the diagnostics channel `hotset:redis`. It has no key and no value. */
export interface CommandEvent {
  /** The command: `EXEC` for a transaction, `EVALSHA` for a script. */
  readonly operation: string;
  /** `clientName` of `createRedis`. */
  readonly client: string;
  readonly durationMs: number;
  /** The code of the error, if it failed. */
  readonly code: string | undefined;
}

const COMMANDS = diagnostics.channel("hotset:redis");

/** Runs `body`, and publishes how it ended. Without a subscriber it costs a look. */
export function observed<T>(body: () => Promise<T>, operation: string, client: string): Promise<T> {
  if (!COMMANDS.hasSubscribers) return body();
  const startedAt = performance.now();
  const ended = (code: string | undefined): void =>
    COMMANDS.publish({ operation, client, durationMs: performance.now() - startedAt, code } satisfies CommandEvent);
  return body().then(
    (result) => {
      ended(undefined);
      return result;
    },
    (error: unknown) => {
      ended(error instanceof CacheError ? error.code : "UNKNOWN");
      throw error;
    },
  );
}
