import type { Computation } from "@hotset/core/adapter";
import type { Served } from "hotset";
import type { NextReadContext } from "./contexts.ts";
import type { Held } from "./held.ts";
import { tagName } from "./keys.ts";
import type { Lifetimes } from "./lifetimes.ts";
import { judge, type Begun, type Kept } from "./tags.ts";
import { attempt } from "./warn.ts";

const MOST_SEEN = 100;

/** Tags of the reader count for the value, too: those of its page, and those that mostly become its own. */
export interface LookUp<T> extends Pick<NextReadContext, "tags" | "softTags"> {
  readonly isUsable?: (entry: T) => boolean;
}

/**
 * The value, if it may be served; `isMarked` if a tag made it stale. If it must be computed, the fence of `making`
 * begins; otherwise there is none.
 *
 * @param enter called in the turn of the call, unless memory has a fresh copy.
 */
export async function lookUp<T extends Kept>(
  held: Held,
  key: string,
  enter: () => Computation<Begun>,
  { softTags = [], tags = [], isUsable }: LookUp<T>,
): Promise<{ entry: T | undefined; isMarked: boolean; making: Computation<Begun> | undefined }> {
  let served: Served | undefined;
  const reading = held.cache.get<T>(key, { allowStale: true, onServed: (how) => (served = how) });
  let making = served?.status === "hit" ? undefined : enter();
  const entry = await reading;
  const isMarked = served?.cause === "marked";
  const others = entry ? [...softTags, ...tags].filter((tag) => !entry.tags.includes(tag)) : softTags;
  const records = await held.tags.changes(others);
  const marks = entry && isMarked ? await held.tags.marks(entry.tags) : [];
  // The cache knows its own tags, but for what has not come there yet, and for when a marked value ends.
  const changes = entry ? [...records, ...marks, ...held.tags.coming(entry.tags)] : records;
  const isLost = entry !== undefined && isMarked && judge(marks, entry) === "fresh";
  const isUnusable = entry === undefined || isLost || isUsable?.(entry) === false;
  const judged = isUnusable ? "gone" : judge(changes, entry);
  if (judged === "fresh" && served?.status !== "stale") {
    if (making !== undefined) held.outside.end(making);
    making = undefined;
  } else {
    // The fence does not know the tags that readers name, and clocks do not know which changes a value has seen.
    const at = Date.now();
    const known = [
      ...changes.flatMap((each) => [each.at, each.goneBefore]),
      ...(entry?.seen ?? []),
      ...held.tags.comingAt(),
    ];
    const seen = [...new Set(known)].filter((each) => each >= at).slice(0, MOST_SEEN);
    await held.outside.begin((making ??= enter()), { at, seen });
  }
  return { entry: judged === "gone" ? undefined : entry, isMarked: isMarked || judged === "stale", making };
}

/** Unless it was invalidated while it was made: Next reads, renders, and then writes. */
export async function keep<T extends Kept>(
  held: Held,
  making: Computation<Begun>,
  made: T,
  life: Lifetimes,
): Promise<void> {
  const { at, seen = [] } = making.facts ?? made;
  const options = { ...life, tags: made.tags.map(tagName), wait: held.wait };
  // A mark that finds no record before its own ends values now: the one before may have been lost.
  void attempt("marks are not known: the next profile of a tag ends its values", () => held.tags.marks(made.tags));
  await held.outside.set(making.key, { ...made, at, seen }, options, making);
}

export async function revalidate(held: () => Held, tags: string[], durations?: { expire?: number | undefined }) {
  const expireS = durations ? (durations.expire ?? Infinity) : 0;
  await attempt("a revalidation failed", () => held().tags.update([...new Set(tags)], expireS));
}
