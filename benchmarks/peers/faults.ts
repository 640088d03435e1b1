import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, startOwnRedis, startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import type { Product } from "../contenders/contender.ts";
import type { FaultWorker } from "./fault-worker.ts";
import type { Scenario, Side } from "./scenario.ts";
import type { Metrics } from "./workloads.ts";

const WORKER = new URL("fault-worker.ts", import.meta.url);
const BEFORE_MS = 1_500;
/** How long one lasts. */
const FAULT_MS = 3_000;
const AFTER_MS = 3_000;
/** Calls that have not been answered so long after the last one was made count as never answered. */
export const PATIENCE_MS = 12_000;

interface Servers {
  readonly server: OwnRedis;
  readonly proxy: FaultProxy;
}

interface Fault {
  readonly name: string;
  readonly what: string;
  begin(servers: Servers): Promise<unknown>;
  end(servers: Servers): Promise<unknown>;
}

const FAULTS: readonly Fault[] = [
  {
    name: "frozen",
    what: "Redis is stopped by SIGSTOP and goes on after 3 s",
    begin: async ({ server }) => server.pause(),
    end: async ({ server }) => server.resume(),
  },
  {
    name: "killed",
    what: "Redis is killed, and started empty after 3 s",
    begin: ({ server }) => server.kill(),
    end: ({ server }) => server.start(),
  },
  {
    name: "restarted empty",
    what: "Redis is killed and started at once, empty",
    begin: ({ server }) => server.restart(),
    end: async () => undefined,
  },
  {
    name: "slow by 200 ms",
    what: "each answer of Redis comes 200 ms late, for 3 s",
    begin: async ({ proxy }) => proxy.delay({ toClient: 200 }),
    end: async ({ proxy }) => proxy.delay(0),
  },
  {
    name: "cut silently",
    what: "bytes vanish in both directions for 3 s, and on the connections of that time for ever",
    begin: async ({ proxy }) => proxy.swallow(),
    end: ({ proxy }) => proxy.pass(),
  },
  {
    name: "full",
    what: "Redis refuses writes for want of memory, for 3 s",
    begin: ({ server }) => server.command("CONFIG", "SET", "maxmemory", "1"),
    end: ({ server }) => server.command("CONFIG", "SET", "maxmemory", "0"),
  },
];

/** One Redis and one process for each contender, and what its callers notice. */
export const faultScenarios: readonly Scenario[] = FAULTS.map((fault) => ({
  name: `fault: ${fault.name}`,
  what: `${fault.what}; 200 reads and 20 changes of the source a second`,
  shows: { metric: "failed", unit: "", better: "less" },
  takesPart: ({ kind, shapes }) => kind !== "limit" && (shapes.includes("both") || shapes.includes("redis")),
  rounds: 1,
  // Each has little to do, and waits.
  isParallel: true,
  open: (product, { scale }) => open(fault, product, scale),
}));

async function open(fault: Fault, product: Product, scale: number): Promise<Side> {
  const server = await startOwnRedis();
  const proxy = await startProxy(server.port);
  const shape = product.shapes.includes("both") ? "both" : "redis";
  const worker = forkScript<FaultWorker>(WORKER, {
    execArgv: ["--no-warnings"],
    env: { NODE_ENV: "production" },
    callTimeoutMs: 90_000,
  });
  const close = async (): Promise<void> => {
    await worker.kill();
    await proxy.close();
    await server.stop();
  };
  try {
    await worker.call("open", product.name, shape, proxy.url);
  } catch (error) {
    await close();
    throw error;
  }
  return { round: () => suffer(fault, { server, proxy }, worker, scale), close };
}

async function suffer(
  fault: Fault,
  servers: Servers,
  worker: ReturnType<typeof forkScript<FaultWorker>>,
  scale: number,
): Promise<Metrics> {
  const forMs = (BEFORE_MS + FAULT_MS + AFTER_MS) * scale;
  const traffic = worker.call("traffic", forMs, PATIENCE_MS * scale);
  // Its failure is thrown where it is awaited.
  traffic.catch(() => undefined);
  await sleep(BEFORE_MS * scale);
  await worker.call("mark", "fault");
  await fault.begin(servers);
  await sleep(FAULT_MS * scale);
  await fault.end(servers);
  const healedMs = await untilStored(servers.server, worker, 10_000 * scale);
  return { ...(await traffic), healedMs };
}

/** From the end of the fault until a value that this process loads is found in Redis. */
async function untilStored(
  { command }: OwnRedis,
  worker: ReturnType<typeof forkScript<FaultWorker>>,
  boundMs: number,
): Promise<number> {
  const startedAt = performance.now();
  for (let i = 0; performance.now() - startedAt < boundMs; i += 1) {
    const name = `probe${i}x`;
    await worker.call("probe", name);
    await sleep(25);
    const [, found] = (await command("SCAN", "0", "MATCH", "*probe*", "COUNT", "10000")) as [string, string[]];
    if (found.length > 0) return performance.now() - startedAt;
  }
  return Infinity;
}
