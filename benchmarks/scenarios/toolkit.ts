import { createRedis } from "@hotset/redis-toolkit";
import { startCluster } from "@hotset/test-servers";
import { createClient, createCluster } from "@redis/client";
import { inFlight, type Scenario } from "../measure.ts";

const KEYS = 2_000;
const VALUE = "x".repeat(64);
const key = (i: number): string => `bench-toolkit:${i % KEYS}`;
const DEADLINE_MS = 5_000;

/** GET of 64 bytes by the toolkit, against node-redis: bare with a timer for each call, and with its defaults. */
export async function toolkitScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<void> }> {
  const bare = await createClient({ url, commandOptions: { timeout: 0 } }).connect();
  const withDefaults = await createClient({ url }).connect();
  const redis = createRedis({ url, env: false });
  const nodes = await startCluster({ replicas: 0 });
  const clusterClient = await createCluster({ rootNodes: nodes.urls.map((node) => ({ url: node })) }).connect();
  const bareCluster = clusterClient.withCommandOptions({ timeout: 0 });
  const inCluster = createRedis({ cluster: nodes.urls, env: false });
  for (const { commands } of [redis, inCluster])
    await Promise.all(Array.from({ length: KEYS }, (_, i) => commands.set(key(i), VALUE)));

  const bounded = (i: number): Promise<unknown> => withTimer(bare.sendCommand(["GET", key(i)]));
  const scenarios = [50, 500].flatMap((limit): Scenario[] => {
    const get = (commands: typeof redis.commands) => ({
      name: "commands.get",
      run: (operations: number) => inFlight(limit, operations, (i) => commands.get(key(i))),
    });
    const shared = { operations: 40_000, shows: "speed" } as const;
    return [
      {
        ...shared,
        name: `toolkit GET, ${limit} in flight, a timer for each call`,
        raw: { name: "sendCommand", run: (operations) => inFlight(limit, operations, bounded) },
        hotset: get(redis.commands),
        target: 0.9,
      },
      {
        ...shared,
        name: `toolkit GET, ${limit} in flight, node-redis by default`,
        raw: {
          name: "client.get",
          run: (operations) => inFlight(limit, operations, (i) => withDefaults.get(key(i))),
        },
        hotset: get(redis.commands),
        target: 3,
      },
      {
        ...shared,
        name: `toolkit GET, ${limit} in flight, cluster`,
        raw: { name: "cluster.get", run: (operations) => inFlight(limit, operations, (i) => bareCluster.get(key(i))) },
        hotset: get(inCluster.commands),
        target: 0.8,
      },
    ];
  });
  return {
    scenarios,
    async close() {
      await Promise.all([redis.disconnect(), inCluster.disconnect()]);
      await Promise.all([bare.close(), withDefaults.close(), clusterClient.close()]);
      await nodes.stop();
    },
  };
}

/** As a caller would bound a reply that may never come. */
function withTimer(reply: Promise<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(reject, DEADLINE_MS, new Error("overdue"));
    reply.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
