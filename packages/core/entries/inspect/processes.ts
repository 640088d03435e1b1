import { type CacheStats, type Backend, ConfigurationError } from "@hotset/core";
import { newId } from "@hotset/core/internal";
import type { Invalidation, InvalidationCount, ProcessRecord } from "./inspection.ts";
import type { Place } from "./place.ts";

/**
 * Records of processes are entries of the backend, each in one of a fixed number of places: so all are read in one
 * trip, and no list is kept that two processes could change together. A process takes the first place that is free, and
 * another one where it finds a record that is not its own: two that take one at a time differ at the next beat.
 */
const PLACES = 64;

/** One start of this process: all of its records have it. */
export const processId = (): string => (ownId ??= newId());
let ownId: string | undefined;

/** The calls that read and write records, each within the time of a call of the backend. */
export interface Records {
  readonly keys: readonly string[];
  read(): Promise<readonly (ProcessRecord | undefined)[]>;
  write(at: number, record: object, lifeMs: number): Promise<void>;
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
    read: async () => (await place.bounded(readAll(backend, keys))).map((data) => data && parsed(data)),
    write: (at, record, lifeMs) =>
      place.bounded(
        backend.write(keys[at]!, {
          data: new TextEncoder().encode(JSON.stringify(record)),
          staleInMs: lifeMs,
          expiresInMs: lifeMs,
          meta: "",
          version: newId(),
        }),
      ),
    remove: async (at) => void (await place.bounded(backend.remove(keys[at]!))),
  };
}

/** By their names. */
export async function readProcesses(place: Place): Promise<readonly ProcessRecord[]> {
  const records = await recordsOf(place, "processes").read();
  const byId = new Map(records.flatMap((record) => (record === undefined ? [] : [[record.id, record] as const])));
  return [...byId.values()].toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

async function readAll(backend: Backend, keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
  if (backend.batch === undefined) return Promise.all(keys.map(async (key) => (await backend.read(key))?.data));
  const found = await backend.batch.read(keys);
  return found.map((each) => (each instanceof Error ? undefined : each?.data));
}

/** Anyone who may write to the store can have written it: only what has the form of a record is taken. */
function parsed(data: Uint8Array): ProcessRecord | undefined {
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
  const { hits, staleHits, misses } = record as unknown as ProcessRecord;
  return {
    ...(Object.fromEntries([...TEXTS, ...NUMBERS].map((name) => [name, record[name]])) as unknown as ProcessRecord),
    ...(Number.isFinite(record["entries"]) && { entries: record["entries"] as number }),
    isOwn: record["id"] === processId(),
    hitRatio: (hits + staleHits) / (hits + staleHits + misses),
    invalidations: listOf(record["invalidations"], isInvalidation),
    lastMinute: listOf(record["lastMinute"], isCount),
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
