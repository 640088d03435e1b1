import diagnostics from "node:diagnostics_channel";
import type { CommandEvent, Redis } from "@hotset/redis-toolkit";
import type { Exporter, Instrument, Recorder, Sample } from "./instrument.ts";
import { Tally } from "./tally.ts";

/** An instrument that is read from a client. */
interface OfClient extends Instrument {
  readonly read: (redis: Redis) => readonly Sample[];
}

const OF_CLIENTS: readonly OfClient[] = [
  {
    kind: "gauge",
    name: "redis.up",
    unit: "{client}",
    help: "1 while a command could be sent.",
    labels: [],
    read: ({ isReady }) => [[{}, isReady ? 1 : 0]],
  },
  {
    kind: "gauge",
    name: "redis.commands_in_flight",
    unit: "{command}",
    help: "Commands on the shared connection without a reply.",
    labels: [],
    read: (redis) => [[{}, redis.stats().inFlight]],
  },
  {
    kind: "gauge",
    name: "redis.pool.connections",
    unit: "{connection}",
    help: "Exclusive connections.",
    labels: ["state"],
    read: (redis) => {
      const { idle, inUse } = redis.stats().pool;
      return [
        [{ state: "idle" }, idle],
        [{ state: "in_use" }, inUse],
      ];
    },
  },
  {
    kind: "gauge",
    name: "redis.pool.waiting",
    unit: "{caller}",
    help: "Callers in line for an exclusive connection.",
    labels: [],
    read: (redis) => [[{}, redis.stats().pool.waiting]],
  },
  {
    kind: "counter",
    name: "redis.losses",
    unit: "{loss}",
    help: "How often Redis was lost.",
    labels: [],
    read: (redis) => [[{}, redis.stats().losses]],
  },
  {
    kind: "counter",
    name: "redis.lenient_failures",
    unit: "{command}",
    help: "Failures that lenient commands answered with a default.",
    labels: ["command", "code"],
    read: (redis) =>
      [...redis.lenient.failures].map(([name, count]): Sample => {
        const [command = "", code = ""] = name.split(" ");
        return [{ command, code }, count];
      }),
  },
  {
    kind: "counter",
    name: "redis.received",
    unit: "By",
    help: "Bytes received, on the wire. 0 over a client of the user.",
    labels: [],
    read: (redis) => [[{}, redis.stats().connection.bytesReceived]],
  },
  {
    kind: "counter",
    name: "redis.sent",
    unit: "By",
    help: "Bytes sent, on the wire. 0 over a client of the user.",
    labels: [],
    read: (redis) => [[{}, redis.stats().connection.bytesSent]],
  },
  {
    kind: "counter",
    name: "redis.retries",
    unit: "{command}",
    help: "Reads that were sent again.",
    labels: [],
    read: (redis) => [[{}, redis.stats().connection.retries]],
  },
  {
    kind: "counter",
    name: "redis.reconnects",
    unit: "{connection}",
    help: "How often the shared connection was lost and came back.",
    labels: [],
    read: (redis) => [[{}, redis.stats().connection.reconnects]],
  },
  {
    kind: "gauge",
    name: "redis.pool.size",
    unit: "{connection}",
    help: "Exclusive connections, idle and in use.",
    labels: [],
    read: (redis) => [[{}, redis.stats().pool.size]],
  },
  {
    kind: "counter",
    name: "redis.locks",
    unit: "{lock}",
    help: "Locks that were acquired, that others held until the wait had ended, and that were lost while held.",
    labels: ["outcome"],
    read: (redis) => {
      const { locksAcquired, locksUnavailable, locksLost } = redis.stats().modules;
      return outcomes({ acquired: locksAcquired, unavailable: locksUnavailable, lost: locksLost });
    },
  },
  {
    kind: "counter",
    name: "redis.lock_wait",
    unit: "s",
    help: "Time that acquisitions of locks have waited for others.",
    labels: [],
    read: (redis) => [[{}, redis.stats().modules.lockWaitMs / 1_000]],
  },
  {
    kind: "counter",
    name: "redis.limit.decisions",
    unit: "{call}",
    help: "Decisions of rate limits.",
    labels: ["outcome"],
    read: (redis) => {
      const { limitsAllowed, limitsRefused } = redis.stats().modules;
      return outcomes({ allowed: limitsAllowed, refused: limitsRefused });
    },
  },
  {
    kind: "counter",
    name: "redis.limit.degraded",
    unit: "{call}",
    help: "Decisions of rate limits that were made without Redis.",
    labels: [],
    read: (redis) => [[{}, redis.stats().modules.limitsDegraded]],
  },
  {
    kind: "counter",
    name: "redis.sessions",
    unit: "{call}",
    help: "Sessions that were created, found, missing and ended.",
    labels: ["outcome"],
    read: (redis) => {
      const { sessionsCreated, sessionsFound, sessionsMissing, sessionsEnded } = redis.stats().modules;
      return outcomes({
        created: sessionsCreated,
        found: sessionsFound,
        missing: sessionsMissing,
        ended: sessionsEnded,
      });
    },
  },
  {
    kind: "counter",
    name: "redis.pubsub.dropped",
    unit: "{message}",
    help: "Messages that subscriptions left out: the reader was too slow, or they could not be read.",
    labels: ["reason"],
    read: (redis) => {
      const { messagesDropped, messagesCorrupt } = redis.stats().modules;
      return [
        [{ reason: "overflow" }, messagesDropped],
        [{ reason: "corrupt" }, messagesCorrupt],
      ];
    },
  },
  {
    kind: "counter",
    name: "redis.pubsub.gaps",
    unit: "{gap}",
    help: "How often subscriptions were interrupted: messages may have been missed.",
    labels: [],
    read: (redis) => [[{}, redis.stats().modules.subscriptionGaps]],
  },
];

const outcomes = (counts: Readonly<Record<string, number>>): readonly Sample[] =>
  Object.entries(counts).map(([outcome, count]): Sample => [{ outcome }, count]);

const COMMAND_DURATION: Instrument = {
  kind: "histogram",
  name: "redis.command.duration",
  unit: "s",
  help: "Commands, by name.",
  labels: ["client", "operation"],
};

const COMMAND_ERRORS: Instrument = {
  kind: "counter",
  name: "redis.command.errors",
  unit: "{command}",
  help: "Commands that failed.",
  labels: ["client", "operation", "code"],
};

/** @returns a function that ends it */
export function connectRedis(exporter: Exporter, clients: readonly Redis[]): () => void {
  for (const { read, ...instrument } of OF_CLIENTS)
    exporter.observe({ ...instrument, labels: ["client", ...instrument.labels] }, () =>
      clients.flatMap((redis) =>
        read(redis).map(([labels, value]): Sample => [{ client: redis.clientName, ...labels }, value]),
      ),
    );
  return addCommands(exporter, clients);
}

/** Names of commands are few, but `send` takes any: further ones of a client are counted as `other`. */
const MAX_OPERATIONS = 500;

function addCommands(exporter: Exporter, clients: readonly Redis[]): () => void {
  const series = exporter.histogram(COMMAND_DURATION);
  const errors = new Tally();
  exporter.observe(COMMAND_ERRORS, () => errors.samples());
  const ofClients = new Map(clients.map(({ clientName }) => [clientName, new Map<string, Recorder>()]));
  const add = (recorders: Map<string, Recorder>, client: string, name: string): Recorder => {
    const operation = recorders.size < MAX_OPERATIONS ? name : OTHER;
    const recorder = recorders.get(operation) ?? series({ client, operation });
    recorders.set(operation, recorder);
    return recorder;
  };
  // For each command: no text is made, and nothing is created but for a new name.
  const ended = (event: unknown): void => {
    const { client, operation, durationMs, code } = event as CommandEvent;
    const recorders = ofClients.get(client);
    if (recorders === undefined) return;
    (recorders.get(operation) ?? add(recorders, client, operation))(durationMs / 1_000);
    if (code !== undefined) errors.add({ client, operation: recorders.has(operation) ? operation : OTHER, code });
  };
  diagnostics.subscribe("hotset:redis", ended);
  return () => void diagnostics.unsubscribe("hotset:redis", ended);
}

const OTHER = "other";
