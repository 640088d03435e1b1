import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Durations, observe } from "@hotset/metrics/otel";
import { observe as observeForPrometheus } from "@hotset/metrics/prometheus";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { startOwnRedis, until, type OwnRedis } from "@hotset/test-servers";
import { Registry } from "prom-client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lines, sdk } from "./sdk.ts";

let server: OwnRedis;
let client: Redis;
let observations: readonly { close(): void }[];
const register = new Registry();
const durations = new Durations();
const { meterProvider, text } = sdk(durations);

const TEXTS = [
  ["text of Prometheus", async () => lines(await register.metrics())],
  ["a collection of OpenTelemetry", async () => lines(await text())],
] as const;

beforeAll(async () => {
  server = await startOwnRedis();
  client = createRedis({ env: false, url: server.url, clientName: "shop" });
  const all = { redis: [client], process: true };
  observations = [observeForPrometheus({ register, ...all }), observe({ meterProvider, durations, ...all })];
  for (let i = 0; i < 100; i += 1) await client.commands.set(`secret ${i}`, "v");
  await client.commands.lPush("secret 0", "x").catch(() => undefined);

  await server.kill();
  await until("a lost connection", async () => !client.isReady);
  // A read that begins while Redis is down is refused.
  await client.commands.get("secret 0").catch(() => undefined);
  await server.start();
  await until("a connection", async () => client.isReady);

  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  const collected = 'v8js_gc_duration_seconds_count{kind="major"}';
  await until("a collection", async () => (await register.metrics()).includes(collected));
});

afterAll(async () => {
  for (const observation of observations) observation.close();
  await client.disconnect();
  await server.stop();
});

describe.each(TEXTS)("A89: %s", (_name, collected) => {
  /** The value of the only series of this name with these labels. */
  const found = (all: readonly string[], series: string): number => {
    const matching = all.filter((line) => line.startsWith(`${series} `));
    expect(matching, series).toHaveLength(1);
    return Number(matching[0]!.split(" ").at(-1));
  };

  it("has the use of the pool, and what is in flight", async () => {
    await client.pool.use(async () => {
      const reading = client.commands.get("secret 0");
      const all = await collected();
      expect(found(all, 'redis_pool_connections{client="shop",state="in_use"}')).toBe(1);
      expect(found(all, 'redis_pool_connections{client="shop",state="idle"}')).toBe(0);
      expect(found(all, 'redis_pool_size{client="shop"}')).toBe(1);
      expect(found(all, 'redis_pool_waiting{client="shop"}')).toBe(0);
      expect(found(all, 'redis_commands_in_flight{client="shop"}')).toBe(1);
      await reading;
    });
  });

  it("has commands by name in buckets, of which the quantiles are asked", async () => {
    const all = await collected();
    const buckets = all.filter((line) => line.startsWith("redis_command_duration_seconds_bucket"));
    const ofSet = buckets.filter((line) => line.includes('operation="SET"'));
    expect(ofSet).toHaveLength(17);
    expect(ofSet.find((line) => line.includes('le="+Inf"'))).toMatch(/ 100$/);
    expect(found(all, 'redis_command_duration_seconds_count{client="shop",operation="SET"}')).toBe(100);
    expect(found(all, 'redis_command_duration_seconds_sum{client="shop",operation="SET"}')).toBeGreaterThan(0);
  });

  it("has errors by code, reconnects, and bytes in and out", async () => {
    const all = await collected();
    expect(found(all, 'redis_command_errors_total{client="shop",code="WRONG_TYPE",operation="LPUSH"}')).toBe(1);
    const { reconnects, retries, bytesReceived, bytesSent } = client.stats().connection;
    expect([reconnects, bytesReceived, bytesSent]).toEqual([1, expect.any(Number), expect.any(Number)]);
    expect(found(all, 'redis_reconnects_total{client="shop"}')).toBe(reconnects);
    expect(found(all, 'redis_retries_total{client="shop"}')).toBe(retries);
    expect(found(all, 'redis_received_bytes_total{client="shop"}')).toBeGreaterThan(400);
    expect(found(all, 'redis_sent_bytes_total{client="shop"}')).toBeGreaterThan(2_000);
  });

  it("has garbage collection, memory and the event loop of the process", async () => {
    const all = await collected();
    expect(found(all, 'v8js_gc_duration_seconds_count{kind="major"}')).toBeGreaterThan(0);
    expect(found(all, "v8js_memory_heap_used_bytes{}")).toBeGreaterThan(1e6);
    expect(found(all, "process_memory_usage_bytes{}")).toBeGreaterThan(1e7);
    for (const quantile of ["0.5", "0.95", "0.99"])
      expect(found(all, `nodejs_eventloop_delay_seconds{quantile="${quantile}"}`)).toBeGreaterThanOrEqual(0);
  });

  it("has no more series for more keys, and no key in them", async () => {
    await client.commands.get("secret 0");
    const ofRedis = (all: readonly string[]): readonly string[] => all.filter((line) => line.startsWith("redis_"));
    const before = ofRedis(await collected());
    for (let i = 0; i < 300; i += 1) await client.commands.get(`secret ${i}`);
    const after = ofRedis(await collected());
    expect(after).toHaveLength(before.length);
    expect(after.join()).not.toContain("secret");
  });
});
