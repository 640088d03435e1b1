import diagnostics, { type TracingChannel } from "node:diagnostics_channel";
import { CacheError } from "@hotset/core";

/** The context of one command on the tracing channel `hotset:redis`. It has no key and no value. */
export interface CommandTrace {
  /** The command, in capitals: `EXEC` for a transaction, `EVALSHA` for a script. */
  readonly operation: string;
  /** `clientName` of `createRedis`. */
  readonly client: string;
  /** Once it has failed: the code of the error. */
  code?: string;
}

const COMMANDS: TracingChannel<string, CommandTrace> = diagnostics.tracingChannel("hotset:redis");

/** Runs `body`, and publishes its start and its end, without its result. Without subscribers it costs a look. */
export function traced<T>(body: () => Promise<T>, contextOf: () => CommandTrace): Promise<T> {
  if (!COMMANDS.hasSubscribers) return body();
  const context = contextOf();
  let result: T;
  const quiet = async (): Promise<void> => {
    try {
      result = await body();
    } catch (error) {
      context.code = error instanceof CacheError ? error.code : "UNKNOWN";
      throw error;
    }
  };
  return COMMANDS.tracePromise(quiet, context).then(() => result);
}
