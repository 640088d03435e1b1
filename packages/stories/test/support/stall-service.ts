/** A process that the test stops and resumes. Run by outage/stalled-loop.nightly.test.ts. */
import { createCache, json, type TierState } from "@hotset/core";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";
import { LAYOUT } from "./layout.ts";

export interface StallServiceSettings {
  readonly url: string;
  readonly keyPrefix: string;
}

const { url, keyPrefix } = JSON.parse(process.argv[2]!) as StallServiceSettings;
const cache = createCache({ name: "shop" })
  .tier(memory())
  .tier(redis(url).layout(LAYOUT).keyPrefix(keyPrefix).valueFormat(json()).build())
  .defaults({ ttl: "10m" })
  .build();
const errors: string[] = [];
const states: TierState[] = [];
cache.on("backend:error", ({ error }) => errors.push(error.message));
let reads: readonly Promise<unknown>[] = [];
let writes: readonly Promise<{ readonly status: string }>[] = [];
const seen: { readonly value: unknown; readonly at: number }[] = [];

const handlers = {
  /** Connects, and keeps a copy of `key`, which is read from now on in each turn of a timer. */
  async hold(key: string): Promise<unknown> {
    await cache.connect();
    cache.on("backend:state", ({ state }) => states.push(state));
    const value = await cache.get(key);
    setInterval(() => {
      const at = Date.now();
      void cache.get(key).then((found) => seen.push({ value: found, at }));
    }, 5).unref();
    return value;
  },

  /** Sends these calls, and waits for none. */
  begin(readKeys: readonly string[], writeKeys: readonly string[]): void {
    reads = readKeys.map((key) => cache.get(key));
    writes = writeKeys.map((key) => cache.set(key, "new"));
  },

  outcome: async (): Promise<{
    readonly values: readonly unknown[];
    readonly statuses: readonly string[];
    readonly errors: readonly string[];
    readonly states: readonly TierState[];
  }> => ({
    values: await Promise.all(reads),
    statuses: (await Promise.all(writes)).map(({ status }) => status),
    errors,
    states,
  }),

  /** The values of the held key that calls since `at`, in epoch milliseconds, have found. */
  seenSince: (at: number): readonly unknown[] => [
    ...new Set(seen.filter((each) => each.at >= at).map(({ value }) => value)),
  ],
};

export type StallService = typeof handlers;

answerCalls(handlers);
