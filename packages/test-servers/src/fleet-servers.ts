/** Redis in each topology over which a fleet is tested. */
import { startCluster, type ClusterNode, type TestCluster } from "./cluster.ts";
import { startProxy, type FaultProxy } from "./proxy.ts";
import { startOwnRedis, type OwnRedis } from "./redis.ts";
import { untilReplicated } from "./replication.ts";
import type { Reply } from "./resp-client.ts";
import { startSentinel } from "./sentinel.ts";
import { until } from "./until.ts";

/** The address of Redis. */
export type Place =
  | { readonly topology: "single"; readonly url: string }
  | { readonly topology: "cluster"; readonly urls: readonly string[]; readonly readFromReplicas?: boolean }
  | { readonly topology: "sentinel"; readonly urls: readonly string[]; readonly primaryName: string };

export type Topology = Place["topology"];
export const TOPOLOGIES: readonly Topology[] = ["single", "cluster", "sentinel"];

export interface FleetServers {
  readonly topology: Topology;
  /** The address for clients, which leads through {@link proxies} if there are any. */
  readonly place: Place;
  /** One for each server that clients are sent to. Empty with sentinels, which name the servers themselves. */
  readonly proxies: readonly FaultProxy[];
  /** All servers with data. */
  readonly servers: readonly OwnRedis[];
  /** The server that takes the writes of this Redis key. */
  primaryOf(redisKey: string): Promise<OwnRedis>;
  /** The proxy between clients and the primary of this key. `undefined` with sentinels. */
  proxyOf(redisKey: string): Promise<FaultProxy | undefined>;
  /** The servers that take writes. */
  primaries(): Promise<readonly OwnRedis[]>;
  /** Sends a command as redis-cli would, to the primary of `redisKey`, which is the first argument. */
  command(name: string, redisKey: string, ...more: readonly (string | number)[]): Promise<Reply>;
  /** Waits until a replica of each primary has all acknowledged writes. */
  replicated(): Promise<void>;
  /** Kills the primary of this key and waits until a replica has taken its place. */
  failOver(redisKey: string): Promise<OwnRedis>;
  /** Makes a replica the primary of this key. The old primary stays up. */
  changeOver(redisKey: string): Promise<void>;
  /** Cuts the replication from the primary of this key. Its replicas still answer clients. */
  cutReplicas(redisKey: string): Promise<void>;
  readonly cluster: TestCluster | undefined;
  /** Starts killed servers again, as replicas if the topology has replicas. */
  healed(): Promise<void>;
  stop(): Promise<void>;
}

export interface FleetServersOptions {
  /** How long a server may be silent before another takes its place, in milliseconds. @default 5000 */
  readonly patienceMs?: number;
  readonly config?: readonly string[];
}

export async function startServers(
  topology: Topology,
  { patienceMs = 5_000, config = [] }: FleetServersOptions = {},
): Promise<FleetServers> {
  switch (topology) {
    case "single":
      return singleServer(config);
    case "cluster":
      return clusterServers(patienceMs, config);
    case "sentinel":
      return sentinelServers(patienceMs, config);
  }
}

async function singleServer(config: readonly string[]): Promise<FleetServers> {
  const server = await startOwnRedis({ config });
  const proxy = await startProxy(server.port);
  return {
    topology: "single",
    place: { topology: "single", url: proxy.url },
    proxies: [proxy],
    servers: [server],
    primaryOf: () => Promise.resolve(server),
    proxyOf: () => Promise.resolve(proxy),
    primaries: () => Promise.resolve([server]),
    command: (name, redisKey, ...more) => server.command(name, redisKey, ...more),
    replicated: () => Promise.resolve(),
    failOver: () => Promise.reject(noReplica()),
    changeOver: () => Promise.reject(noReplica()),
    cutReplicas: () => Promise.reject(noReplica()),
    cluster: undefined,
    healed: () => server.start(),
    stop: async () => {
      await proxy.close();
      await server.stop();
    },
  };
}

const noReplica = (): Error => new Error("a single server has no replica to take its place");

async function clusterServers(patienceMs: number, config: readonly string[]): Promise<FleetServers> {
  const cluster = await startCluster({ proxied: true, nodeTimeoutMs: patienceMs, config });
  const primaryOf = (redisKey: string): Promise<ClusterNode> => cluster.ownerOf(redisKey);
  return {
    topology: "cluster",
    place: { topology: "cluster", urls: cluster.urls },
    proxies: cluster.nodes.map(({ proxy }) => proxy!),
    servers: cluster.nodes,
    primaryOf,
    proxyOf: async (redisKey) => (await primaryOf(redisKey)).proxy,
    primaries: () => cluster.masters(),
    command: async (name, redisKey, ...more) => (await primaryOf(redisKey)).command(name, redisKey, ...more),
    replicated: async () => {
      for (const primary of await cluster.masters()) await untilReplicated(primary);
    },
    failOver: async (redisKey) => {
      await (await primaryOf(redisKey)).kill();
      await cluster.waitUntilOk();
      return primaryOf(redisKey);
    },
    changeOver: async (redisKey) => {
      const [replica] = await cluster.replicas(await primaryOf(redisKey));
      await cluster.promote(replica!);
    },
    cutReplicas: async (redisKey) => cutReplicasOf(await primaryOf(redisKey)),
    cluster,
    healed: async () => {
      for (const node of cluster.nodes) await node.start();
      await cluster.waitUntilOk();
    },
    stop: () => cluster.stop(),
  };
}

async function sentinelServers(patienceMs: number, config: readonly string[]): Promise<FleetServers> {
  const watched = await startSentinel({ downAfterMs: patienceMs, config });
  return {
    topology: "sentinel",
    place: { topology: "sentinel", urls: watched.sentinels.map(({ url }) => url), primaryName: watched.name },
    proxies: [],
    servers: watched.servers,
    primaryOf: () => watched.primary(),
    proxyOf: () => Promise.resolve(undefined),
    primaries: async () => [await watched.primary()],
    command: async (name, redisKey, ...more) => (await watched.primary()).command(name, redisKey, ...more),
    replicated: async () => untilReplicated(await watched.primary()),
    failOver: async () => {
      const victim = await watched.primary();
      await victim.kill();
      return watched.waitForPrimary(victim);
    },
    changeOver: async () => {
      await watched.failover();
    },
    cutReplicas: async () => cutReplicasOf(await watched.primary()),
    cluster: undefined,
    healed: async () => {
      for (const server of watched.servers) if (server.state !== "running") await watched.rejoin(server);
    },
    stop: () => watched.stop(),
  };
}

/**
 * Sets a password that the replicas do not know, and cuts their connections. Other open connections stay. `CONFIG SET
 * requirepass ""` undoes it.
 */
async function cutReplicasOf(primary: OwnRedis): Promise<void> {
  await primary.command("CONFIG", "SET", "requirepass", "unknown to the replicas");
  await primary.command("CLIENT", "KILL", "TYPE", "replica");
  await until(
    "a primary without replicas",
    async () => (await primary.info("replication"))["connected_slaves"] === "0",
  );
}
