import { createCache, json } from "@hotset/core";
import { observe } from "@hotset/prometheus";
import { redis as redisBackend, single } from "@hotset/redis";
import { createRedis } from "@hotset/redis-toolkit";
import { Registry } from "prom-client";
import { inFlight, type Scenario } from "../measure.ts";

const KEYS = 1_000;
const key = (i: number): string => `bench-metrics:${i % KEYS}`;

/** What an observation costs: at most 5 % of the throughput of commands, and of hits of a backend. */
export async function metricsScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<void> }> {
  const redis = createRedis({ url, env: false, clientName: "bench" });
  const cache = createCache({ name: "bench-metrics" })
    .tier(redisBackend(single(url)).valueFormat(json()).coherence("none").build())
    .build();
  for (let i = 0; i < KEYS; i += 1) {
    await redis.commands.set(key(i), "x".repeat(64), { ttl: "1h" });
    await cache.set(key(i), { text: "x".repeat(64) }, { ttl: "1h" });
  }
  const pair = (name: string, call: (i: number) => Promise<unknown>): Scenario => {
    const run = (operations: number): Promise<void> => inFlight(64, operations, call);
    return {
      name: `metrics, ${name}, 64 in flight`,
      operations: 20_000,
      shows: "speed",
      target: 0.95,
      raw: { name: "without", run },
      hotset: {
        name: "observed",
        async run(operations) {
          const observation = observe({ register: new Registry(), redis: [redis], caches: [cache] });
          await run(operations);
          observation.close();
        },
      },
    };
  };
  return {
    scenarios: [
      pair("a GET of the toolkit", (i) => redis.commands.get(key(i))),
      pair("a hit of a backend", (i) => cache.get(key(i))),
    ],
    async close() {
      await Promise.all([redis.disconnect(), cache.close()]);
    },
  };
}
