import type { Cache, CacheStats, TierStats } from "@hotset/core";
import { Metrics, type MetricSettings, type Sample } from "./metrics.ts";
import { onEnd } from "./spans.ts";

/** The context of a backend call. */
interface BackendCall {
  readonly cache: string;
  readonly tier: string;
  readonly operation: string;
}

const STATES = ["idle", "up", "detached", "degraded", "down", "bypassed"] as const;

/** @param hasCalls whether calls of a backend are timed. @returns a function that ends it */
export function observeCaches(caches: readonly Cache[], hasCalls: boolean, settings: MetricSettings): () => void {
  const metrics = new Metrics(settings);
  addNumbers(metrics, caches);
  const ends = [...addLoads(metrics, caches), ...addEvents(metrics, caches)];
  if (hasCalls) ends.push(addCalls(metrics, caches));
  return () => {
    for (const end of ends) end();
    metrics.remove();
  };
}

/** A metric that is read at a scrape from what the cache counts anyway. */
interface Definition<T> {
  readonly kind: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  /** Beside the name of the cache, and the label of the tier. */
  readonly labels: readonly string[];
  readonly read: (numbers: T) => readonly Sample[];
}

type Numeric<T> = { [K in keyof T]: T[K] extends number | undefined ? K : never }[keyof T];

const one = <T>(kind: "counter" | "gauge", name: string, help: string, field: Numeric<T>): Definition<T> => ({
  kind,
  name,
  help,
  labels: [],
  read: (numbers) => (numbers[field] === undefined ? [] : [[{}, numbers[field] as number]]),
});

const OF_CACHES: readonly Definition<CacheStats>[] = [
  {
    kind: "counter",
    name: "cache_requests_total",
    help: "Calls, by how they were answered.",
    labels: ["result"],
    read: ({ hits, staleHits, misses }) => [
      [{ result: "hit" }, hits],
      [{ result: "stale" }, staleHits],
      [{ result: "miss" }, misses],
    ],
  },
  one("counter", "cache_loads_total", "Loads that were started.", "loads"),
  one("counter", "cache_load_errors_total", "Loads that failed.", "loadErrors"),
  one("counter", "cache_coalesced_total", "Calls that joined the load of another.", "coalesced"),
  one("counter", "cache_fenced_total", "Loads that were not stored: something newer happened.", "fenced"),
  one("counter", "cache_overloaded_total", "Calls that were refused: too many waited.", "overloaded"),
  one("gauge", "cache_waiting", "Calls that wait now.", "waiting"),
  one("gauge", "cache_pending_invalidations", "Invalidations that wait for the backend.", "pending"),
];

const OF_TIERS: readonly Definition<TierStats>[] = [
  {
    kind: "counter",
    name: "cache_gets_total",
    help: "Reads of a tier.",
    labels: ["result"],
    read: ({ hits, misses }) => [
      [{ result: "hit" }, hits],
      [{ result: "miss" }, misses],
    ],
  },
  one("counter", "cache_tier_errors_total", "Calls of a backend that failed.", "errors"),
  one("gauge", "cache_size", "Entries held.", "entries"),
  one("gauge", "cache_bytes", "Bytes held.", "bytes"),
  {
    kind: "gauge",
    name: "cache_tier_state",
    help: "1 for the state that the tier is in, 0 for the others.",
    labels: ["state"],
    read: (tier) => STATES.map((state): Sample => [{ state }, tier.state === state ? 1 : 0]),
  },
];

function addNumbers(metrics: Metrics, caches: readonly Cache[]): void {
  for (const definition of OF_CACHES)
    metrics.add(definition, ["cache"], () =>
      caches.flatMap((cache) => under({ cache: cache.name }, definition.read(cache.stats()))),
    );
  for (const definition of OF_TIERS)
    metrics.add(definition, ["cache", "tier"], () =>
      caches.flatMap((cache) =>
        cache.stats().tiers.flatMap((tier) => under({ cache: cache.name, tier: tier.label }, definition.read(tier))),
      ),
    );
}

const under = (outer: Sample[0], samples: readonly Sample[]): readonly Sample[] =>
  samples.map(([labels, value]) => [{ ...outer, ...labels }, value]);

function addLoads(metrics: Metrics, caches: readonly Cache[]): readonly (() => void)[] {
  const loads = metrics.histogram("cache_load_duration_seconds", "Loads, without the time that others wait for them.");
  return caches.flatMap((cache) => {
    const observe = (result: string, durationMs: number): void =>
      loads.observe(`${cache.name} ${result}`, { cache: cache.name, result }, durationMs / 1_000);
    return [
      cache.on("load", ({ durationMs, result }) => observe(result, durationMs)),
      cache.on("load:error", ({ durationMs }) => observe("error", durationMs)),
    ];
  });
}

function addCalls(metrics: Metrics, caches: readonly Cache[]): () => void {
  const names = new Set(caches.map(({ name }) => name));
  const calls = metrics.histogram("cache_operation_duration_seconds", "Calls of a backend.");
  return onEnd<BackendCall>("hotset:backend", ({ cache, tier, operation: op }, seconds) => {
    if (names.has(cache)) calls.observe(`${cache} ${tier} ${op}`, { cache, tier, op }, seconds);
  });
}

function addEvents(metrics: Metrics, caches: readonly Cache[]): readonly (() => void)[] {
  const puts = metrics.counter("cache_puts_total", "Entries that a tier has taken.", ["cache", "tier"]);
  const evictions = metrics.counter("cache_evictions_total", "Entries dropped to make room.", [
    "cache",
    "tier",
    "reason",
  ]);
  return caches.flatMap((cache) => [
    cache.on("store", ({ tier }) => puts.inc({ cache: cache.name, tier })),
    cache.on("evict", ({ tier, reason }) => evictions.inc({ cache: cache.name, tier, reason })),
  ]);
}
