/** A process with a wrong wall clock. Run by redis/defects-of-peers.integration.test.ts. */
import { createCache, json } from "@hotset/core";
import { redis } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";
import { LAYOUT } from "./layout.ts";

export interface ClockServiceSettings {
  readonly url: string;
  readonly keyPrefix: string;
  /** How far its clock is ahead, in milliseconds. Negative values are behind. */
  readonly offsetMs: number;
}

const { url, keyPrefix, offsetMs } = JSON.parse(process.argv[2]!) as ClockServiceSettings;
const wallClock = Date.now;
Date.now = () => wallClock() + offsetMs;
const cache = createCache({ name: "shop" })
  .tier(redis(url).layout(LAYOUT).keyPrefix(keyPrefix).valueFormat(json()).responseTimeout("20s").build())
  .defaults({ ttl: "10m" })
  .build();

const handlers = {
  /** Also connects, since on a busy machine a first call may take longer than its deadline. */
  now: async (): Promise<number> => {
    await cache.connect();
    return Date.now();
  },
  set: async (key: string, value: string, tag: string): Promise<string> =>
    (await cache.set(key, value, { tags: [tag] })).status,
  get: (key: string): Promise<unknown> => cache.get(key),
  invalidateTags: async (tag: string): Promise<string> => (await cache.invalidateTags(tag)).status,
  freshForMs: async (key: string): Promise<number | undefined> => (await cache.inspect(key))?.freshForMs,
};

export type ClockService = typeof handlers;

answerCalls(handlers);
