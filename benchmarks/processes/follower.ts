/** The process that follows, for follow.ts. */
import { createCache, json } from "@hotset/core";
import { memory } from "@hotset/memory";
import { follow, type Follower } from "@hotset/postgres-follow";
import { redis } from "@hotset/redis";
import { answerCalls } from "@hotset/test-servers";
import pg from "pg";

let follower: Follower;
const lags: number[] = [];

export const handlers = {
  begin: async (redisUrl: string, postgresUrl: string): Promise<void> => {
    const cache = createCache({ name: "bench" })
      .tier(memory())
      .tier(redis(redisUrl).valueFormat(json()).build())
      .build();
    await cache.connect();
    follower = await follow(new pg.Pool({ connectionString: postgresUrl }), cache, {
      publication: "bench",
      tables: { items: ({ id }: { readonly id: number }) => ({ tags: [`tag ${id % 1_000}`] }) },
      logger: { warn: () => undefined },
    });
    setInterval(() => lags.push(follower.stats().lagMs ?? 0), 5);
  },
  figures: (): { readonly changes: number; readonly calls: number; readonly cpuMs: number } => {
    const { user, system } = process.cpuUsage();
    const { changes, calls } = follower.stats();
    return { changes, calls, cpuMs: (user + system) / 1_000 };
  },
  lags: (): readonly number[] => lags.splice(0).toSorted((one, other) => one - other),
};

answerCalls(handlers);
