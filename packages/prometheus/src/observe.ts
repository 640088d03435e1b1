import { InvalidArgumentError, type Cache } from "@hotset/core";
import type { Redis } from "@hotset/redis-toolkit";
import type { Registry } from "prom-client";
import { observeCaches } from "./cache-metrics.ts";
import { observeModules, type Modules } from "./module-metrics.ts";
import { observeRedis } from "./redis-metrics.ts";

/** The caches and clients to observe, and where their metrics go. */
export interface ObserveOptions {
  /** Where the metrics are registered. One observation for each registry: names of metrics are unique in it. */
  readonly register: Registry;
  /** Their labels are their names. @default none */
  readonly caches?: readonly Cache[];
  /** `createRedis(...)`; their labels are their `clientName`. @default none */
  readonly redis?: readonly Redis[];
  /** By the label that each gets; asked at each scrape. @default none */
  readonly queues?: Modules["queues"];
  /** By the label that each gets. @default none */
  readonly consumers?: Modules["consumers"];
  /** Durations of calls of a backend, as a histogram: some two microseconds for each. @default false */
  readonly backendCalls?: boolean;
  /** Upper bounds of histograms of durations, in seconds. @default 0.0005 to 10, each about twice the one before */
  readonly buckets?: readonly number[];
}

/** Metrics that are being filled. */
export interface Observation {
  /** Ends it: the metrics leave the registry. */
  close(): void;
}

export const DEFAULT_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

const OPTIONS = ["register", "caches", "redis", "queues", "consumers", "backendCalls", "buckets"];

/**
 * Registers metrics, and fills them from events, tracing channels and, at a scrape, from numbers that are there. No
 * label is a key, a tenant or a user.
 *
 * @throws {InvalidArgumentError} for unknown options, and for two caches or two clients of one name.
 */
export function observe(options: ObserveOptions): Observation {
  for (const name of Object.keys(options))
    if (!OPTIONS.includes(name))
      throw new InvalidArgumentError(`observe: unknown option ${JSON.stringify(name)}; known: ${OPTIONS.join(", ")}`);
  const { register, caches = [], redis = [], queues = {}, consumers = {}, buckets = DEFAULT_BUCKETS } = options;
  expectDifferent(
    "caches",
    caches.map(({ name }) => name),
  );
  expectDifferent(
    "clients",
    redis.map(({ clientName }) => clientName),
  );
  const metrics = { register, buckets: [...buckets] };
  const ends = [
    ...(caches.length === 0 ? [] : [observeCaches(caches, options.backendCalls === true, metrics)]),
    ...(redis.length === 0 ? [] : [observeRedis(redis, metrics)]),
    observeModules({ queues, consumers }, metrics),
  ];
  return { close: () => ends.forEach((end) => end()) };
}

/** Figures of two under one label would be mixed. */
function expectDifferent(what: string, names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new InvalidArgumentError(
      `observe: two ${what} are named ${JSON.stringify(twice)}: their figures would be mixed`,
    );
}
