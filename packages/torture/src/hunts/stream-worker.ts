// A worker of the hunt for streams: a consumer that writes each number to a file once it was handled.
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis, type RedisOptions } from "@hotset/redis-toolkit";
import { consumer, streams, type Consumer } from "@hotset/redis-toolkit/streams";
import { answerCalls } from "@hotset/test-servers";

export interface Work {
  readonly address: Pick<RedisOptions, "url" | "cluster" | "sentinels" | "sentinelName">;
  readonly stream: string;
  /** Gets a line for each entry that was handled. */
  readonly file: string;
}

let running: Consumer<Record<string, string>> | undefined;

const handlers = {
  begin: ({ address, stream, file }: Work): void => {
    const redis = createRedis({ env: false, ...address, commandTimeout: "1s", backoff: { base: 10, max: 100 } });
    const options = { count: 10, concurrency: 4, block: "200ms", minIdle: 500, maxDeliveries: 6 } as const;
    const onError = (): undefined => undefined;
    running = consumer(streams(redis).stream(stream), "processors", { ...options, onError }, async ({ fields }) => {
      const number = String(fields["number"]);
      await sleep(2);
      if (fields["poison"] !== undefined) throw new Error("poison");
      appendFileSync(file, `${number}\n`);
    });
  },
  stop: async (): Promise<void> => running?.stop(),
};

export type Handlers = typeof handlers;
answerCalls(handlers);
