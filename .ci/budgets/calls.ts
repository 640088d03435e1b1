/**
 * Counts what calls cost, in a process that does nothing else: `node --expose-gc calls.ts <url>` prints the costs of each
 * row of `CALLS` as JSON, and empties that Redis. All but the bytes are exact. The least of many calls counts, so a slow
 * answer or a timer does not.
 */
import { createHook } from "node:async_hooks";
import { Agent, createServer, get, type RequestListener } from "node:http";
import { Session } from "node:inspector/promises";
import type { AddressInfo } from "node:net";
import { httpCache } from "@hotset/http";
import { cachedListener } from "@hotset/http/node";
import { RespClient, startProxy, type FaultProxy } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";
import type { CallCosts, LocalCosts } from "./budgets.ts";

const url = process.argv[2]!;
const ROUNDS = 7;
const CALLS = 20;
const WARM = 400;
/** So many calls next to each other, and as many in all, while bytes are sampled. */
const LANES = 64;
const SAMPLED = 3_000;
const BATCH = 100;
const HITS = Array.from({ length: 8 }, (_, i) => Array.from({ length: BATCH }, (__, j) => `hit${i}:${j}`));
const value = { id: 1, name: "Ada Lovelace", text: "x".repeat(140), tags: ["a", "b"], n: 12345 };
/** Entries to delete: copies that this process knows nothing of. */
const COPIES = "for i = 1, 25000 do redis.call('COPY', 'hotset:both::hit', 'hotset:both::copy' .. i) end";

type Call = () => Promise<unknown>;
let serial = 0;
const nextKey = (): string => `k${(serial += 1)}`;

const admin = RespClient.fromUrl(url);
const session = new Session();
session.connect();
await session.post("HeapProfiler.enable");
await admin.command("FLUSHALL");

const direct = await callsOver(url);
await admin.command("EVAL", COPIES, 0);
const costs: Record<string, CallCosts | LocalCosts> = {};
for (const [name, call] of Object.entries(direct)) {
  await warm(name, call);
  costs[name] = { ...(await local(name, call)), ...(await commands(call)), trips: 0 };
}
const proxy = await startProxy(Number(new URL(url).port));
for (const [name, call] of Object.entries(await callsOver(proxy.url))) {
  await warm(name, call);
  costs[name] = { ...(costs[name] as CallCosts), trips: await trips(proxy, call) };
}
for (const [name, call] of [await overHttp(), await pageOfNext()]) {
  await warm(name, call);
  costs[name] = await local(name, call);
}
console.log(JSON.stringify(costs));
process.exit(0);

async function callsOver(address: string): Promise<Readonly<Record<string, Call>>> {
  const load = (): Promise<object> => Promise.resolve(value);
  const loadMany = (keys: readonly string[]): Promise<(readonly [string, object])[]> =>
    Promise.resolve(keys.map((key) => [key, value] as const));
  const shared = createCache({ name: "shared" }).tier(redis(address).build()).defaults({ ttl: "1h" }).build();
  const both = createCache({ name: "both" })
    .tier(memory({ maxEntries: 1_000 }))
    .tier(redis(address).build())
    .defaults({ ttl: "1h" })
    .build();
  await Promise.all([shared, both].map((cache) => cache.connect()));
  for (const cache of [shared, both]) await cache.set("hit", value);
  await shared.setMany(HITS.flat().map((key) => [key, value] as const));
  return {
    "hit in memory": () => both.getOrSet("hit", load),
    // Calls next to each other have different keys, as those of users have.
    "hit in Redis": () => shared.getOrSet(HITS[0]![(serial += 1) % LANES]!, load),
    miss: () => both.getOrSet(nextKey(), load),
    set: () => both.set(nextKey(), value),
    delete: () => both.delete(`copy${(serial += 1)}`),
    "batch of 100 misses": () => both.getOrSetMany(Array.from({ length: BATCH }, nextKey), String, loadMany),
    "batch of 100 hits in Redis": () => shared.getOrSetMany(HITS[(serial += 1) % HITS.length]!, String, loadMany),
  };
}

/** The client counts too: one promise, and 22,000 bytes. */
async function overHttp(): Promise<readonly [string, Call]> {
  const fields = { "cache-control": "max-age=3600", etag: '"a"', "content-type": "text/plain", "content-length": "5" };
  const page: RequestListener = (_, response) => void response.writeHead(200, fields).end("hello");
  const pages = httpCache(alone("pages").namespace("page"), { base: "https://shop.example" });
  const server = createServer(cachedListener(pages, page)).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return [
    "hit in memory through node:http",
    () =>
      new Promise((resolve, reject) => {
        get({ port, agent, path: "/page", headers: { cookie: "sid=1" } }, (response) =>
          response.resume().on("end", resolve),
        ).on("error", reject);
      }),
  ];
}

interface PageHandler {
  get(key: string, context: object): Promise<object | null>;
  set(key: string, page: object, context: object): Promise<void>;
}
interface NextPackage {
  nextCache(build: () => Cache): { readonly CacheHandler: new (context: object) => PageHandler };
}

/** The first call finds nothing, and stores the page. */
async function pageOfNext(): Promise<readonly [string, Call]> {
  // Imported by a name that TypeScript does not follow: the types of Next bring those of React, which hide the DOM's.
  const name = "@hotset/next";
  const { nextCache } = (await import(name)) as NextPackage;
  const handler = new (nextCache(() => alone("next")).CacheHandler)({});
  const page = { kind: "APP_PAGE", html: "x".repeat(2_000), headers: { "x-next-cache-tags": "a,b" }, status: 200 };
  return [
    "page of Next from memory",
    async () => {
      const found = await handler.get("/x", { kind: "APP_PAGE" });
      if (found === null) await handler.set("/x", page, { cacheControl: { revalidate: 3_600, expire: 86_400 } });
    },
  ];
}

function alone(name: string): Cache {
  return createCache({ name }).tier(memory()).defaults({ ttl: "1h" }).build();
}

function isBatch(name: string): boolean {
  return name.startsWith("batch");
}

async function warm(name: string, call: Call): Promise<void> {
  for (let i = 0; i < (isBatch(name) ? WARM / 10 : WARM); i += 1) await call();
}

async function local(name: string, call: Call): Promise<LocalCosts> {
  return {
    promises: await leastOf(2 * CALLS, () => promises(call, isBatch(name) ? 1 : 5)),
    bytes: await leastOf(3, () =>
      bytes(call, isBatch(name) ? SAMPLED / BATCH : SAMPLED, name.includes("http") ? 1 : LANES),
    ),
  };
}

async function leastOf(rounds: number, measure: () => Promise<number>): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < rounds; i += 1) least = Math.min(least, await measure());
  return least;
}

async function promises(call: Call, times: number): Promise<number> {
  let count = 0;
  const hook = createHook({ init: (_, type) => void (type === "PROMISE" && (count += 1)) });
  hook.enable();
  for (let i = 0; i < times; i += 1) await call();
  hook.disable();
  return Math.round(count / times);
}

async function commands(call: Call): Promise<Pick<CallCosts, "commands" | "tracked">> {
  let least = { commands: Infinity, tracked: Infinity };
  for (let i = 0; i < ROUNDS; i += 1) {
    await admin.command("CONFIG", "RESETSTAT");
    const before = await trackedKeys();
    for (let j = 0; j < CALLS; j += 1) await call();
    const tracked = ((await trackedKeys()) - before) / CALLS;
    const text = String(await admin.command("INFO", "commandstats"));
    let sum = 0;
    for (const [, name, count] of text.matchAll(/cmdstat_([^:]+):calls=(\d+)/g))
      if (!/^(info|config|client|ping)/.test(name!)) sum += Number(count);
    least = { commands: Math.min(least.commands, sum / CALLS), tracked: Math.min(least.tracked, tracked) };
  }
  return { commands: Math.round(least.commands), tracked: Math.round(least.tracked) };
}

async function trackedKeys(): Promise<number> {
  return Number(/tracking_total_keys:(\d+)/.exec(String(await admin.command("INFO", "stats")))?.[1] ?? 0);
}

async function trips(through: FaultProxy, call: Call): Promise<number> {
  return leastOf(ROUNDS, async () => {
    through.resetCounts();
    await call();
    return through.counts.roundTrips;
  });
}

async function bytes(call: Call, times: number, lanes: number): Promise<number> {
  await session.post("HeapProfiler.startSampling", {
    samplingInterval: 16_384,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  let left = times;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: Math.min(lanes, Math.ceil(times / 8)) }, lane));
  const { profile } = await session.post("HeapProfiler.stopSampling");
  const sizeOf = (node: typeof profile.head): number =>
    node.children.reduce((sum, each) => sum + sizeOf(each), node.selfSize);
  return Math.round(sizeOf(profile.head) / times);
}
