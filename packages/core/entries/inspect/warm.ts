import { type Cache, ConfigurationError, type Duration } from "@hotset/core";
import { checkNames, type NamespacePlace, parseDuration, within } from "@hotset/core/internal";
import { type HotKey, readHottest } from "./hottest-keys.ts";
import { Place } from "./place.ts";

/** A namespace of any type. */
export interface WarmedNamespace {
  getMany(keys: readonly string[]): Promise<ReadonlyMap<string, unknown>>;
}

/** Options of {@link warm}. */
export interface WarmOptions {
  /** Where the keys come from: the records of living processes, which `heartbeat(cache, { hottest })` writes. */
  readonly from: "fleet";
  /**
   * The namespaces whose keys are read, as the program made them, with their schema and `localTtl`. Keys of others
   * are left out, but for the root of the cache. @default none
   */
  readonly namespaces?: readonly WarmedNamespace[] | undefined;
  /** How long it may take in all, the connection included. @default '5s' */
  readonly timeout?: Duration | undefined;
  /** How many bytes of values it may add to the memory tier, as that counts them. @default 32 MiB */
  readonly maxBytes?: number | undefined;
  /** How many keys it may read. @default 2_000 */
  readonly maxKeys?: number | undefined;
}

/** What {@link warm} has done. */
export interface WarmResult {
  /** How many keys were read, and how many of them had a fresh value. */
  readonly read: number;
  readonly found: number;
  /** Added to the memory tier; 0 where it counts none. */
  readonly bytes: number;
  readonly ms: number;
  /** How many living processes had named keys. */
  readonly processes: number;
  /** Why it ended: all keys were read, a bound was met, or the backend did not answer. */
  readonly ended: "done" | "time" | "bytes" | "keys" | "unreachable";
}

/** Keys of one trip. */
const BATCH = 100;
const MAX_BYTES = 33_554_432;

/**
 * Reads into memory what living processes hit most, before this one takes traffic: it loads nothing, and never rejects
 * because of the backend. Call it before the process says that it is ready.
 *
 *     await warm(cache, { from: "fleet", namespaces: [products] });
 *     server.listen(8080);
 *
 * @throws {ConfigurationError} for a cache without memory or backend, and for a wrong option.
 */
export async function warm(cache: Cache, options: WarmOptions): Promise<WarmResult> {
  const place = Place.of(cache, "warm");
  const { namespaces, limits } = checked(cache, place, options);
  const { clock, local } = place.parts.context;
  const startedAt = clock.now();
  const bytes = (): number => local?.tier.usedBytes ?? 0;
  const bytesBefore = bytes();
  const counts = { read: 0, found: 0, processes: 0 };
  const isLate = (): boolean => clock.now() - startedAt >= limits.timeoutMs;

  const run = async (): Promise<WarmResult["ended"]> => {
    await cache.connect();
    const hottest = await readHottest(place);
    counts.processes = hottest.processes;
    const known = hottest.keys.filter(({ namespace }) => namespaces.has(idOf(namespace)));
    const keys = known.slice(0, limits.maxKeys);
    for (const batch of batches(keys)) {
      if (isLate()) return "time";
      if (bytes() - bytesBefore >= limits.maxBytes) return "bytes";
      const namespace = namespaces.get(idOf(batch[0]!.namespace))!;
      const { size } = await namespace.getMany(batch.map(({ key }) => key));
      counts.read += batch.length;
      counts.found += size;
    }
    return keys.length < known.length ? "keys" : "done";
  };
  const ended = await within(clock, limits.timeoutMs, run(), () => "time" as const).catch(() => "unreachable" as const);
  return { ...counts, bytes: Math.max(0, bytes() - bytesBefore), ms: clock.now() - startedAt, ended };
}

function checked(
  cache: Cache,
  place: Place,
  options: WarmOptions,
): {
  readonly namespaces: ReadonlyMap<string, WarmedNamespace>;
  readonly limits: { readonly timeoutMs: number; readonly maxBytes: number; readonly maxKeys: number };
} {
  checkNames(options ?? null, ["from", "namespaces", "timeout", "maxBytes", "maxKeys"], { place: "warm" });
  const { from, namespaces = [], timeout = "5s", maxBytes = MAX_BYTES, maxKeys = 2_000 } = options;
  if (from !== "fleet") throw new ConfigurationError('warm: from must be "fleet"');
  const { backend, context } = place.parts;
  if (backend === undefined || context.local === undefined)
    throw new ConfigurationError("warm: the cache needs memory(), and a backend in which processes keep their records");
  const timeoutMs = typeof timeout === "number" ? timeout : parseDuration(timeout);
  for (const [name, value] of Object.entries({ timeout: timeoutMs, maxBytes, maxKeys }))
    if (!(value > 0)) throw new ConfigurationError(`warm: ${name} must be above 0`);
  const byPath = new Map<string, WarmedNamespace>([[idOf([]), cache]]);
  for (const each of namespaces as readonly unknown[]) {
    const its = (each as { readonly [PLACE]?: () => NamespacePlace } | null | undefined)?.[PLACE]?.();
    if (its === undefined || its.backend !== backend)
      throw new ConfigurationError("warm: namespaces must be a list of namespaces of the cache");
    byPath.set(idOf(its.keySpace.path), each as WarmedNamespace);
  }
  return { namespaces: byPath, limits: { timeoutMs, maxBytes, maxKeys } };
}

/** The hottest first; each of one namespace. */
function* batches(keys: readonly HotKey[]): Generator<readonly HotKey[]> {
  const open = new Map<string, HotKey[]>();
  for (const key of keys) {
    const id = idOf(key.namespace);
    const batch = open.get(id) ?? [];
    open.set(id, batch);
    batch.push(key);
    if (batch.length < BATCH) continue;
    open.delete(id);
    yield batch;
  }
  yield* open.values();
}

const idOf = (path: readonly string[]): string => JSON.stringify(path);
const PLACE: unique symbol = Symbol.for("hotset.place");
