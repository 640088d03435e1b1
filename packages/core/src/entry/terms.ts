import type { Marks, Terms, LifeLimits } from "./entry.ts";
import { dependencies, type KeySpace } from "./key.ts";

/** The terms of an entry in `space`: those of the one that was made there before it, if they are the same. */
export function termsIn(space: KeySpace, windows: LifeLimits, marks: Marks): Terms {
  const last = space.lastTerms;
  if (last !== undefined && haveEqualWindows(last, windows) && haveEqualMarks(last, marks)) return last;
  const { staleWhileRevalidateMs, staleIfErrorMs, localTtlMs } = windows;
  const { tags, etag, lastModified } = marks;
  const dependsOn = dependencies(space, tags);
  space.lastTerms = { staleWhileRevalidateMs, staleIfErrorMs, localTtlMs, tags, dependsOn, etag, lastModified };
  return space.lastTerms;
}

const haveEqualWindows = (some: LifeLimits, others: LifeLimits): boolean =>
  some.staleWhileRevalidateMs === others.staleWhileRevalidateMs &&
  some.staleIfErrorMs === others.staleIfErrorMs &&
  some.localTtlMs === others.localTtlMs;

const haveEqualMarks = (some: Marks, others: Marks): boolean =>
  some.etag === others.etag &&
  some.lastModified === others.lastModified &&
  some.tags.length === others.tags.length &&
  some.tags.every((tag, i) => tag === others.tags[i]);
