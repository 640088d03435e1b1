import type { Served } from "hotset";
import type { Held } from "./held.ts";
import { tagName } from "./keys.ts";
import type { Lifetimes } from "./lifetimes.ts";

/** Stored with each value. */
export interface Kept {
  /** Milliseconds since the epoch: nothing in it is older. */
  readonly at: number;
  readonly tags: readonly string[];
}

export interface LookUp<T> {
  /** Tags of the reader: they count for the value, too. */
  readonly tags: readonly string[];
  readonly isUsable?: (entry: T) => boolean;
}

export interface Found<T> {
  readonly entry: T;
  /** Whether a tag made it stale before its time. */
  readonly isMarked: boolean;
  readonly isFresh: boolean;
}

/** The value, if it may be served. If it must be computed, the fence begins. */
export async function lookUp<T extends Kept>(
  { cache, tags, fences }: Held,
  key: string,
  { tags: ofReader, isUsable }: LookUp<T>,
): Promise<Found<T> | undefined> {
  let served: Served | undefined;
  const entry = await cache.get<T>(key, { allowStale: true, onServed: (how) => (served = how) });
  const others = ofReader.filter((tag) => entry?.tags.includes(tag) === false);
  const judged = entry === undefined || isUsable?.(entry) === false ? "gone" : await tags.judge(others, entry.at);
  const isFresh = judged === "fresh" && served?.status !== "stale";
  if (!isFresh) await fences.begin(key);
  if (entry === undefined || judged === "gone") return undefined;
  return { entry, isMarked: judged === "stale" || served?.cause === "marked", isFresh };
}

/** Unless it was invalidated while it was made: Next reads, renders, and then writes. */
export async function keep({ fences, wait }: Held, key: string, entry: Kept, life: Lifetimes): Promise<void> {
  await fences.set(key, entry, { ...life, tags: entry.tags.map(tagName), wait });
}
