import type { Cache } from "@hotset/core";
import type { Observed } from "@hotset/metrics";
import type { Redis } from "@hotset/redis-toolkit";

/** Options with one of each thing that can be observed, so that every instrument is made. */
export const everything = (cache: Cache, redis: Redis): Observed => ({
  caches: [cache],
  namespaces: true,
  backendCalls: true,
  redis: [redis],
  queues: { jobs: { counts: () => Promise.reject(new Error("away")) } },
  consumers: {
    entries: {
      counts: { handled: 0, failed: 0, redelivered: 0, buried: 0, deleted: 0, groupsCreated: 0 },
      status: () => Promise.reject(new Error("away")),
    },
  },
  followers: {
    products: {
      stats: () => ({ role: "following", lagBytes: 1, lagMs: 2, changes: 3, calls: 4, clears: 5 }),
    },
  },
  http: {
    pages: {
      stats: () => ({
        ...{ hits: 0, stale: 0, revalidated: 0, misses: 0, collapsed: 0, passed: {} },
        ...{ bytesFromCache: 0, bytesFromOrigin: 0 },
      }),
    },
  },
  process: true,
});
