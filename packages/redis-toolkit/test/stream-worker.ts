// A process with one consumer.
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { answerCalls } from "@hotset/test-servers";

let held = 0;
let redis: Redis | undefined;

const handlers = {
  /** Reads `count` entries, and holds them. */
  hold: (url: string, name: string, count: number): void => {
    const stream = streams(createRedis({ env: false, url })).stream(name);
    const handler = async (): Promise<void> => {
      held += 1;
      await new Promise(() => undefined);
    };
    consumer(stream, "processors", { count, concurrency: count, minIdle: "1m", name: "held" }, handler);
  },
  held: (): number => held,
  /** Writes the number of each entry to `file` once it was handled. */
  handle: (url: string, name: string, file: string): void => {
    const options = { count: 10, block: "200ms", minIdle: 500, maxDeliveries: 6, onError: () => undefined } as const;
    redis = createRedis({ env: false, url, commandTimeout: "1s", backoff: { base: 10, max: 100 } });
    consumer(streams(redis).stream(name), "processors", options, async ({ fields }) => {
      await sleep(2);
      if (fields["poison"] !== undefined) throw new Error("poison");
      appendFileSync(file, `${String(fields["number"])}\n`);
    });
  },
  /** Begins a consumer. */
  begin: (url: string): void => {
    redis = createRedis({ env: false, url, logger: { error: () => 0, warn: () => 0, info: () => 0 } });
    consumer(streams(redis).stream("jobs"), "processors", {}, () => undefined);
  },
  disconnect: async (): Promise<void> => redis?.disconnect(),
};

export type Handlers = typeof handlers;
answerCalls(handlers);
