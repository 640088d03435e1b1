import type { Cache, CacheStats, NamespaceStats, TierStats } from "@hotset/core";
import { inspect, type Inspection } from "@hotset/core/inspect";
import type { Exporter, Instrument, Recorder, Sample } from "./instrument.ts";
import { onEnd } from "./on-end.ts";
import { Tally } from "./tally.ts";

/** An instrument that is read from statistics. */
interface OfStatistics<T> extends Instrument {
  readonly read: (numbers: T) => readonly Sample[];
}

type Numeric<T> = { [K in keyof T]: T[K] extends number | undefined ? K : never }[keyof T];

/** One number of the statistics, without its own labels. */
const one = <T>(
  kind: "counter" | "gauge",
  name: string,
  unit: string,
  help: string,
  field: Numeric<T>,
): OfStatistics<T> => ({
  kind,
  name,
  unit,
  help,
  labels: [],
  read: (numbers) => (numbers[field] === undefined ? [] : [[{}, numbers[field] as number]]),
});

const requests = (name: string, help: string): OfStatistics<NamespaceStats> => ({
  kind: "counter",
  name,
  unit: "{call}",
  help,
  labels: ["result"],
  read: ({ hits, staleHits, misses }) => [
    [{ result: "hit" }, hits],
    [{ result: "stale" }, staleHits],
    [{ result: "miss" }, misses],
  ],
});

const OF_CACHES: readonly OfStatistics<CacheStats>[] = [
  requests("cache.requests", "Calls, by how they were answered."),
  one("counter", "cache.loads", "{load}", "Loads that were started.", "loads"),
  one("counter", "cache.load.errors", "{load}", "Loads that failed.", "loadErrors"),
  one("counter", "cache.coalesced", "{call}", "Calls that joined the load of another.", "coalesced"),
  one("counter", "cache.fenced", "{load}", "Loads that were not stored: something newer happened.", "fenced"),
  one("counter", "cache.verified", "{call}", "Fresh hits that were compared with the source.", "verified"),
  one("counter", "cache.mismatches", "{call}", "Of those, values that differed from the source.", "mismatches"),
  one("counter", "cache.overloaded", "{call}", "Calls that were refused: too many waited.", "overloaded"),
  one(
    "counter",
    "cache.mispredicted",
    "{call}",
    "Calls that were taken for a miss, and found an entry.",
    "mispredicted",
  ),
  one(
    "counter",
    "cache.unadmitted",
    "{load}",
    "Loads of new keys beyond the budget newKeys, which are kept nowhere.",
    "unadmitted",
  ),
  one("gauge", "cache.waiting", "{call}", "Calls that wait now.", "waiting"),
  one("gauge", "cache.pending_invalidations", "{invalidation}", "Invalidations that wait for the backend.", "pending"),
];

const STATES = ["idle", "up", "detached", "degraded", "down", "bypassed"] as const;

const OF_TIERS: readonly OfStatistics<TierStats>[] = [
  {
    kind: "counter",
    name: "cache.gets",
    unit: "{read}",
    help: "Reads of a tier.",
    labels: ["result"],
    read: ({ hits, misses }) => [
      [{ result: "hit" }, hits],
      [{ result: "miss" }, misses],
    ],
  },
  one("counter", "cache.tier.errors", "{call}", "Calls of a backend that failed.", "errors"),
  one("gauge", "cache.size", "{entry}", "Entries held.", "entries"),
  // Without a unit: with it, Prometheus would name it cache_bytes_bytes.
  one("gauge", "cache.bytes", "{byte}", "Bytes held.", "bytes"),
  {
    kind: "gauge",
    name: "cache.tier.state",
    unit: "{tier}",
    help: "1 for the state that the tier is in, 0 for the others.",
    labels: ["state"],
    read: (tier) => STATES.map((state): Sample => [{ state }, tier.state === state ? 1 : 0]),
  },
];

/** A part of a cache that is counted on its own. */
interface Part {
  /** The label that names it. */
  readonly label: "group" | "namespace";
  readonly figures: (inspection: Inspection) => readonly (readonly [name: string, numbers: NamespaceStats])[];
}

const GROUPS: Part = {
  label: "group",
  figures: (inspection) => inspection.groups().map((figures) => [figures.group, figures]),
};

/** Without the root, whose numbers are those of the cache. */
const NAMESPACES: Part = {
  label: "namespace",
  figures: (inspection) =>
    inspection.namespaces().flatMap((figures) => {
      const { namespace } = figures;
      return namespace.length === 0 ? [] : [[namespace.map(encodeURIComponent).join(":"), figures] as const];
    }),
};

const ofPart = (label: Part["label"]): readonly OfStatistics<NamespaceStats>[] => [
  requests(`cache.${label}.requests`, `Calls for keys of a ${label}, by how they were answered.`),
  one("counter", `cache.${label}.loads`, "{load}", `Loads of keys of a ${label} that were started.`, "loads"),
  one("counter", `cache.${label}.load.errors`, "{load}", `Loads of keys of a ${label} that failed.`, "loadErrors"),
  one(
    "counter",
    `cache.${label}.verified`,
    "{call}",
    `Fresh hits of a ${label} that were compared with the source.`,
    "verified",
  ),
  one(
    "counter",
    `cache.${label}.mismatches`,
    "{call}",
    `Of those of a ${label}, values that differed from the source.`,
    "mismatches",
  ),
];

const LOAD_DURATION: Instrument = {
  kind: "histogram",
  name: "cache.load.duration",
  unit: "s",
  help: "Loads, without the time that others wait for them.",
  labels: ["cache", "result"],
};

const OPERATION_DURATION: Instrument = {
  kind: "histogram",
  name: "cache.operation.duration",
  unit: "s",
  help: "Calls of a backend.",
  labels: ["cache", "tier", "op"],
};

const PUTS: Instrument = {
  kind: "counter",
  name: "cache.puts",
  unit: "{entry}",
  help: "Entries that a tier has taken.",
  labels: ["cache", "tier"],
};

const EVICTIONS: Instrument = {
  kind: "counter",
  name: "cache.evictions",
  unit: "{entry}",
  help: "Entries dropped to make room.",
  labels: ["cache", "tier", "reason"],
};

interface CachesSettings {
  /** Whether calls of a backend are timed. */
  readonly isCallTimed: boolean;
  /** Whether each namespace has its numbers. */
  readonly areNamespacesCounted: boolean;
  /** Takes what ends each listener as soon as there is one: another may fail after it. */
  readonly ends: (() => void)[];
}

export function connectCaches(
  exporter: Exporter,
  caches: readonly Cache[],
  { isCallTimed, areNamespacesCounted, ends }: CachesSettings,
): void {
  addStatistics(exporter, caches);
  const inspections = caches.flatMap(inspectionOf);
  addParts(exporter, inspections, GROUPS);
  if (areNamespacesCounted) addParts(exporter, inspections, NAMESPACES);
  addLoads(exporter, caches, ends);
  addEvents(exporter, caches, ends);
  if (isCallTimed) ends.push(addCalls(exporter, caches));
}

/** None of an object that stands for a cache, such as one that counts its calls: it has no groups. */
function inspectionOf(cache: Cache): readonly Inspection[] {
  try {
    return [inspect(cache, { remember: 0 })];
  } catch {
    return [];
  }
}

function addStatistics(exporter: Exporter, caches: readonly Cache[]): void {
  for (const { read, ...instrument } of OF_CACHES)
    exporter.observe({ ...instrument, labels: ["cache", ...instrument.labels] }, () =>
      caches.flatMap((cache) => under({ cache: cache.name }, read(cache.stats()))),
    );
  for (const { read, ...instrument } of OF_TIERS)
    exporter.observe({ ...instrument, labels: ["cache", "tier", ...instrument.labels] }, () =>
      caches.flatMap((cache) =>
        cache.stats().tiers.flatMap((tier) => under({ cache: cache.name, tier: tier.label }, read(tier))),
      ),
    );
}

function addParts(exporter: Exporter, inspections: readonly Inspection[], { label, figures }: Part): void {
  for (const { read, ...instrument } of ofPart(label))
    exporter.observe({ ...instrument, labels: ["cache", label, ...instrument.labels] }, () =>
      inspections.flatMap((inspection) =>
        figures(inspection).flatMap(([part, numbers]) =>
          under({ cache: inspection.name, [label]: part }, read(numbers)),
        ),
      ),
    );
}

const under = (outer: Sample[0], samples: readonly Sample[]): readonly Sample[] =>
  samples.map(([labels, value]) => [{ ...outer, ...labels }, value]);

function addLoads(exporter: Exporter, caches: readonly Cache[], ends: CachesSettings["ends"]): void {
  const series = exporter.histogram(LOAD_DURATION);
  for (const cache of caches) {
    const recorders = new Map<string, Recorder>();
    const record = (result: string, durationMs: number): void => {
      let recorder = recorders.get(result);
      if (recorder === undefined) recorders.set(result, (recorder = series({ cache: cache.name, result })));
      recorder(durationMs / 1_000);
    };
    ends.push(cache.on("load", ({ durationMs, result }) => record(result, durationMs)));
    ends.push(cache.on("load:error", ({ durationMs }) => record("error", durationMs)));
  }
}

/** The context of a backend call. */
interface BackendCall {
  readonly cache: string;
  readonly tier: string;
  readonly operation: string;
}

function addCalls(exporter: Exporter, caches: readonly Cache[]): () => void {
  const series = exporter.histogram(OPERATION_DURATION);
  const ofCaches = new Map(caches.map(({ name }) => [name, new Map<string, Recorder>()]));
  return onEnd<BackendCall>("hotset:backend", ({ cache, tier, operation: op }, seconds) => {
    const recorders = ofCaches.get(cache);
    if (recorders === undefined) return;
    const place = `${tier} ${op}`;
    let recorder = recorders.get(place);
    if (recorder === undefined) recorders.set(place, (recorder = series({ cache, tier, op })));
    recorder(seconds);
  });
}

function addEvents(exporter: Exporter, caches: readonly Cache[], ends: CachesSettings["ends"]): void {
  const [puts, evictions] = [new Tally(), new Tally()];
  exporter.observe(PUTS, () => puts.samples());
  exporter.observe(EVICTIONS, () => evictions.samples());
  for (const cache of caches) {
    ends.push(cache.on("store", ({ tier }) => puts.add({ cache: cache.name, tier })));
    ends.push(cache.on("evict", ({ tier, reason }) => evictions.add({ cache: cache.name, tier, reason })));
  }
}
