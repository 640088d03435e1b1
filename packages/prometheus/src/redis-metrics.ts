import diagnostics from "node:diagnostics_channel";
import type { CommandEvent, Redis } from "@hotset/redis-toolkit";
import { Metrics, type MetricSettings, type Sample } from "./metrics.ts";

/** Names of commands are few, but `send` takes any: further ones are counted as `other`. */
const MAX_OPERATIONS = 500;

/** @returns a function that ends it */
export function observeRedis(clients: readonly Redis[], settings: MetricSettings): () => void {
  const metrics = new Metrics(settings);
  const end = addCommands(metrics, clients);
  const each = (read: (redis: Redis) => readonly Sample[]) => () =>
    clients.flatMap((redis) =>
      read(redis).map(([labels, value]): Sample => [{ client: redis.clientName, ...labels }, value]),
    );
  metrics.measured(
    "redis_up",
    "1 while a command could be sent.",
    ["client"],
    each(({ isReady }) => [[{}, isReady ? 1 : 0]]),
  );
  metrics.measured(
    "redis_commands_in_flight",
    "Commands on the shared connection without a reply.",
    ["client"],
    each((redis) => [[{}, redis.stats().inFlight]]),
  );
  metrics.measured(
    "redis_pool_connections",
    "Exclusive connections.",
    ["client", "state"],
    each((redis) => {
      const { idle, inUse } = redis.stats().pool;
      return [
        [{ state: "idle" }, idle],
        [{ state: "in_use" }, inUse],
      ];
    }),
  );
  metrics.measured(
    "redis_pool_waiting",
    "Callers in line for an exclusive connection.",
    ["client"],
    each((redis) => [[{}, redis.stats().pool.waiting]]),
  );
  metrics.counted(
    "redis_losses_total",
    "How often Redis was lost.",
    ["client"],
    each((redis) => [[{}, redis.stats().losses]]),
  );
  metrics.counted(
    "redis_lenient_failures_total",
    "Failures that lenient commands answered with a default.",
    ["client", "command", "code"],
    each((redis) =>
      [...redis.lenient.failures].map(([name, count]): Sample => {
        const [command = "", code = ""] = name.split(" ");
        return [{ command, code }, count];
      }),
    ),
  );
  return () => {
    end();
    metrics.remove();
  };
}

function addCommands(metrics: Metrics, clients: readonly Redis[]): () => void {
  const names = new Set(clients.map(({ clientName }) => clientName));
  const known = new Set<string>();
  const durations = metrics.histogram("redis_command_duration_seconds", "Commands, by name.");
  const errors = metrics.counter("redis_command_errors_total", "Commands that failed.", [
    "client",
    "operation",
    "code",
  ]);
  const ended = (event: unknown): void => {
    const { client, operation: name, durationMs, code } = event as CommandEvent;
    if (!names.has(client)) return;
    if (known.size < MAX_OPERATIONS) known.add(name);
    const operation = known.has(name) ? name : "other";
    durations.observe(`${client} ${operation}`, { client, operation }, durationMs / 1_000);
    if (code !== undefined) errors.inc({ client, operation, code });
  };
  diagnostics.subscribe("hotset:redis", ended);
  return () => void diagnostics.unsubscribe("hotset:redis", ended);
}
