// A process with one consumer.
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
  /** Begins a consumer. */
  begin: (url: string): void => {
    redis = createRedis({ env: false, url, logger: { error: () => 0, warn: () => 0, info: () => 0 } });
    consumer(streams(redis).stream("jobs"), "processors", {}, () => undefined);
  },
  disconnect: async (): Promise<void> => redis?.disconnect(),
};

export type Handlers = typeof handlers;
answerCalls(handlers);
