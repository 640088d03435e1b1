import { cluster, fromClient, sentinel, single } from "@hotset/redis";
import { createRedis, type Redis, type RedisOptions } from "@hotset/redis-toolkit";
import {
  startCluster,
  startOwnRedis,
  startSentinel,
  type OwnRedis,
  type TestCluster,
  type TestSentinel,
} from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterAll, beforeAll } from "vitest";

/** Nothing of the environment of the tests. */
export const ALONE: RedisOptions = { env: false, commandTimeout: "2s", backoff: { base: 10, max: 100 } };

export type Where = "one server" | "one server over RESP2" | "a cluster" | "sentinels" | "a client of the user";

export const EVERYWHERE: readonly Where[] = [
  "one server",
  "one server over RESP2",
  "a cluster",
  "sentinels",
  "a client of the user",
];

export interface Servers {
  readonly single: OwnRedis;
  readonly cluster: TestCluster;
  readonly sentinel: TestSentinel;
  /** Closed after the tests. */
  open(where: Where, options?: RedisOptions): Promise<Redis>;
}

/** One server, a cluster of three and a group with sentinels, for the tests of one file. */
export function startServers(): Servers {
  let single_: OwnRedis;
  let cluster_: TestCluster;
  let sentinel_: TestSentinel;
  const closing: (() => unknown)[] = [];
  beforeAll(async () => {
    [single_, cluster_, sentinel_] = await Promise.all([
      startOwnRedis(),
      startCluster({ replicas: 0 }),
      startSentinel(),
    ]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all(closing.map((close) => close()));
    await Promise.all([single_.stop(), cluster_.stop(), sentinel_.stop()]);
  });
  const connectionTo = async (where: Where): Promise<RedisOptions["connection"] & object> => {
    switch (where) {
      case "one server":
      case "one server over RESP2":
        return single(single_.url);
      case "a cluster":
        return cluster(cluster_.urls);
      case "sentinels":
        return sentinel(
          sentinel_.sentinels.map(({ url }) => url),
          { primaryName: sentinel_.name },
        );
      case "a client of the user": {
        const client = createClient({ url: single_.url });
        client.on("error", () => undefined);
        await client.connect();
        closing.push(() => client.destroy());
        return fromClient(client);
      }
    }
  };
  return {
    get single() {
      return single_;
    },
    get cluster() {
      return cluster_;
    },
    get sentinel() {
      return sentinel_;
    },
    open: async (where, options = {}) => {
      const connection = await connectionTo(where);
      const protocol = where === "one server over RESP2" ? 2 : 3;
      const redis = createRedis({ ...ALONE, connection, protocol, ...options });
      closing.unshift(() => redis.disconnect());
      return redis;
    },
  };
}
