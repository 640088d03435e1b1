import { createCache, json, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { Durations, observe, startTracing, type ObserveOptions } from "@hotset/metrics/otel";
import { observe as observeForPrometheus } from "@hotset/metrics/prometheus";
import { redis, single } from "@hotset/redis";
import { createRedis } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix, startOwnRedis } from "@hotset/test-servers";
import { Registry } from "prom-client";
import { afterAll, describe, expect, it, vi } from "vitest";
import { lines, sdk } from "./sdk.ts";

const server = await startOwnRedis();
afterAll(() => server.stop());

const overRedis = (name: string): Cache =>
  createCache({ name })
    .tier(memory({ maxEntries: 2 }))
    .tier(redis(single(server.url)).valueFormat(json()).responseTimeout("15s").build())
    .build();

describe.each([
  ["by the meter", () => undefined],
  ["by a producer", () => new Durations()],
])("durations %s", (_how, makeDurations) => {
  it("have the names, labels and values that Prometheus gets of the same traffic", async () => {
    const durations = makeDurations();
    const { meterProvider, text } = sdk(durations);
    const register = new Registry();
    await using client = createRedis({ env: false, url: server.url, clientName: "shop" });
    const cache = overRedis("both");
    const name = randomPrefix();
    const jobs = queue<number>(client, name);
    const stream = streams(client).stream(name);
    const worker = consumer(stream, "group", {}, () => undefined);
    const observed = {
      caches: [cache],
      redis: [client],
      queues: { emails: jobs },
      consumers: { payments: worker },
      backendCalls: true,
    };
    const forPrometheus = observeForPrometheus({ register, ...observed });
    const forOtel = observe({ meterProvider, ...observed, ...(durations && { durations }) });

    await client.commands.ping();
    await cache.connect();
    for (const key of ["a", "b", "c", "a"]) await cache.getOrSet(key, () => 1, { ttl: "1m" });
    await cache.getOrSet("failing", () => Promise.reject(new Error("of a loader"))).catch(() => undefined);
    await cache.drain();
    await client.commands.set(name + "k", "v", { ttl: "1m" });
    await client.commands.lPush(name + "k", "x").catch(() => undefined);
    await jobs.add(1);
    await stream.append({ field: "value" });
    await expect.poll(() => worker.counts.handled).toBe(1);
    await worker.stop();

    const [prometheus, otel] = [lines(await register.metrics()), lines(await text())];
    const names = (all: readonly string[]): readonly string[] => [
      ...new Set(all.map((line) => line.replace(/\{.*/, ""))),
    ];
    expect(names(otel)).toEqual(names(prometheus));
    expect(names(otel).length).toBeGreaterThan(25);
    // The first collection sends commands of its own. Each exporter times calls of a backend by itself.
    const isSettled = (line: string): boolean =>
      !/operation="(?:EVALSHA|XINFO|XPENDING)"|^redis_(?:received|sent)_bytes|^redis_queue_oldest/.test(line) &&
      !/^cache_operation_duration_seconds_(?:bucket|sum)/.test(line);
    expect(otel.filter(isSettled)).toEqual(prometheus.filter(isSettled));
    expect(otel).toContain('redis_command_errors_total{client="shop",code="WRONG_TYPE",operation="LPUSH"} 1');

    forOtel.close();
    forPrometheus.close();
    await jobs.add(2);
    expect(lines(await text())).toContain('redis_queue_jobs{queue="emails",state="waiting"} 1');
    await cache.close();
  });
});

it("two observations with one producer share its metrics, until each is closed", async () => {
  const durations = new Durations();
  const { meterProvider } = sdk(durations);
  const caches = ["one", "two"].map(overRedis);
  const [first, second] = caches.map((cache) => observe({ meterProvider, durations, caches: [cache] }));
  for (const cache of caches) await cache.getOrSet("k", () => 1);
  const loads = async (): Promise<unknown[]> => {
    const { resourceMetrics } = await durations.collect();
    return resourceMetrics.scopeMetrics.flatMap(({ metrics }) =>
      metrics
        .filter(({ descriptor }) => descriptor.name === "cache.load.duration")
        .map(({ dataPoints }) => dataPoints.map(({ attributes, value }) => [attributes["cache"], value.count])),
    );
  };
  const both = [["one", "two"].map((name) => [name, 1])];
  expect(await loads()).toEqual(both);
  first!.close();
  first!.close();
  expect(await loads()).toEqual(both);
  second!.close();
  expect(await loads()).toEqual([]);
  for (const cache of caches) await cache.close();
});

it("histograms that begin again after the last observation was closed have a later start", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_000 });
  const durations = new Durations();
  const { meterProvider } = sdk(durations);
  const cache = overRedis("one");
  const found = async (): Promise<unknown[]> => {
    const { resourceMetrics } = await durations.collect();
    return resourceMetrics.scopeMetrics.flatMap(({ metrics }) =>
      metrics.flatMap(({ dataPoints }) => dataPoints.map(({ startTime, value }) => [startTime, value.count])),
    );
  };
  try {
    const first = observe({ meterProvider, durations, caches: [cache] });
    for (const key of ["a", "b"]) await cache.getOrSet(key, () => 1);
    expect(await found()).toEqual([[[1, 0], 2]]);
    first.close();
    vi.setSystemTime(5_250);
    const second = observe({ meterProvider, durations, caches: [cache] });
    await cache.getOrSet("c", () => 1);
    expect(await found()).toEqual([[[5, 250e6], 1]]);
    second.close();
  } finally {
    vi.useRealTimers();
    await cache.close();
  }
});

it("a wrong observation is refused by name, and leaves no callback", async () => {
  const durations = new Durations();
  const { meterProvider, text } = sdk(durations);
  const cache = overRedis("good");
  const bad = { name: "bad", getOrSet: () => undefined, on: () => expect.fail("of a cache") } as unknown as Cache;
  const wrong = (options: object): (() => unknown) => {
    return () => observe({ meterProvider, durations, caches: [cache], ...options });
  };
  await using client = createRedis({ env: false, url: server.url });
  expect(wrong({ caches: [client] })).toThrow("observe: caches must be a list of what createCache()");
  expect(wrong({ caches: cache })).toThrow("observe: caches must be a list of what createCache()");
  expect(wrong({ redis: [client.tenant("a")] })).toThrow("observe: redis must be a list of what createRedis()");
  expect(wrong({ buckets: 5 })).toThrow("observe: buckets must be a list of different, finite numbers of seconds");
  expect(() => observe(null as never)).toThrow("observe: options must be an object, got null");
  for (const provider of [null, {}, "sdk"])
    expect(wrong({ meterProvider: provider })).toThrow(
      "observe: meterProvider must be a MeterProvider of OpenTelemetry",
    );
  for (const kept of [null, {}, true])
    expect(wrong({ durations: kept })).toThrow("observe: durations must be new Durations()");
  for (const tracerProvider of [null, {}, "sdk"])
    expect(() => startTracing({ tracerProvider } as never)).toThrow(
      "startTracing: tracerProvider must be a TracerProvider of OpenTelemetry",
    );
  expect(() => startTracing([] as never)).toThrow("startTracing: options must be an object");
  expect(wrong({ process: true, caches: [cache, bad] })).toThrow("of a cache");
  await cache.getOrSet("k", () => 1);
  expect(lines(await text())).toEqual([]);
  await cache.close();
});

it("an unknown option is refused, and two caches of one name", async () => {
  const one = overRedis("one");
  expect(() => observe({ cache: one } as unknown as ObserveOptions)).toThrow(
    'observe: unknown option "cache"; did you mean caches?; accepted: meterProvider',
  );
  expect(() => observe({ caches: [one, one] })).toThrow('two caches are named "one"');
  await one.close();
});
