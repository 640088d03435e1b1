/**
 * Counts what calls cost, in a process that does nothing else: `node --expose-gc measure.ts <url>` prints {@link Costs}
 * for each call as JSON, and empties that Redis. All but the bytes are exact. The least of many calls counts, so that
 * what only a slow answer or a timer brings does not.
 */
import { createHook } from "node:async_hooks";
import { Session } from "node:inspector/promises";
import { RespClient } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";

/** For one call. */
export interface Costs {
  readonly promises: number;
  /** Calls of functions in `packages`, and the files in which they are. */
  readonly entries: number;
  readonly files: number;
  /** Reads of the clock. */
  readonly clock: number;
  /** As Redis counts them, those within scripts included; and the keys that it tracks afterwards. */
  readonly commands: number;
  readonly tracked: number;
  /** Allocated, and of it what outlives a young collection. */
  readonly bytes: number;
  readonly outliving: number;
}

const url = process.argv[2]!;
const ALONE = 40;
const ROUNDS = 7;
const CALLS = 20;
const WARM = 400;
/** So many calls side by side, and as many in all, while bytes are sampled. */
const LANES = 64;
const SAMPLED = 3_000;
const BATCH = 100;
const HITS = Array.from({ length: 8 }, (_, i) => Array.from({ length: BATCH }, (__, j) => `hit${i}:${j}`));
const value = { id: 1, name: "Ada Lovelace", text: "x".repeat(140), tags: ["a", "b"], n: 12345 };

let serial = 0;
const nextKey = (): string => `k${(serial += 1)}`;
/** Entries to delete: copies that this process knows nothing of. */
const COPIES = "for i = 1, 25000 do redis.call('COPY', 'hotset:both::hit', 'hotset:both::copy' .. i) end";
let deleted = 0;
const load = (): Promise<object> => Promise.resolve(value);

const inMemory = memory({ maxEntries: 1_000 });
const shared = createCache({ name: "shared" }).tier(redis(url).build()).defaults({ ttl: "1h" }).build();
const both = createCache({ name: "both" })
  .tier(memory({ maxEntries: 1_000 }))
  .tier(redis(url).build());
const twoTiers = both.defaults({ ttl: "1h" }).build();
const alone = createCache({ name: "alone" }).tier(inMemory).defaults({ ttl: "1h" }).build();
const admin = RespClient.fromUrl(url);

const loadMany = (keys: readonly string[]): Promise<(readonly [string, object])[]> =>
  Promise.resolve(keys.map((key) => [key, value] as const));
const batch = (cache: Cache): Promise<unknown> =>
  cache.getOrSetMany(Array.from({ length: BATCH }, nextKey), (key) => key, loadMany);

const calls: Readonly<Record<string, () => Promise<unknown>>> = {
  "miss, memory over Redis": () => twoTiers.getOrSet(nextKey(), load),
  "miss, Redis alone": () => shared.getOrSet(nextKey(), load),
  "miss, memory alone": () => alone.getOrSet(nextKey(), load),
  "hit in Redis": () => shared.getOrSet("hit", load),
  "hit in memory": () => twoTiers.getOrSet("hit", load),
  set: () => twoTiers.set(nextKey(), value),
  delete: () => twoTiers.delete(`copy${(deleted += 1)}`),
  "delete of nothing": () => twoTiers.delete(nextKey()),
  "batch of 100": () => batch(twoTiers),
  "batch of 100 hits": () => shared.getOrSetMany(HITS[(serial += 1) % HITS.length]!, String, loadMany),
};

await admin.command("FLUSHALL");
await Promise.all([shared, twoTiers, alone].map((cache) => cache.connect()));
for (const cache of [shared, twoTiers]) await cache.set("hit", value);
await shared.setMany(HITS.flat().map((key) => [key, value] as const));
await admin.command("EVAL", COPIES, 0);

const session = new Session();
session.connect();
await session.post("Profiler.enable");
await session.post("HeapProfiler.enable");

const costs: Record<string, Costs> = {};
for (const [name, call] of Object.entries(calls)) {
  const isBatch = name.startsWith("batch");
  const sampled = isBatch ? SAMPLED / BATCH : SAMPLED;
  for (let i = 0; i < (isBatch ? WARM / 10 : WARM); i += 1) await call();
  costs[name] = {
    promises: await leastOf(ALONE, () => promises(call, isBatch ? 1 : 5)),
    ...(await entries(call)),
    ...(await commands(call)),
    bytes: await leastOf(2, () => bytes(call, sampled, "all")),
    outliving: await leastOf(4, () => bytes(call, sampled, "those that outlive a young collection")),
  };
}
console.log(JSON.stringify(costs));
process.exit(0);

async function leastOf(rounds: number, measure: () => Promise<number>): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < rounds; i += 1) least = Math.min(least, await measure());
  return least;
}

async function promises(call: () => Promise<unknown>, times: number): Promise<number> {
  let count = 0;
  const hook = createHook({ init: (_, type) => void (type === "PROMISE" && (count += 1)) });
  hook.enable();
  for (let i = 0; i < times; i += 1) await call();
  hook.disable();
  return Math.round(count / times);
}

/** By V8's precise coverage: the least number of times that each function was entered by a call. */
async function entries(call: () => Promise<unknown>): Promise<Pick<Costs, "entries" | "files" | "clock">> {
  let least: ReadonlyMap<string, number> | undefined;
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  for (let i = 0; i < ALONE; i += 1) {
    await session.post("Profiler.takePreciseCoverage");
    await call();
    const { result } = await session.post("Profiler.takePreciseCoverage");
    const round = new Map<string, number>();
    for (const { url: file, functions } of result) {
      if (!/packages\/[^/]+\/src\//.test(file) || file.includes("/test-servers/")) continue;
      for (const { functionName, ranges } of functions) {
        const { count, startOffset } = ranges[0]!;
        const name = `${file} ${startOffset} ${functionName}`;
        round.set(name, Math.min(count, least?.get(name) ?? count));
      }
    }
    least = new Map([...round].filter(([name]) => least === undefined || least.has(name)));
  }
  await session.post("Profiler.stopPreciseCoverage");
  let [sum, clock] = [0, 0];
  const files = new Set<string>();
  for (const [name, count] of least!) {
    sum += count;
    files.add(name.slice(0, name.indexOf(" ")));
    if (name.endsWith(" now") && name.includes("/core/src/contracts/clock.ts ")) clock += count;
  }
  return { entries: sum, files: files.size, clock };
}

async function commands(call: () => Promise<unknown>): Promise<Pick<Costs, "commands" | "tracked">> {
  let least = { commands: Infinity, tracked: Infinity };
  for (let i = 0; i < ROUNDS; i += 1) {
    await admin.command("CONFIG", "RESETSTAT");
    const before = await stat(/tracking_total_keys:(\d+)/);
    for (let j = 0; j < CALLS; j += 1) await call();
    const tracked = ((await stat(/tracking_total_keys:(\d+)/)) - before) / CALLS;
    const text = String(await admin.command("INFO", "commandstats"));
    let sum = 0;
    for (const [, name, count] of text.matchAll(/cmdstat_([^:]+):calls=(\d+)/g))
      if (!/^(info|config|client|ping)/.test(name!)) sum += Number(count);
    least = { commands: Math.min(least.commands, sum / CALLS), tracked: Math.min(least.tracked, tracked) };
  }
  return { commands: Math.round(least.commands), tracked: Math.round(least.tracked) };
}

async function stat(of: RegExp): Promise<number> {
  return Number(of.exec(String(await admin.command("INFO", "stats")))?.[1] ?? 0);
}

async function bytes(call: () => Promise<unknown>, times: number, which: string): Promise<number> {
  const includesYoung = which === "all";
  await session.post("HeapProfiler.startSampling", {
    samplingInterval: includesYoung ? 16_384 : 4_096,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: includesYoung,
  });
  let left = times;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: Math.min(LANES, times / 8) }, lane));
  // Twice: what outlives the first one is still young.
  if (!includesYoung) for (let i = 0; i < 2; i += 1) await globalThis.gc!({ type: "minor", execution: "async" });
  const { profile } = await session.post("HeapProfiler.stopSampling");
  const sizeOf = (node: typeof profile.head): number =>
    node.children.reduce((sum, each) => sum + sizeOf(each), node.selfSize);
  return Math.round(sizeOf(profile.head) / times);
}
