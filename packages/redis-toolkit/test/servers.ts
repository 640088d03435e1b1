import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cluster, fromClient, sentinel, single } from "@hotset/redis";
import { createRedis, type Redis, type RedisOptions } from "@hotset/redis-toolkit";
import { http } from "@hotset/redis/http";
import {
  isNightly,
  startAclRedis,
  startCluster,
  startOwnRedis,
  startRestProxy,
  startSentinel,
  type AclRedis,
  type OwnRedis,
  type TestCluster,
  type TestSentinel,
  until,
} from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterAll, beforeAll } from "vitest";

/** Nothing of the environment of the tests. A test whose Redis does not answer, and that waits for that, waits less. */
export const ALONE: RedisOptions = { env: false, commandTimeout: "60s", backoff: { base: 10, max: 100 } };

export type Where =
  | "one server"
  | "one server over RESP2"
  | "a cluster"
  | "sentinels"
  | "a client of the user"
  | "HTTP"
  | "ioredis 5"
  | "ioredis 6";

/** One server; the long form of the tests runs over the other ways, too. */
export const EVERYWHERE: readonly Where[] = isNightly
  ? ["one server", "one server over RESP2", "a cluster", "sentinels", "a client of the user", "ioredis 6"]
  : ["one server"];

export interface Servers {
  readonly single: OwnRedis;
  /** Started by the first call. */
  cluster(): Promise<TestCluster>;
  /** Started by the first call. */
  sentinel(): Promise<TestSentinel>;
  /** Closed after the tests. */
  open(where: Where, options?: RedisOptions): Promise<Redis>;
}

export interface ServersOptions {
  /**
   * The user of docs/operations/users.acl as which tests over one server run. A refused command fails the file.
   *
   * @default one with all rights
   */
  readonly user?: string;
  /** `any` for tests whose keys do not begin as the user's: its commands are those of the file all the same. */
  readonly keys?: "own" | "any";
}

/** Also where no connection is needed: modules that only run scripts and commands. */
export const ALSO_OVER_HTTP: readonly Where[] = [...EVERYWHERE, "HTTP"];

/** One server for the tests of one file; a cluster of three and a group with sentinels where a test asks for one. */
export function startServers({ user, keys = "own" }: ServersOptions = {}): Servers {
  let single_: OwnRedis & Partial<Pick<AclRedis, "urlOf">>;
  let cluster_: Promise<TestCluster> | undefined;
  let sentinel_: Promise<TestSentinel> | undefined;
  // With less the nodes may count one as failed that a test only stalls.
  const startedCluster = () => (cluster_ ??= startCluster({ replicas: 0, nodeTimeoutMs: 30_000 }));
  // The default of sentinels. With less they may replace a primary that a test only stalls, amid the next test.
  const startedSentinel = () => (sentinel_ ??= startSentinel({ downAfterMs: 30_000 }));
  const closing: (() => unknown)[] = [];
  beforeAll(async () => {
    single_ = await (user === undefined ? startOwnRedis() : startAclRedis({ users: [lineOf(user, keys)] }));
  });
  afterAll(async () => {
    await Promise.all(closing.map((close) => close()));
    const refused = user === undefined ? [] : await single_.command("ACL", "LOG");
    await Promise.all([single_.stop(), (await cluster_)?.stop(), (await sentinel_)?.stop()]);
    if (Array.isArray(refused) && refused.length > 0)
      throw new Error(`users.acl refuses the user ${user} what its tests need: ${JSON.stringify(refused)}`);
  });
  const placeOf = async (where: Where): Promise<RedisOptions> => {
    switch (where) {
      case "one server over RESP2":
        return { connection: await connectionTo(where), protocol: 2 };
      case "ioredis 5":
      case "ioredis 6": {
        const { Redis } = (await import(where === "ioredis 5" ? "ioredis" : "ioredis6")) as typeof import("ioredis");
        const client = new Redis(single_.url, { autoResendUnfulfilledCommands: false, enableOfflineQueue: false });
        client.on("error", () => undefined);
        await once(client, "ready");
        closing.push(() => client.disconnect());
        return { client };
      }
      default:
        return { connection: await connectionTo(where), ...(where === "HTTP" ? {} : { protocol: 3 }) };
    }
  };
  const connectionTo = async (
    where: Exclude<Where, "ioredis 5" | "ioredis 6">,
  ): Promise<RedisOptions["connection"] & object> => {
    switch (where) {
      case "one server":
      case "one server over RESP2":
        return single(user === undefined ? single_.url : single_.urlOf!(user, PASSWORD));
      case "HTTP": {
        const login = user === undefined ? {} : { username: user, password: PASSWORD };
        const proxy = await startRestProxy({ redisPort: single_.port, ...login });
        closing.push(() => proxy.close());
        return http({ url: proxy.url, token: proxy.token });
      }
      case "a cluster":
        return cluster((await startedCluster()).urls);
      case "sentinels": {
        const { sentinels, name } = await startedSentinel();
        return sentinel(
          sentinels.map(({ url }) => url),
          { primaryName: name },
        );
      }
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
    cluster: startedCluster,
    sentinel: startedSentinel,
    open: async (where, options = {}) => {
      const redis = createRedis({ ...ALONE, ...(await placeOf(where)), ...options });
      closing.unshift(() => redis.disconnect());
      if (where === "a cluster" || where === "sentinels") await untilUp(redis);
      return redis;
    },
  };
}

/** Until its connections are open. The first command of a client waits for them, within its own deadline. */
export const untilUp = (redis: Redis): Promise<unknown> => until("its connections", () => redis.commands.dbSize());

/**
 * The whole seconds, rounded up, that may be left of so many since a time of `performance.now()`: one number, unless
 * a second may have passed.
 */
export function secondsLeft(of: number, since: number): readonly number[] {
  // Redis counts whole milliseconds.
  const least = Math.ceil(of - (performance.now() - since + 2) / 1_000);
  return Array.from({ length: of - least + 1 }, (_, passed) => of - passed);
}

const PASSWORD = "secret";

/** Its line, for keys and channels of tenants as well. */
function lineOf(user: string, keys: "own" | "any"): string {
  const file = join(import.meta.dirname, "../../../docs/operations/users.acl");
  const line = readFileSync(file, "utf8")
    .split("\n")
    .find((text) => text.startsWith(`user ${user} `));
  if (line === undefined) throw new Error(`users.acl lacks the user ${user}`);
  const own = line.replace("CHANGE-ME", PASSWORD);
  return keys === "own" ? own.replaceAll(/([~&])(\S+:\*)/g, "$1$2 $1*:$2") : `${own} ~* &*`;
}
