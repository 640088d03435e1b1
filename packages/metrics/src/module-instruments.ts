import type { Counts, Queue } from "@hotset/redis-toolkit/queue";
import type { Consumer } from "@hotset/redis-toolkit/streams";
import type { Exporter, Instrument, Sample } from "./instrument.ts";
import { shared } from "./shared.ts";

/** By the label that each gets. */
export interface Modules {
  /** By a name for the label `queue`. */
  readonly queues: Readonly<Record<string, Pick<Queue<never>, "counts">>>;
  /** By a name for the label `consumer`. */
  readonly consumers: Readonly<Record<string, Pick<Consumer<never>, "counts" | "status">>>;
}

const JOBS: Instrument = {
  kind: "gauge",
  name: "redis.queue.jobs",
  unit: "{job}",
  help: "Jobs, by their state. Absent while Redis is down.",
  labels: ["queue", "state"],
};

const PAUSED: Instrument = {
  kind: "gauge",
  name: "redis.queue.paused",
  unit: "{queue}",
  help: "1 while a queue is paused. Absent while Redis is down.",
  labels: ["queue"],
};

const OLDEST: Instrument = {
  kind: "gauge",
  name: "redis.queue.oldest_job",
  unit: "s",
  help: "How long ago the oldest job was added that is next in its priority; 0 without one. Absent while Redis is down.",
  labels: ["queue"],
};

const LAG: Instrument = {
  kind: "gauge",
  name: "redis.consumer.lag",
  unit: "{entry}",
  help: "Entries still to be delivered to the group. Absent while Redis is down, and before Redis 7.",
  labels: ["consumer"],
};

const PENDING: Instrument = {
  kind: "gauge",
  name: "redis.consumer.pending",
  unit: "{entry}",
  help: "Entries delivered to the group and not acknowledged. Absent while Redis is down.",
  labels: ["consumer"],
};

const ENTRIES: Instrument = {
  kind: "counter",
  name: "redis.consumer.entries",
  unit: "{entry}",
  help: "Entries of a stream, by what became of them here.",
  labels: ["consumer", "outcome"],
};

export function connectModules(exporter: Exporter, { queues, consumers }: Modules): void {
  if (Object.keys(queues).length > 0) addQueues(exporter, queues);
  if (Object.keys(consumers).length > 0) addConsumers(exporter, consumers);
}

function addConsumers(exporter: Exporter, consumers: Modules["consumers"]): void {
  exporter.observe(ENTRIES, () =>
    Object.entries(consumers).flatMap(([consumer, { counts }]) =>
      Object.entries(counts).map(([outcome, count]): Sample => [{ consumer, outcome }, count]),
    ),
  );
  const statuses = shared(() => answersOf(consumers, (consumer) => consumer.status()));
  exporter.observe(LAG, async () =>
    (await statuses()).flatMap(([consumer, { lag }]) => (lag === undefined ? [] : [[{ consumer }, lag] as const])),
  );
  exporter.observe(PENDING, async () =>
    (await statuses()).map(([consumer, { pending }]): Sample => [{ consumer }, pending]),
  );
}

function addQueues(exporter: Exporter, queues: Modules["queues"]): void {
  const counts = shared(() => answersOf(queues, (queue) => queue.counts()));
  exporter.observe(JOBS, async () =>
    (await counts()).flatMap(([queue, found]) => STATES.map((state): Sample => [{ queue, state }, found[state]])),
  );
  exporter.observe(OLDEST, async () =>
    (await counts()).map(([queue, { oldestAgeMs = 0 }]): Sample => [{ queue }, oldestAgeMs / 1_000]),
  );
  exporter.observe(PAUSED, async () =>
    (await counts()).map(([queue, { isPaused }]): Sample => [{ queue }, isPaused ? 1 : 0]),
  );
}

const STATES = ["waiting", "delayed", "active", "completed", "dead"] as const satisfies readonly (keyof Counts)[];

/** The answers of those that could be asked: one that is down must not fail the collection of everything else. */
async function answersOf<T, R>(
  all: Readonly<Record<string, T>>,
  ask: (one: T) => Promise<R>,
): Promise<readonly (readonly [name: string, answer: R])[]> {
  const answers = await Promise.allSettled(
    Object.entries(all).map(async ([name, one]) => [name, await ask(one)] as const),
  );
  return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
}
