import type { Counts, Queue } from "@hotset/redis-toolkit/queue";
import type { Consumer } from "@hotset/redis-toolkit/streams";
import { Metrics, type MetricSettings, type Sample } from "./metrics.ts";

/** By the label that each gets. */
export interface Modules {
  readonly queues: Readonly<Record<string, Pick<Queue<never>, "counts">>>;
  readonly consumers: Readonly<Record<string, Pick<Consumer<never>, "counts">>>;
}

/** @returns a function that ends it */
export function observeModules({ queues, consumers }: Modules, settings: MetricSettings): () => void {
  const metrics = new Metrics(settings);
  if (Object.keys(queues).length > 0) {
    metrics.measured("redis_queue_jobs", "Jobs, by their state. Absent while Redis is away.", ["queue", "state"], () =>
      ofQueues(queues, (counts) =>
        Object.entries(counts).flatMap(([state, count]) =>
          typeof count === "number" ? [[{ state }, count] as const] : [],
        ),
      ),
    );
    metrics.measured("redis_queue_paused", "1 while a queue is paused. Absent while Redis is away.", ["queue"], () =>
      ofQueues(queues, ({ isPaused }) => [[{}, isPaused ? 1 : 0]]),
    );
  }
  if (Object.keys(consumers).length > 0)
    metrics.counted(
      "redis_consumer_entries_total",
      "Entries of a stream, by what became of them here.",
      ["consumer", "outcome"],
      () =>
        Object.entries(consumers).flatMap(([consumer, { counts }]) =>
          Object.entries(counts).map(([outcome, count]): Sample => [{ consumer, outcome }, count]),
        ),
    );
  return () => metrics.remove();
}

/** A queue that cannot be asked must not fail the scrape of everything else. */
async function ofQueues(
  queues: Modules["queues"],
  read: (counts: Counts) => readonly Sample[],
): Promise<readonly Sample[]> {
  const all = await Promise.allSettled(
    Object.entries(queues).map(async ([name, queue]) =>
      read(await queue.counts()).map(([labels, value]): Sample => [{ queue: name, ...labels }, value]),
    ),
  );
  return all.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
}
