import { setTimeout as sleep } from "node:timers/promises";
import { startProxy, type FaultProxy, type OwnRedis } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";
import { middle, type Conditions, type Figure, type Trial } from "../trial.ts";

/** Operations in one round: enough that Redis' whole microseconds do not matter. */
const OPERATIONS = 300;
const KB = 1_024;
const MB = 1_024 * KB;

/**
 * The cost of hotset as Redis pays it, beside plain commands in the same run: commands, the time that Redis spends in
 * them, and the memory that stays.
 *
 * Time is that of INFO commandstats. There the commands that a script runs are counted twice, in their own rows and in
 * the row of the script; so the time of a call is that of its scripts, and of the commands that were on the wire.
 */
export const costInRedis = ({ server, rounds }: Conditions): Trial => ({
  name: "cost",
  async run() {
    await using proxy = await startProxy(server.port);
    const cache = createCache({ name: "cost" })
      .tier(memory({ maxEntries: 1_000 }))
      .tier(redis(proxy.url).build())
      .defaults({ ttl: "1h" })
      .build();
    await cache.connect();
    const bench: Bench = { server, proxy, cache, rounds };
    const figures = [
      ...(await missAndDelete(bench)),
      ...(await largeWrites(bench)),
      ...(await memoryOfEntries(bench)),
      ...(await tagOfAnEntity(bench)),
      ...(await hitRatio(bench)),
      ...(await idle(bench)),
    ];
    await cache.close();
    return figures;
  },
});

interface Bench {
  readonly server: OwnRedis;
  readonly proxy: FaultProxy;
  readonly cache: Cache;
  readonly rounds: number;
}

let nextKey = 0;
export const newKeys = (count: number): string[] => Array.from({ length: count }, () => `key:${(nextKey += 1)}`);

async function missAndDelete(bench: Bench): Promise<Figure[]> {
  const { server, cache } = bench;
  const value = "x".repeat(200);
  const misses: Cost[] = [];
  const deletes: Cost[] = [];
  const plain: Record<"getAndSet" | "del", number[]> = { getAndSet: [], del: [] };
  for (let round = 0; round <= bench.rounds; round += 1) {
    const keys = newKeys(OPERATIONS);
    const miss = await costOf(bench, keys, (key) => cache.getOrSet(key, () => value));
    const removal = await costOf(bench, keys, (key) => cache.delete(key));
    await server.command("CONFIG", "RESETSTAT");
    for (const key of keys) {
      await server.command("GET", `plain:${key}`);
      await server.command("SET", `plain:${key}`, value, "PX", 60_000);
      await server.command("DEL", `plain:${key}`);
    }
    const stats = await commandStats(server);
    // The first one reads versions that are known afterwards.
    if (round === 0) continue;
    misses.push(miss);
    deletes.push(removal);
    plain.getAndSet.push(stats.get("get")!.eachUs + stats.get("set")!.eachUs);
    plain.del.push(stats.get("del")!.eachUs);
  }
  const beside = (values: readonly number[], what: string): string => `${what}: ${middle(values).value.toFixed(1)} us`;
  return [
    { what: "a miss with store: commands", unit: "", atMost: 5, ...middle(misses.map(({ commands }) => commands)) },
    {
      what: "a miss with store: time of Redis",
      unit: " us",
      atMost: 15,
      value: middle(misses.map(({ us }) => us)).value,
      remark: `${misses.at(-1)!.names}; ${beside(plain.getAndSet, "GET and SET PX")}`,
    },
    {
      what: "a delete: time of Redis",
      unit: " us",
      atMost: 6,
      value: middle(deletes.map(({ us }) => us)).value,
      remark: `${deletes.at(-1)!.names}; ${beside(plain.del, "DEL")}`,
    },
  ];
}

/** `set` against HSET of the same bytes. */
async function largeWrites(bench: Bench): Promise<Figure[]> {
  const { server, cache } = bench;
  const figures: Figure[] = [];
  for (const [name, bytes, writes] of [
    ["1 KB", KB, OPERATIONS],
    ["10 KB", 10 * KB, OPERATIONS],
    ["100 KB", 100 * KB, 30],
    ["1 MB", MB, 10],
    ["5 MB", 5 * MB, 5],
  ] as const) {
    const value = "x".repeat(bytes);
    const ours: number[] = [];
    const plain: number[] = [];
    for (let round = 0; round < bench.rounds; round += 1) {
      const keys = newKeys(writes);
      ours.push((await costOf(bench, keys, (key) => cache.set(key, value))).us);
      await server.command("CONFIG", "RESETSTAT");
      for (const key of keys) await server.command("HSET", `plain:${key}`, "d", value);
      plain.push((await commandStats(server)).get("hset")!.eachUs);
      await server.command("FLUSHALL");
    }
    const us = middle(ours).value;
    const plainUs = middle(plain).value;
    figures.push({
      what: `writing ${name}, in times of HSET`,
      unit: " times",
      value: us / plainUs,
      ...(bytes < 100 * KB ? undefined : { atMost: 3 }),
      remark: `${us.toFixed(0)} us; HSET: ${plainUs.toFixed(0)} us`,
    });
  }
  return figures;
}

async function memoryOfEntries({ server, cache }: Bench): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [bytes, atMost] of [
    [50, 340],
    [200, 520],
  ] as const) {
    const value = "x".repeat(bytes);
    const key = `memory:${bytes}`;
    await cache.set(key, value);
    await server.command("SET", `plain:hotset:cost::${key}`, value, "PX", 3_600_000);
    const memoryOf = async (redisKey: string): Promise<number> =>
      (await server.command("MEMORY", "USAGE", redisKey)) as number;
    figures.push({
      what: `memory of a value of ${bytes} bytes`,
      unit: " bytes",
      atMost,
      value: await memoryOf(`hotset:cost::${key}`),
      remark: `a string: ${await memoryOf(`plain:hotset:cost::${key}`)}`,
    });
  }
  return figures;
}

/** The version of a tag that one entry of one minute has. */
async function tagOfAnEntity({ server, cache }: Bench): Promise<Figure[]> {
  await cache.set("user:1", "Ada", { ttl: "1m", tags: ["user:1"] });
  const keys = (await server.command("KEYS", "hotset:{~cost*::user:1")) as readonly string[];
  const key = keys[0]!;
  return [
    {
      what: "a tag of an entity: memory",
      unit: " bytes",
      value: (await server.command("MEMORY", "USAGE", key)) as number,
    },
    {
      what: "a tag of an entity whose entry lives for a minute: life",
      unit: " min",
      atMost: 10,
      value: ((await server.command("PTTL", key)) as number) / 60_000,
    },
  ];
}

/** The ratio of INFO over misses only. */
async function hitRatio({ server, cache }: Bench): Promise<Figure[]> {
  await server.command("CONFIG", "RESETSTAT");
  for (const key of newKeys(OPERATIONS)) await cache.getOrSet(key, () => "value");
  const stats = await server.info("stats");
  const hits = Number(stats["keyspace_hits"]);
  const misses = Number(stats["keyspace_misses"]);
  return [
    {
      what: "hit ratio of INFO, of misses only",
      unit: " %",
      atMost: 10,
      value: (100 * hits) / (hits + misses),
      remark: `${(hits / OPERATIONS).toFixed(1)} hits, ${(misses / OPERATIONS).toFixed(1)} misses each`,
    },
  ];
}

async function idle({ proxy }: Bench): Promise<Figure[]> {
  const seconds = 10;
  await sleep(500);
  proxy.resetCounts();
  await sleep(seconds * 1_000);
  return [{ what: "an idle process", unit: " commands/s", atMost: 1.2, value: proxy.counts.commands / seconds }];
}

export interface Cost {
  /** Sent over the wire, for each operation. */
  readonly commands: number;
  readonly names: string;
  /** Time of Redis for each operation. */
  readonly us: number;
}

/** Runs one operation after the other, and divides by their number. */
export async function costOf(
  { server, proxy }: Pick<Bench, "server" | "proxy">,
  keys: readonly string[],
  operation: (key: string) => Promise<unknown>,
): Promise<Cost> {
  await server.command("CONFIG", "RESETSTAT");
  proxy.resetCounts();
  for (const key of keys) await operation(key);
  // All that follows the answer belongs to it.
  await sleep(20);
  const sent = Object.entries(proxy.counts.commandsByName).filter(([name]) => !HEARTBEATS.includes(name));
  const stats = await commandStats(server);
  const each = (count: number): number => count / keys.length;
  return {
    commands: sent.reduce((sum, [, count]) => sum + each(count), 0),
    names: sent
      .filter(([, count]) => each(count) >= 0.5)
      .map(([name, count]) => `${Math.round(each(count))} ${name}`)
      .join(", "),
    us: sent.reduce((sum, [name, count]) => sum + each(count) * (stats.get(name.toLowerCase())?.eachUs ?? 0), 0),
  };
}

/** They come whether or not anything is called. */
const HEARTBEATS = ["CLIENT", "PING", "ROLE", "INFO", "SCRIPT", "HELLO"];

async function commandStats(server: OwnRedis): Promise<ReadonlyMap<string, { readonly eachUs: number }>> {
  const rows = Object.entries(await server.info("commandstats"));
  return new Map(
    rows.map(([row, text]) => {
      const { calls, usec } = Object.fromEntries(text.split(",").map((field) => field.split("="))) as Record<
        string,
        string
      >;
      return [row.replace("cmdstat_", ""), { eachUs: Number(usec) / Number(calls) }];
    }),
  );
}
