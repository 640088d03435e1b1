import type { Served } from "hotset";
import type { NextReadContext } from "./contexts.ts";
import type { Held } from "./held.ts";
import { tagName } from "./keys.ts";
import type { Lifetimes } from "./lifetimes.ts";
import { judge, type Change } from "./tags.ts";
import { warn } from "./warn.ts";

/** As those of its fence. */
const LONGEST_MS = 60_000;
const MOST_BEGUN = 10_000;

/** Stored with each value. */
export interface Kept {
  /** When it counts as begun, in milliseconds since the epoch: changes of tags from then on count for it. */
  readonly at: number;
  readonly tags: readonly string[];
}

/** Tags of the reader count for the value, too: those of its page, and those that mostly become its own. */
export interface LookUp<T> extends Pick<NextReadContext, "tags" | "softTags"> {
  readonly isUsable?: (entry: T) => boolean;
}

/** The value, if it may be served; `isMarked` if a tag made it stale. If it must be computed, the fence begins. */
export async function lookUp<T extends Kept>(
  held: Held,
  key: string,
  { softTags = [], tags = [], isUsable }: LookUp<T>,
): Promise<{ entry: T; isMarked: boolean } | undefined> {
  let served: Served | undefined;
  const entry = await held.cache.get<T>(key, { allowStale: true, onServed: (how) => (served = how) });
  const others = entry ? [...softTags, ...tags].filter((tag) => !entry.tags.includes(tag)) : softTags;
  const changes = await held.tags.changes(others);
  const judged = entry === undefined || isUsable?.(entry) === false ? "gone" : judge(changes, entry.at);
  if (judged !== "fresh" || served?.status === "stale") {
    begin(held, key, changes);
    await held.fences.begin(key);
  }
  if (entry === undefined || judged === "gone") return undefined;
  return { entry, isMarked: judged === "stale" || served?.cause === "marked" };
}

/** The fence does not know the tags that readers name: a value counts as begun after the changes that its own saw. */
function begin({ begun }: Held, key: string, changes: readonly Change[]): void {
  const now = Date.now();
  for (const [each, at] of begun) {
    if (now - at <= LONGEST_MS && begun.size < MOST_BEGUN) break;
    begun.delete(each);
  }
  if (!begun.has(key)) begun.set(key, Math.max(now, ...changes.map(({ at }) => at + 1)));
}

/** Unless it was invalidated while it was made: Next reads, renders, and then writes. */
export async function keep<T extends Kept>(held: Held, key: string, made: T, life: Lifetimes): Promise<void> {
  const entry: T = { ...made, at: held.begun.get(key) ?? made.at };
  held.begun.delete(key);
  await held.fences.set(key, entry, { ...life, tags: entry.tags.map(tagName), wait: held.wait });
}

export async function revalidate(held: () => Held, tags: string[], durations?: { expire?: number | undefined }) {
  try {
    await held().tags.update([...new Set(tags)], durations?.expire);
  } catch (error) {
    warn("a revalidation failed", error);
  }
}
