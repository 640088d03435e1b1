/**
 * Counts the bytes and the promises of one operation. Needs `--expose-gc` and a young generation that holds all of them
 * (`--max-semi-space-size`): a collection in between would hide what it frees.
 *
 *     node --expose-gc --max-semi-space-size=512 garbage-process.ts <redis url> [layout]
 *
 * Prints one JSON object.
 */
import { createHook } from "node:async_hooks";
import { PerformanceObserver } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { createCache, memory, redis } from "hotset";
import { inFlight } from "../measure.ts";

const url = process.argv[2]!;
const layout = process.argv[3] === "string" ? "string" : "full";
const value = { id: 7, name: "Ada Lovelace", roles: ["admin", "editor"], bio: "x".repeat(100) };
const never = (): never => {
  throw new Error("must not load");
};

const open = (name: string) =>
  createCache({ name }).tier(memory()).tier(redis(url).layout(layout).build()).defaults({ ttl: "1h" });
const writer = open("garbage").build();
const reader = createCache({ name: "garbage" }).tier(redis(url).layout(layout).build()).defaults({ ttl: "1h" }).build();
await Promise.all([writer.connect(), reader.connect()]);
const keys = Array.from({ length: 1_000 }, (_, i) => `hot:${i}`);
const anyKey = (): string => keys[(next += 1) % keys.length]!;
let next = 0;
await writer.set("hot", value);
for (const key of keys) await writer.set(key, value);
await writer.getOrSet("hot", never);

const run = `${process.pid}:${Date.now()}`;
const answered = Promise.resolve(value);
const operations = {
  nothing: { run: () => answered, times: 50_000, limit: 1 },
  "memory hit": { run: () => writer.getOrSet("hot", never), times: 50_000, limit: 1 },
  "backend hit": { run: () => reader.getOrSet(anyKey(), never), times: 5_000, limit: 64 },
  "miss with store": { run: () => writer.getOrSet(`${run}:${(next += 1)}`, () => value), times: 2_000, limit: 64 },
};

let collections = 0;
new PerformanceObserver((list) => void (collections += list.getEntries().length)).observe({ entryTypes: ["gc"] });
let promises = 0;
const counter = createHook({
  init(_, type) {
    if (type === "PROMISE") promises += 1;
  },
});

const results: Record<string, { readonly bytes: number; readonly promises: number }> = {};
for (const [name, { run, times, limit }] of Object.entries(operations)) {
  await inFlight(limit, Math.min(times, 2_000), run);
  await sleep(50);
  globalThis.gc!();
  // Until the observer has been called about it.
  await sleep(200);
  const seen = collections;
  const before = process.memoryUsage().heapUsed;
  await inFlight(limit, times, run);
  const bytes = (process.memoryUsage().heapUsed - before) / times;
  await sleep(200);
  if (collections !== seen)
    throw new Error(`${name}: the heap was collected meanwhile; give a larger young generation`);
  promises = 0;
  counter.enable();
  await inFlight(limit, times, run);
  counter.disable();
  // Less what the loop around it costs.
  const { nothing = { bytes: 0, promises: 0 } } = results;
  results[name] = { bytes: bytes - nothing.bytes, promises: promises / times - nothing.promises };
}
console.log(JSON.stringify(results));
await Promise.all([writer.close(), reader.close()]);
