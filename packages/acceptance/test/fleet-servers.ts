/** Redis in each of the shapes that a fleet is tried over. */
import { startCluster, startOwnRedis, startProxy, startSentinel, type ClusterNode, type FaultProxy, type OwnRedis, type Reply } from "@hotset/test-servers";
import type { Place } from "./fleet-member.ts";

export type Topology = Place["topology"];
export const TOPOLOGIES: readonly Topology[] = ["single", "cluster", "sentinel"];

export interface FleetServers {
  readonly topology: Topology;
  /** As processes reach it: through {@link proxies} where there are any. */
  readonly place: Place;
  /** Of each server that clients are sent to. None behind sentinels: they name the servers themselves. */
  readonly proxies: readonly FaultProxy[];
  /** All servers with data. */
  readonly servers: readonly OwnRedis[];
  /** The one that takes the writes of this Redis key. */
  primaryOf(redisKey: string): Promise<OwnRedis>;
  /** What clients reach the primary of this key through; `undefined` behind sentinels. */
  proxyOf(redisKey: string): Promise<FaultProxy | undefined>;
  /** Those that take writes. */
  primaries(): Promise<readonly OwnRedis[]>;
  /** As redis-cli would, at the primary of `redisKey`, which is the first argument. */
  command(name: string, redisKey: string, ...more: readonly (string | number)[]): Promise<Reply>;
  /** Waits until each primary's replicas have what was acknowledged. */
  replicated(): Promise<void>;
  /** Kills the primary of this key, and waits until a replica has taken its place. */
  failOver(redisKey: string): Promise<OwnRedis>;
  /** Starts those that were killed again, as replicas where there are any. */
  healed(): Promise<void>;
  stop(): Promise<void>;
}

export interface FleetServersOptions {
  /** How long a server may be silent before others take its place, in milliseconds. @default 5000, longer than a test holds one up */
  readonly patienceMs?: number;
  readonly config?: readonly string[];
}

export async function startServers(topology: Topology, { patienceMs = 5_000, config = [] }: FleetServersOptions = {}): Promise<FleetServers> {
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
    failOver: () => Promise.reject(new Error("a single server has nobody to take its place")),
    healed: () => server.start(),
    stop: async () => {
      await proxy.close();
      await server.stop();
    },
  };
}

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
    replicated: async () => waitForReplicas(await cluster.masters()),
    failOver: async (redisKey) => {
      await (await primaryOf(redisKey)).kill();
      await cluster.waitUntilOk(40_000);
      return primaryOf(redisKey);
    },
    healed: async () => {
      for (const node of cluster.nodes) await node.start();
      await cluster.waitUntilOk(40_000);
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
    replicated: async () => waitForReplicas([await watched.primary()]),
    failOver: async () => {
      const victim = await watched.primary();
      await victim.kill();
      return watched.waitForPrimary(victim, 40_000);
    },
    healed: async () => {
      for (const server of watched.servers) if (server.state !== "running") await watched.rejoin(server);
    },
    stop: () => watched.stop(),
  };
}

async function waitForReplicas(primaries: readonly OwnRedis[]): Promise<void> {
  for (const primary of primaries) {
    const acknowledged = Number(await primary.command("WAIT", 1, 5_000));
    if (acknowledged < 1) throw new Error(`no replica of ${primary.url} has what was written`);
  }
}
