import { InvalidArgumentError, type Duration } from "@hotset/core";
import { keepAlive } from "@hotset/core/internal";
import type { RedisArgument } from "../keys/key-space.ts";
import { checkFunction, checkOptions, checkSignal, durationMs, type Module } from "../module/module.ts";

/** Options of {@link Health.monitor}. */
export interface MonitorOptions {
  /** Must be `true`: each command of every client is written a second time, to this process. */
  readonly iKnowItHalvesThroughput: true;
  /** How long the monitor runs; it ends without a call. At most 10 minutes. @default '10s' */
  readonly duration?: Duration | undefined;
  /** Ends the monitor earlier. */
  readonly signal?: AbortSignal | undefined;
  /** Decides the server in a cluster. @default any primary */
  readonly key?: RedisArgument | undefined;
}

const LONGEST_MS = 600_000;

/** Calls `listener` with each command that one server runs, on a separate connection. */
export async function monitor(
  { connection, space, clock }: Module,
  listener: (line: string) => void,
  options: MonitorOptions,
): Promise<void> {
  checkOptions("monitor(listener, options)", options, ["iKnowItHalvesThroughput", "duration", "signal", "key"]);
  if (options?.iKnowItHalvesThroughput !== true)
    throw new InvalidArgumentError(
      "monitor(listener, options): MONITOR halves the throughput of the server; pass { iKnowItHalvesThroughput: true }",
    );
  checkFunction("monitor(listener, options): listener", listener);
  const { signal, key, duration = 10_000 } = options;
  const forMs = durationMs("monitor: duration", duration, { max: LONGEST_MS });
  checkSignal("monitor: signal", signal);
  const place = key === undefined ? undefined : { key: space.inside(key) };
  const ended = Promise.withResolvers<void>();
  // A connection that is lost before MONITOR was answered rejects that, too.
  ended.promise.catch(() => undefined);
  const socket = await connection.open({ role: "blocking", ...place, ...(signal && { signal }) });
  const end = (): void => ended.resolve();
  socket.onLost((error) => ended.reject(error));
  const cancel = clock.schedule(end, forMs);
  signal?.addEventListener("abort", end, { once: true });
  // While the connection opened, nothing listened to it.
  if (signal?.aborted === true) end();
  try {
    await socket.monitor(listener);
    await keepAlive(clock, ended.promise);
  } finally {
    await socket.close();
    cancel();
    signal?.removeEventListener("abort", end);
  }
}
