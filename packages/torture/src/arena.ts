import {
  startCluster,
  startOwnRedis,
  startProxy,
  startSentinel,
  until,
  type FaultProxy,
  type OwnRedis,
  type Place,
  type TestCluster,
  type TestSentinel,
} from "@hotset/test-servers";
import type { Plan, Topology } from "./plan-parts.ts";

/** The servers of one round. */
export interface Arena extends AsyncDisposable {
  readonly topology: Topology;
  /** The address for one worker: through a proxy of its own where that is possible. */
  place(worker: number): Promise<Place>;
  readonly single: OwnRedis | undefined;
  readonly sentinel: TestSentinel | undefined;
  readonly cluster: TestCluster | undefined;
  /** The proxies: one for each worker on a single server, one for each node of a cluster. */
  readonly proxies: readonly FaultProxy[];
  /** The servers that take writes now. */
  primaries(): Promise<readonly OwnRedis[]>;
  /** Ends every fault and waits until the servers work again. */
  heal(): Promise<void>;
  /** Waits until the servers that are up agree on the primary. */
  settle(): Promise<void>;
}

/** Servers that outlive a round; starting a cluster takes seconds. */
export interface Arenas extends AsyncDisposable {
  /** For one round: an own server, or the topology of the round before, emptied. */
  enter(plan: Plan): Promise<Arena>;
}

export function arenas(): Arenas {
  const kept = new Map<string, Arena>();
  return {
    enter: async (plan) => {
      if (plan.topology === "single") return openSingle(plan);
      const { topology, settings, focus } = plan;
      const name = `${topology} ${settings.downAfter}`;
      const before = kept.get(name);
      if (before !== undefined) {
        try {
          await before.heal();
          for (const primary of await before.primaries()) await primary.command("FLUSHALL");
          return shared(before);
        } catch {
          // Servers that cannot be healed are started again.
          kept.delete(name);
          await before[Symbol.asyncDispose]();
        }
      }
      // Through proxies, which one process runs, a hundred could not keep up with slots that move.
      const open = topology === "sentinel" ? openSentinel : openCluster;
      const arena = await open(settings.downAfter, focus !== "resharding");
      kept.set(name, arena);
      return shared(arena);
    },
    [Symbol.asyncDispose]: async () =>
      void (await Promise.all([...kept.values()].map((arena) => arena[Symbol.asyncDispose]()))),
  };
}

/** Not closed with the round. */
const shared = (arena: Arena): Arena => ({ ...arena, [Symbol.asyncDispose]: async () => undefined });

async function openSingle({ settings, focus }: Plan): Promise<Arena> {
  const redis = await startOwnRedis({
    config: settings.persistence === "append-only" ? ["appendonly yes", "appendfsync always"] : [],
    hasOwnClock: focus === "clocks",
  });
  const proxies: FaultProxy[] = [];
  return {
    topology: "single",
    single: redis,
    sentinel: undefined,
    cluster: undefined,
    proxies,
    place: async (worker) => {
      proxies[worker] ??= await startProxy(redis.port);
      return { topology: "single", url: proxies[worker].url };
    },
    primaries: async () => [redis],
    settle: () => Promise.resolve(),
    heal: async () => {
      if (redis.state === "paused") redis.resume();
      await redis.start();
      for (const proxy of proxies) await proxy?.pass();
      await unpause(redis);
    },
    [Symbol.asyncDispose]: async () => {
      for (const proxy of proxies) await proxy?.close();
      await redis.stop();
    },
  };
}

async function openSentinel(downAfterMs: number): Promise<Arena> {
  const sentinel = await startSentinel({ replicas: 2, downAfterMs });
  return {
    topology: "sentinel",
    single: undefined,
    sentinel,
    cluster: undefined,
    proxies: [],
    place: async () => ({
      topology: "sentinel",
      urls: sentinel.sentinels.map(({ url }) => url),
      primaryName: sentinel.name,
    }),
    primaries: async () => [await sentinel.primary()],
    settle: () => sentinel.waitUntilSettled(),
    heal: () =>
      insist(async () => {
        for (const each of sentinel.sentinels) {
          await each.start();
          each.resume();
        }
        for (const server of sentinel.servers) if (server.state === "paused") server.resume();
        for (const server of sentinel.servers) if (server.state !== "running") await sentinel.rejoin(server);
        await sentinel.waitUntilSettled();
      }),
    [Symbol.asyncDispose]: () => sentinel.stop(),
  };
}

async function openCluster(downAfterMs: number, proxied: boolean): Promise<Arena> {
  const cluster = await startCluster({ proxied, nodeTimeoutMs: Math.max(1_000, downAfterMs) });
  return {
    topology: "cluster",
    single: undefined,
    sentinel: undefined,
    cluster,
    proxies: cluster.nodes.flatMap(({ proxy }) => proxy ?? []),
    place: async () => ({ topology: "cluster", urls: cluster.urls }),
    primaries: () => cluster.masters(),
    settle: () => cluster.waitUntilOk(),
    heal: () =>
      insist(async () => {
        for (const node of cluster.nodes) {
          if (node.state === "paused") node.resume();
          await node.start();
          await node.proxy?.pass();
        }
        await cluster.waitUntilOk();
        for (const node of cluster.nodes) await unpause(node);
      }),
    [Symbol.asyncDispose]: () => cluster.stop(),
  };
}

/** Servers that change their roles close connections, the tests' own among them. */
const insist = async (work: () => Promise<void>): Promise<void> =>
  void (await until("the servers to work again", () => work().then(() => true)));

async function unpause(redis: OwnRedis): Promise<void> {
  await redis.command("CLIENT", "UNPAUSE");
  await redis.command("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction");
}
