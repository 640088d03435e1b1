import { InvalidArgumentError, type Cache } from "@hotset/core";
import type { Redis } from "@hotset/redis-toolkit";
import { connectCaches } from "./cache-instruments.ts";
import type { Exporter } from "./instrument.ts";
import { connectModules, type Modules } from "./module-instruments.ts";
import { connectProcess } from "./process-instruments.ts";
import { connectRedis } from "./redis-instruments.ts";

/** What is observed: options that all exporters have. */
export interface Observed {
  /** Their labels are their names. @default none */
  readonly caches?: readonly Cache[];
  /** `createRedis(...)`; their labels are their `clientName`. @default none */
  readonly redis?: readonly Redis[];
  /** By the label that each gets; asked at each collection. @default none */
  readonly queues?: Modules["queues"];
  /** By the label that each gets. @default none */
  readonly consumers?: Modules["consumers"];
  /** Durations of calls of a backend, as a histogram: some two microseconds for each. @default false */
  readonly backendCalls?: boolean;
  /** Delays of the event loop, garbage collection, heap and resident memory of this process. @default false */
  readonly process?: boolean;
}

const OBSERVED = ["caches", "redis", "queues", "consumers", "backendCalls", "process"];

/**
 * Connects what is observed to an exporter.
 *
 * @param known the options of the exporter beside those of {@link Observed}.
 * @returns a function that ends it; the exporter takes its own away
 * @throws {InvalidArgumentError} for an option that neither knows, and for two caches or two clients of one name.
 */
export function connect(exporter: Exporter, options: Observed, known: readonly string[] = []): () => void {
  const all = [...known, ...OBSERVED];
  for (const name of Object.keys(options))
    if (!all.includes(name))
      throw new InvalidArgumentError(`observe: unknown option ${JSON.stringify(name)}; known: ${all.join(", ")}`);
  const { caches = [], redis = [], queues = {}, consumers = {}, backendCalls = false } = options;
  expectDifferent(
    "caches",
    caches.map(({ name }) => name),
  );
  expectDifferent(
    "clients",
    redis.map(({ clientName }) => clientName),
  );
  const ends = [
    ...(caches.length === 0 ? [] : [connectCaches(exporter, caches, { isCallTimed: backendCalls })]),
    ...(redis.length === 0 ? [] : [connectRedis(exporter, redis)]),
    ...(options.process === true ? [connectProcess(exporter)] : []),
  ];
  connectModules(exporter, { queues, consumers });
  return () => ends.forEach((end) => end());
}

/** Figures of two under one label would be mixed. */
function expectDifferent(what: string, names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new InvalidArgumentError(
      `observe: two ${what} are named ${JSON.stringify(twice)}: their figures would be mixed`,
    );
}
