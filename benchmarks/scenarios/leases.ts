import { setTimeout as sleep } from "node:timers/promises";
import { startProxy, type TrafficCounts } from "@hotset/test-servers";
import { type Backend, type Cache, createCache, memory, redis } from "hotset";
import { inFlight, type Scenario } from "../measure.ts";
import { middle, type Conditions, type Figure, type Trial } from "../trial.ts";

const value = { id: 7, name: "Ada Lovelace", roles: ["admin", "editor"], bio: "x".repeat(100) };

/** Misses with a loader that costs nothing, with the lease and without: the whole cost of a miss is ours. */
export async function leaseScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<void> }> {
  const { leased, unleased } = await twoCaches(url);
  let next = 0;
  const misses =
    (cache: Cache, limit: number) =>
    (operations: number): Promise<void> =>
      inFlight(limit, operations, () => cache.getOrSet(`miss:${(next += 1)}`, () => value));
  return {
    scenarios: [1, 64].map((limit) => ({
      name: `miss with a lease, ${limit} in flight`,
      raw: { name: "the same cache without leases", run: misses(unleased, limit) },
      hotset: { name: "getOrSet", run: misses(leased, limit) },
      operations: limit === 1 ? 2_000 : 10_000,
      shows: "cost" as const,
      counts: "loads",
      rest: () => sleep(20),
    })),
    async close() {
      await Promise.all([leased.close(), unleased.close()]);
    },
  };
}

/** The commands of one miss, counted at a proxy, with the lease and without. */
export const missOnTheWire = ({ server }: Conditions): Trial => ({
  name: "a miss on the wire",
  async run() {
    await using proxy = await startProxy(server.port);
    const { leased, unleased } = await twoCaches(proxy.url);
    const wire: Record<"leased" | "unleased", Sent[]> = { leased: [], unleased: [] };
    for (let i = 0; i < 60; i += 1) {
      for (const [name, cache] of [
        ["leased", leased],
        ["unleased", unleased],
      ] as const) {
        await sleep(5);
        const before = proxy.counts;
        await cache.getOrSet(`wire:${i}`, () => value);
        const answered = proxy.counts;
        await sleep(10);
        // The first ones read tag versions that are known afterwards.
        if (i >= 10)
          wire[name].push({
            commands: commandsOf(proxy.counts) - commandsOf(before),
            awaited: commandsOf(answered) - commandsOf(before),
            trips: answered.roundTrips - before.roundTrips,
          });
      }
    }
    await Promise.all([leased.close(), unleased.close()]);
    const of = (name: "leased" | "unleased", what: keyof Sent): number =>
      middle(wire[name].map((sent) => sent[what])).value;
    const extra = (what: keyof Sent): Pick<Figure, "value" | "remark"> => ({
      value: of("leased", what) - of("unleased", what),
      remark: `${of("leased", what)} with the lease, ${of("unleased", what)} without`,
    });
    return [
      { what: "commands more", unit: "", atMost: 3, ...extra("commands") },
      { what: "of these, commands that the caller waits for", unit: "", atMost: 2, ...extra("awaited") },
      { what: "round trips more", unit: "", atMost: 1, ...extra("trips") },
    ];
  },
});

interface Sent {
  readonly commands: number;
  readonly awaited: number;
  readonly trips: number;
}

/** Without the heartbeats, which come whether or not there is a miss. */
const commandsOf = ({ commands, commandsByName }: TrafficCounts): number =>
  HEARTBEATS.reduce((others, name) => others - (commandsByName[name] ?? 0), commands);
const HEARTBEATS = ["CLIENT", "PING", "ROLE"];

async function twoCaches(url: string): Promise<{ readonly leased: Cache; readonly unleased: Cache }> {
  const [leased, unleased] = [redis(url).build(), withoutLeases(redis(url).build())].map((backend, i) =>
    createCache({ name: `lease-${i}` })
      .tier(memory())
      .tier(backend)
      .defaults({ ttl: "1h" })
      .build(),
  ) as [Cache, Cache];
  await Promise.all([leased.connect(), unleased.connect()]);
  return { leased, unleased };
}

/** The same backend, without leases. */
function withoutLeases(backend: Backend): Backend {
  return {
    label: backend.label,
    format: backend.format,
    compressor: backend.compressor,
    read: (key) => backend.read(key),
    write: (key, entry) => backend.write(key, entry),
    remove: (key) => backend.remove(key),
    markStale: (key) => backend.markStale!(key),
    connect: () => backend.connect!(),
    close: () => backend.close(),
    batch: backend.batch!,
    tagVersions: backend.tagVersions!,
    coherence: backend.coherence!,
  };
}
