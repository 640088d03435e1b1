import type { Served } from "hotset";
import type { NextReadContext } from "./contexts.ts";
import type { Held } from "./held.ts";
import { tagName } from "./keys.ts";
import type { Lifetimes } from "./lifetimes.ts";
import { judge, type Kept } from "./tags.ts";
import { attempt } from "./warn.ts";

/** As those of its fence, and of the changes that one value has seen. */
const LONGEST_MS = 60_000;
const MOST_BEGUN = 10_000;
const MOST_SEEN = 100;

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
  const judged = entry === undefined || isUsable?.(entry) === false ? "gone" : judge(changes, entry);
  if (judged !== "fresh" || served?.status === "stale") {
    begin(held, key, [...changes.flatMap(({ at, goneBefore }) => [at, goneBefore]), ...(entry?.seen ?? [])]);
    await held.fences.begin(key);
  }
  if (judged === "gone") return undefined;
  return { entry: entry!, isMarked: judged === "stale" || served?.cause === "marked" };
}

/** The fence does not know the tags that readers name, and clocks do not know which changes a value has seen. */
function begin({ begun }: Held, key: string, seen: readonly number[], at = Date.now()): void {
  const open = (begun.get(key) ?? []).filter((each) => each.callers > 0 && at >= each.at && at - each.at <= LONGEST_MS);
  const later = [...new Set(seen)].filter((each) => each >= at).slice(0, MOST_SEEN);
  if (open.at(-1)?.isUsed !== false) open.push({ at, seen: later, callers: 0, isUsed: false });
  open.at(-1)!.callers += 1;
  begun.delete(key);
  if (begun.size >= MOST_BEGUN) begun.delete(begun.keys().next().value!);
  begun.set(key, open);
}

/** Unless it was invalidated while it was made: Next reads, renders, and then writes. */
export async function keep<T extends Kept>(held: Held, key: string, made: T, life: Lifetimes): Promise<void> {
  const open = held.begun.get(key);
  const first = open?.find(({ callers }) => callers > 0);
  const { at, seen = [] } = first ? Object.assign(first, { isUsed: true, callers: first.callers - 1 }) : made;
  if (open?.at(-1)?.callers === 0) held.begun.delete(key);
  await held.fences.set(key, { ...made, at, seen }, { ...life, tags: made.tags.map(tagName), wait: held.wait });
}

export async function revalidate(held: () => Held, tags: string[], durations?: { expire?: number | undefined }) {
  const expireS = durations ? (durations.expire ?? Infinity) : 0;
  await attempt("a revalidation failed", () => held().tags.update([...new Set(tags)], expireS));
}
