import {
  type Backend,
  type CacheStats,
  ConfigurationError,
  type Duration,
  parseDuration,
  type StoredEntry,
} from "@hotset/core";
import { newId } from "@hotset/core/internal";
import type { Figures, Inspection, Invalidation, InvalidationCount, ProcessRecord } from "./inspection.ts";
import type { Place } from "./place.ts";
import { LATE, ProcessStarts } from "./process-starts.ts";

/**
 * Records of processes are entries of the backend, each in one of a fixed number of places: so all are read in one
 * trip, and no list is kept that two processes could change together. A process takes the first place that is free, and
 * another one where it finds a record that is not its own: two that take one at a time differ at the next beat.
 */
export const PLACES = 64;

/** One start of this process: all of its records have it. */
export const processId = (): string => (ownId ??= newId());
let ownId: string | undefined;

/** The part of a record that a process writes; its reader knows the rest. */
export type WrittenRecord = Omit<ProcessRecord, "isOwn" | "hitRatio" | "ageMs" | "clockAheadMs">;

/** A record ends after so many of the times between two. */
export const LIVES = 3;
/** So long a process that is lost is remembered. */
const KEPT_MS = 600_000;
/** For records of versions that do not say it. */
const EVERY_MS = 10_000;

/** The calls that read and write records, each within the time of a call of the backend. */
export interface Records {
  readonly keys: readonly string[];
  read(): Promise<readonly (ProcessRecord | undefined)[]>;
  write(at: number, record: WrittenRecord): Promise<void>;
  remove(at: number): Promise<void>;
}

/** @throws {ConfigurationError} where there is no room for records. */
export function recordsOf(place: Place, caller: string): Records {
  const { backend, namespace } = place.parts;
  const { backendPrefix } = namespace.keySpace;
  if (backend === undefined)
    throw new ConfigurationError(`${caller}: the cache has no backend, where processes would keep their records`);
  if (backendPrefix.startsWith(":"))
    throw new ConfigurationError(
      `${caller}: records of processes need a cache with a name, got createCache({ name: "" })`,
    );
  // No namespace begins with it: segments are percent-encoded.
  const keys = Array.from({ length: PLACES }, (_, at) => `${backendPrefix.slice(0, -1)}~processes::${at}`);
  return {
    keys,
    read: async () => {
      const entries = await place.bounded(readAll(backend, keys));
      const now = place.epochNow();
      const found = entries.map((entry) => entry && parsed(entry, now));
      remember(seenRecords(place), byName(found), now);
      return found;
    },
    write: (at, record) => {
      const lifeMs = LIVES * (record.everyMs ?? EVERY_MS);
      const data = new TextEncoder().encode(JSON.stringify(record));
      const life = { staleInMs: lifeMs, expiresInMs: lifeMs };
      return place.bounded(backend.write(keys[at]!, { data, ...life, meta: "", version: newId() }));
    },
    remove: async (at) => void (await place.bounded(backend.remove(keys[at]!))),
  };
}

/** What this process knows of the records of a cache. */
interface Seen {
  records: readonly ProcessRecord[];
  /** By id; see {@link Inspection.lostProcesses}. */
  readonly lost: Map<string, ProcessRecord>;
  readonly starts: ProcessStarts;
  failure: ReturnType<Inspection["recordFailure"]>;
}

const seen = new WeakMap<object, Seen>();

export function seenRecords({ parts: { context } }: Place): Seen {
  const known = seen.get(context) ?? { records: [], lost: new Map(), starts: new ProcessStarts(), failure: undefined };
  seen.set(context, known);
  return known;
}

/**
 * A record that ended had been late before, unless its process took it away: it closed its cache. A process that does
 * not read for longer than records live says nothing of those that went meanwhile.
 */
function remember(seen: Seen, records: readonly ProcessRecord[], now: number): void {
  for (const record of seen.records)
    if (record.ageMs >= LATE * (record.everyMs ?? EVERY_MS)) seen.lost.set(record.id, record);
  for (const [id, { name, at }] of seen.lost) {
    const isBack = records.some((each) => each.id === id || (each.name === name && each.startedAt >= at));
    if (isBack || now - at > KEPT_MS) seen.lost.delete(id);
  }
  seen.records = records;
  seen.starts.add(records, now);
}

function byName(found: readonly (ProcessRecord | undefined)[]): readonly ProcessRecord[] {
  const byId = new Map(found.flatMap((record) => (record === undefined ? [] : [[record.id, record] as const])));
  return [...byId.values()].toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

/** @throws {ConfigurationError} outside of a second to an hour. */
export function durationOf(given: Duration | undefined, option: string): number | undefined {
  if (given === undefined) return undefined;
  const ms = typeof given === "number" ? given : parseDuration(given);
  if (ms >= 1_000 && ms <= 3_600_000) return ms;
  throw new ConfigurationError(`${option} must be from 1s to 1h, got ${String(given)}`);
}

type Stored = Pick<StoredEntry, "data" | "expiresInMs">;

export async function readAll(backend: Backend, keys: readonly string[]): Promise<readonly (Stored | undefined)[]> {
  if (backend.batch === undefined) return Promise.all(keys.map((key) => backend.read(key)));
  const found = await backend.batch.read(keys);
  return found.map((each) => (each instanceof Error ? undefined : each));
}

/**
 * Anyone who may write to the store can have written it: only what has the form of a record is taken. Its age is what
 * the backend has counted down of its life, since the clock of another host may be wrong.
 *
 * @param now since 1970, by the clock of this process
 */
function parsed({ data, expiresInMs }: Stored, now: number): ProcessRecord | undefined {
  let given: unknown;
  try {
    given = JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
  const record = Object(given) as Record<string, unknown>;
  const isRecord =
    TEXTS.every((name) => typeof record[name] === "string") && NUMBERS.every((name) => Number.isFinite(record[name]));
  if (!isRecord) return undefined;
  const { hits, staleHits, misses, startedAt, at: writtenAt } = record as unknown as WrittenRecord;
  const everyMs = Number.isFinite(record["everyMs"]) ? (record["everyMs"] as number) : EVERY_MS;
  const ageMs = Math.max(0, LIVES * everyMs - expiresInMs);
  const clockAheadMs = writtenAt - (now - ageMs);
  return {
    ...(Object.fromEntries([...TEXTS, ...COUNTS].map((name) => [name, record[name]])) as unknown as WrittenRecord),
    ...{ startedAt: startedAt - clockAheadMs, at: now - ageMs, ageMs, clockAheadMs },
    ...(Number.isFinite(record["entries"]) && { entries: record["entries"] as number }),
    ...(Number.isFinite(record["everyMs"]) && { everyMs: record["everyMs"] as number }),
    ...(hasForm(record["figures"], FIGURES) && { figures: record["figures"] as Figures }),
    ...(isSettings(record["settings"]) && { settings: record["settings"] }),
    isOwn: record["id"] === processId(),
    hitRatio: (hits + staleHits) / (hits + staleHits + misses),
    invalidations: listOf(record["invalidations"], isInvalidation),
    lastMinute: listOf(record["lastMinute"], isCount).map((count) => ({
      ...count,
      lastAt: count.lastAt - clockAheadMs,
    })),
  };
}

const TEXTS = [
  "id",
  "name",
  "version",
  "runtime",
  "coherence",
  "trust",
  "state",
] as const satisfies readonly (keyof ProcessRecord)[];
const COUNTS = [
  "hits",
  "staleHits",
  "misses",
  "loads",
  "loadErrors",
  "waiting",
  "pending",
] as const satisfies readonly (keyof ProcessRecord & keyof CacheStats)[];
const NUMBERS = ["startedAt", "at", ...COUNTS] as const;

const listOf = <T>(given: unknown, isOne: (each: unknown) => each is T): readonly T[] =>
  Array.isArray(given) ? given.filter(isOne) : [];

function isOfSomething(given: unknown): given is Pick<Invalidation, "namespace" | "scope"> {
  const { namespace, scope, key = "", tags = [] } = Object(given) as Record<string, unknown>;
  const isTexts = (each: unknown): boolean => Array.isArray(each) && each.every((text) => typeof text === "string");
  return isTexts(namespace) && isTexts(tags) && [scope, key].every((each) => typeof each === "string");
}

const isInvalidation = (given: unknown): given is Invalidation =>
  isOfSomething(given) &&
  Number.isFinite((given as Invalidation).at) &&
  typeof (given as Invalidation).mode === "string";

const isCount = (given: unknown): given is InvalidationCount =>
  isOfSomething(given) &&
  [(given as InvalidationCount).times, (given as InvalidationCount).lastAt].every((each) => Number.isFinite(each));

const MOST_SETTINGS = 100;

function isSettings(given: unknown): given is Readonly<Record<string, string>> {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return false;
  const texts = Object.entries(given).flat();
  return texts.length <= 2 * MOST_SETTINGS && texts.every((text) => typeof text === "string" && text.length <= 200);
}

/** Whether it has the names and kinds of `form`; a name with `?` may be absent. */
function hasForm(given: unknown, form: unknown): boolean {
  if (typeof form !== "object" || form === null)
    return typeof given === typeof form && (typeof form !== "number" || Number.isFinite(given));
  if (Array.isArray(form)) return Array.isArray(given) && given.every((each) => hasForm(each, form[0]));
  if (typeof given !== "object" || given === null) return false;
  return Object.entries(form).every(([name, each]) => {
    const value = (given as Record<string, unknown>)[name.replace("?", "")];
    return (value === undefined && name.endsWith("?")) || hasForm(value, each);
  });
}

const KEY = { namespace: [""], key: "", at: 0 };
const RATES = { ms: 0, calls: 0, "hitRatio?": 0, loads: 0, loadErrors: 0, "unadmitted?": 0, timed: 0, "p95Ms?": 0 };
const LATENCY = { count: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0, slow: 0 };
const CALLS = { "hit?": LATENCY, "stale?": LATENCY, "joined?": LATENCY, "loaded?": LATENCY, "failed?": LATENCY };
const EMPTY = {
  ...{ loads: 0, nothing: 0, nulls: 0, emptied: 0 },
  ...{ before: { loads: 0, nulls: 0 }, "most?": { key: "", count: 0 } },
};
const GROUP = {
  ...{ namespace: [""], "group?": "", recent: RATES, before: RATES },
  ...{ "failed?": { count: 0, at: 0, error: "", "most?": { key: "", count: 0 } }, "slowest?": { key: "", ms: 0 } },
  ...{ "calls?": CALLS, "empty?": EMPTY, "fields?": [""] },
};
const TIER = {
  ...{ label: "", state: "", hits: 0, misses: 0, errors: 0, "entries?": 0, "maxEntries?": 0, "bytes?": 0 },
  ...{ "maxBytes?": 0, "evicted?": 0, "lastError?": { at: 0, operation: "", kind: "", message: "" } },
};
const VERIFIED = {
  ...{ namespace: [""], "group?": "", checked: 0, wrong: 0, drift: 0, unclear: 0, unsteady: 0, failed: 0 },
  ...{
    unsteadyFields: [""],
    shape: "",
    isInvalidated: false,
    curve: [{ meanMs: 0, upToMs: 0, checked: 0, different: 0 }],
  },
  ...{ writers: [{ writer: "", isOwn: false, checked: 0, different: 0 }] },
  ...{ reasons: [{ why: "", count: 0, "otherNamespace?": [""] }] },
  "last?": { key: "", at: 0, "ageMs?": 0, fields: [""], tags: [""] },
};
const FIGURES = {
  ...{ at: 0, windowMs: 0, groups: [GROUP], tiers: [TIER] },
  ...{ "largest?": { ...KEY, bytes: 0, before: 0 }, "shared?": { ...KEY, callers: 0, ms: 0 } },
  "queued?": { seen: 0, looks: 0, loads: 0, "callers?": 0, forMs: 0, "maxLoads?": 0 },
  "unstorable?": { ...KEY, tier: "", error: "", count: 0 },
  "heldLoop?": { seen: 0, looks: 0, longestMs: 0 },
  "growing?": { ...KEY, bytes: 0, before: 0, since: 0, stores: 0 },
  "spikes?": { namespace: [""], key: "", at: [0], loads: 0, usual: 0 },
  "verified?": [VERIFIED],
};
