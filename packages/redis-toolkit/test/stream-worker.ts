// A process with one consumer, which never ends what it handles.
import { createRedis } from "@hotset/redis-toolkit";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { answerCalls } from "@hotset/test-servers";

let held = 0;

const handlers = {
  /** Reads `count` entries, and holds them. */
  hold: (url: string, name: string, count: number): void => {
    const redis = createRedis({ env: false, url });
    const stream = streams(redis).stream(name);
    const handler = async (): Promise<void> => {
      held += 1;
      await new Promise(() => undefined);
    };
    consumer(stream, "processors", { count, concurrency: count, minIdle: "1m", name: "held" }, handler);
  },
  held: (): number => held,
};

export type Handlers = typeof handlers;
answerCalls(handlers);
