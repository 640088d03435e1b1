import { setTimeout as sleep } from "node:timers/promises";
import { createCache, json, type Cache } from "@hotset/core";
import { inspector, type Inspector } from "@hotset/inspector";
import { memory } from "@hotset/memory";
import { Durations, observe as observeForOtel } from "@hotset/metrics/otel";
import { observe } from "@hotset/metrics/prometheus";
import { redis as redisBackend, single } from "@hotset/redis";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { Registry } from "prom-client";
import { inFlight, spread } from "../measure.ts";
import type { Conditions, Figure, Trial } from "../trial.ts";

const KEYS = 1_000;
const key = (i: number): string => `bench-observed:${i % KEYS}`;

/** Processor time of an unobserved call, divided by that of an observed one. */
const TARGET = 0.95;

/** The cost of an observation: the time of the processor, since this process waits for Redis in between. */
export const observed = ({ url, rounds }: Conditions): Trial => ({
  name: "observed",
  async run() {
    const redis = createRedis({ url, env: false, clientName: "bench" });
    const overRedis = createCache({ name: "bench-observed" })
      .tier(redisBackend(single(url)).valueFormat(json()).coherence("none").build())
      .build();
    const inMemory = createCache({ name: "bench-observed-memory" }).tier(memory()).build();
    for (let i = 0; i < KEYS; i += 1) {
      await redis.commands.set(key(i), "x".repeat(64), { ttl: "1h" });
      for (const cache of [overRedis, inMemory]) await cache.set(key(i), { text: "x".repeat(64) }, { ttl: "1h" });
    }
    const calls: readonly Call[] = [
      { name: "GET of the toolkit", operations: 50_000, call: (i) => redis.commands.get(key(i)) },
      { name: "hit of a backend", operations: 30_000, call: (i) => overRedis.get(key(i)) },
      { name: "hit of memory", operations: 300_000, call: (i) => inMemory.getOrSet(key(i), () => i) },
    ];
    const figures: Figure[] = [];
    for (const call of calls)
      for (const observer of observersOf(redis, [overRedis, inMemory]))
        figures.push(await compare(call, observer, rounds));
    await Promise.all([redis.disconnect(), overRedis.close(), inMemory.close()]);
    return figures;
  },
});

interface Call {
  readonly name: string;
  readonly operations: number;
  readonly call: (i: number) => Promise<unknown>;
}

interface Observer {
  readonly name: string;
  readonly isBound: boolean;
  start(): { close(): void };
}

function observersOf(redis: Redis, caches: readonly Cache[]): readonly Observer[] {
  const all = { redis: [redis], caches };
  const otel = (durations: Durations | undefined): { close(): void } => {
    const meterProvider = new MeterProvider({ readers: [new IdleReader()] });
    return observeForOtel({ meterProvider, ...(durations && { durations }), ...all });
  };
  return [
    { name: "Prometheus", isBound: true, start: () => observe({ register: new Registry(), ...all }) },
    { name: "OpenTelemetry with Durations", isBound: true, start: () => otel(new Durations()) },
    { name: "the inspector, unwatched", isBound: true, start: () => inspectorOf(caches) },
    // Without a bound: a round is so short that opening the page is most of it.
    { name: "the inspector, with a page open", isBound: false, start: () => watched(inspectorOf(caches)) },
    { name: "OpenTelemetry, by the SDK", isBound: false, start: () => otel(undefined) },
  ];
}

const inspectorOf = (caches: readonly Cache[]): Inspector => inspector(caches, { authorize: () => true });

function watched(inspect: Inspector): Inspector {
  void (async () => {
    const { body } = await inspect(new Request(`http://localhost${inspect.path}/api/live?page=overview`));
    for await (const _ of body!) continue;
  })();
  return inspect;
}

/** Collects when it is asked, so never here. */
class IdleReader extends MetricReader {
  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }
  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
}

const PAUSE_MS = 100;

/** Interleaved rounds, after two that only warm up. The ratio is that of the medians. */
async function compare({ name, operations, call }: Call, observer: Observer, rounds: number): Promise<Figure> {
  const [without, withIt]: [number[], number[]] = [[], []];
  for (let round = -2; round < rounds; round += 1) {
    await sleep(PAUSE_MS);
    const alone = await microsecondsEach(operations, call);
    const observation = observer.start();
    // Its start is not part of the price of a call.
    await sleep(PAUSE_MS);
    const watched = await microsecondsEach(operations, call);
    observation.close();
    if (round < 0) continue;
    without.push(alone);
    withIt.push(watched);
  }
  const [raw, seen] = [spread(without).median, spread(withIt).median];
  return {
    what: `${name}: ${observer.name}`,
    value: raw / seen,
    unit: "",
    remark: `${raw.toFixed(2)} us of the processor without, ${seen.toFixed(2)} us with`,
    ...(observer.isBound && { atLeast: TARGET }),
  };
}

async function microsecondsEach(operations: number, call: Call["call"]): Promise<number> {
  const before = process.cpuUsage();
  await inFlight(64, operations, call);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / operations;
}
