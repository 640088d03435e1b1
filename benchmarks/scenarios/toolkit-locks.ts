import { createRedis } from "@hotset/redis-toolkit";
import { locks } from "@hotset/redis-toolkit/lock";
import { startProxy, type OwnRedis } from "@hotset/test-servers";
import { Redis as IoRedis } from "ioredis";
import Redlock from "redlock";
import { inFlight, type Scenario } from "../measure.ts";
import { commandFigures } from "../server-figures.ts";
import type { Conditions, Figure, Trial } from "../trial.ts";

const TTL_MS = 10_000;
const WAITERS = 50;

/** Takes and releases one lock. */
interface Side {
  readonly name: string;
  hold(lock: string): Promise<unknown>;
  close(): Promise<unknown>;
}

function ours(url: string): Side {
  const redis = createRedis({ url, env: false });
  const lock = locks(redis, { ttl: `${TTL_MS}ms`, wait: "10m" });
  return {
    name: "locks",
    hold: async (name) => (await lock.acquire(name)).release(),
    close: () => redis.disconnect(),
  };
}

function redlock(url: string): Side {
  const client = new IoRedis(url);
  client.on("error", () => undefined);
  // Its own pauses: 200 ms with 100 ms of jitter. Without an end, as ours wait here.
  const lock = new Redlock([client], { retryCount: 1_000_000 });
  lock.on("error", () => undefined);
  return {
    name: "redlock",
    hold: async (name) => (await lock.acquire([`redlock:${name}`], TTL_MS)).release(),
    close: () => client.quit(),
  };
}

/** Taking and releasing locks on one server, by hotset and by redlock. */
export async function toolkitLockScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<void> }> {
  const [raw, hotset] = [redlock(url), ours(url)];
  const uncontended = (limit: number): Scenario => ({
    name: `toolkit locks, no contention, ${limit} at once`,
    operations: limit === 1 ? 2_000 : 10_000,
    shows: "speed",
    target: 1,
    counts: "locks",
    raw: { name: raw.name, run: (operations) => inFlight(limit, operations, (i) => raw.hold(`free ${i % 1_000}`)) },
    hotset: {
      name: hotset.name,
      run: (operations) => inFlight(limit, operations, (i) => hotset.hold(`free ${i % 1_000}`)),
    },
  });
  const contended: Scenario = {
    name: `toolkit locks, ${WAITERS} waiters for one`,
    operations: 4 * WAITERS,
    shows: "speed",
    target: 1,
    counts: "locks",
    raw: { name: raw.name, run: (operations) => crowds(raw, operations) },
    hotset: { name: hotset.name, run: (operations) => crowds(hotset, operations) },
  };
  return {
    scenarios: [uncontended(1), uncontended(WAITERS), contended],
    async close() {
      await Promise.all([raw.close(), hotset.close()]);
    },
  };
}

/** Callers that want one lock at the same time, until the last of them has had it; then the next ones. */
async function crowds(side: Side, operations: number): Promise<void> {
  for (let served = 0; served < operations; served += WAITERS)
    await Promise.all(Array.from({ length: WAITERS }, () => side.hold("wanted")));
}

/** Commands and time of Redis for a lock that is taken and released. */
export const locksOnTheWire = ({ server, url }: Conditions): Trial => ({
  name: "toolkit locks in Redis",
  async run() {
    const figures: Figure[] = [];
    for (const make of [redlock, ours]) {
      const side = make(url);
      const cost = async (what: string, operations: number, run: () => Promise<unknown>) => {
        await side.hold("first");
        await server.command("CONFIG", "RESETSTAT");
        await run();
        const scripts = await commandFigures(server, ["evalsha"]);
        figures.push(
          { what: `${side.name}, ${what}: scripts for a lock`, value: scripts.calls / operations, unit: "" },
          {
            what: `${side.name}, ${what}: time of Redis for a lock`,
            value: scripts.microseconds / operations,
            unit: " us",
          },
        );
      };
      await cost("no contention", 2_000, () => inFlight(1, 2_000, (i) => side.hold(`free ${i}`)));
      await cost(`${WAITERS} waiters`, 4 * WAITERS, () => crowds(side, 4 * WAITERS));
      await side.close();
      figures.push(await afterLostReply(server, make));
    }
    return figures;
  },
});

/** The connection is lost when Redis has the lock and its caller does not know. */
async function afterLostReply(server: OwnRedis, make: (url: string) => Side): Promise<Figure> {
  await using proxy = await startProxy(server.port);
  const side = make(proxy.url);
  await side.hold("first");
  const hold = proxy.hold("EVALSHA", "reply");
  const before = performance.now();
  const held = side.hold("lost");
  await hold.reached;
  proxy.cut();
  hold.release();
  await held;
  const value = performance.now() - before;
  await side.close();
  return {
    what: `${side.name}: a lock whose reply was lost is had after`,
    value,
    unit: " ms",
    remark: `ttl ${TTL_MS} ms`,
  };
}
