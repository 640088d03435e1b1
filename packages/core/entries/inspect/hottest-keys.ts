import { newId } from "@hotset/core/internal";
import type { Place } from "./place.ts";
import { LIVES, PLACES, readAll } from "./processes.ts";
import { Sampler, sampling } from "./sampler.ts";

/** A key that is hit often, and how often, as estimated. */
export interface HotKey {
  readonly namespace: readonly string[];
  readonly key: string;
  readonly hits: number;
}

export const MOST_HOTTEST = 10_000;
const MOST_BYTES = 65_536;
/** Hits for each sample: few enough that a process of 1,000 hits a second knows its order within seconds. */
const ONE_OF = 8;
/** After so long a hit counts half. */
const HALF_MS = 60_000;

/** The keys that this process hits most, next to its record: apart from it, since only `warm` reads them. */
export class HottestKeys {
  readonly #place: Place;
  readonly #most: number;
  readonly #sampler: Sampler;
  readonly #endSampling: () => void;
  #halvedAt: number;

  /** `undefined` where the record names no keys: none are wanted, or they may not leave the process. */
  static of(place: Place, most: number): HottestKeys | undefined {
    return most === 0 || place.parts.context.redactKey !== undefined ? undefined : new HottestKeys(place, most);
  }

  constructor(place: Place, most: number) {
    this.#place = place;
    this.#most = most;
    this.#sampler = new Sampler(place.parts.localKey, 4 * most, ONE_OF);
    this.#endSampling = sampling(place, this.#sampler);
    this.#halvedAt = place.parts.context.clock.now();
  }

  end(): void {
    this.#endSampling();
  }

  async write(at: number, everyMs: number): Promise<void> {
    const { backend, context } = this.#place.parts;
    const data = new TextEncoder().encode(this.#text());
    const life = { staleInMs: LIVES * everyMs, expiresInMs: LIVES * everyMs };
    await this.#place.bounded(backend!.write(keysOf(this.#place)[at]!, { data, ...life, meta: "", version: newId() }));
    const now = context.clock.now();
    if (now - this.#halvedAt < HALF_MS) return;
    this.#halvedAt = now;
    this.#sampler.halve();
  }

  async remove(at: number): Promise<void> {
    await this.#place.bounded(this.#place.parts.backend!.remove(keysOf(this.#place)[at]!));
  }

  /** As many as there is room for. */
  #text(): string {
    const listed: string[] = [];
    let length = 2;
    for (const [localKey, hits] of this.#sampler.hottest(this.#most)) {
      // Those of memory alone are in no backend.
      if (localKey.startsWith(LOCAL_ONLY)) continue;
      const { path, key } = this.#place.parts.parseLocalKey(localKey);
      const item = JSON.stringify([path, key, hits]);
      length += item.length + 1;
      if (length > MOST_BYTES) break;
      listed.push(item);
    }
    return `[${listed.join(",")}]`;
  }
}

const LOCAL_ONLY = "\u0001";

/** Those of all processes that name some, the most hit first, and how many processes that are. */
export async function readHottest(
  place: Place,
): Promise<{ readonly processes: number; readonly keys: readonly HotKey[] }> {
  const found = await place.bounded(readAll(place.parts.backend!, keysOf(place)));
  const lists = found.flatMap((entry) => (entry === undefined ? [] : [parsed(entry.data)]));
  const sums = new Map<string, HotKey>();
  for (const { namespace, key, hits } of lists.flat()) {
    const id = JSON.stringify([namespace, key]);
    sums.set(id, { namespace, key, hits: hits + (sums.get(id)?.hits ?? 0) });
  }
  return {
    processes: lists.filter(({ length }) => length > 0).length,
    keys: [...sums.values()].toSorted((one, other) => other.hits - one.hits),
  };
}

const keysOf = ({ parts: { namespace } }: Place): readonly string[] =>
  // No namespace begins with it: segments are percent-encoded.
  Array.from({ length: PLACES }, (_, at) => `${namespace.keySpace.backendPrefix.slice(0, -1)}~hottest::${at}`);

/** Anyone who may write to the store can have written it. */
function parsed(data: Uint8Array): readonly HotKey[] {
  let given: unknown;
  try {
    given = JSON.parse(new TextDecoder().decode(data));
  } catch {
    return [];
  }
  if (!Array.isArray(given)) return [];
  return given.slice(0, MOST_HOTTEST).flatMap((item: unknown): HotKey[] => {
    const [namespace, key, hits] = Array.isArray(item) ? (item as readonly unknown[]) : [];
    const isPath = Array.isArray(namespace) && namespace.every((name) => typeof name === "string");
    if (!isPath || typeof key !== "string" || key === "" || !Number.isFinite(hits)) return [];
    return [{ namespace, key, hits: hits as number }];
  });
}
