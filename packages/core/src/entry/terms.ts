import type { Labels, Terms, LifeLimits } from "./entry.ts";
import { dependencies, type KeySpace } from "./key.ts";
import { haveEqualItems } from "../primitives/equal-items.ts";

/** The terms of an entry in `space`: those of the one that was made there before it, if they are the same. */
export function termsIn(space: KeySpace, limits: LifeLimits, labels: Labels): Terms {
  const last = space.lastTerms;
  if (last !== undefined && haveEqualLimits(last, limits) && haveEqualLabels(last, labels)) return last;
  const { staleWhileRevalidateMs, staleIfErrorMs, keepForMs, localTtlMs } = limits;
  const { tags, etag, lastModified } = labels;
  const dependsOn = dependencies(space, tags);
  const made = { staleWhileRevalidateMs, staleIfErrorMs, keepForMs, localTtlMs };
  space.lastTerms = { ...made, tags, dependsOn, etag, lastModified };
  return space.lastTerms;
}

const haveEqualLimits = (some: LifeLimits, others: LifeLimits): boolean =>
  some.staleWhileRevalidateMs === others.staleWhileRevalidateMs &&
  some.staleIfErrorMs === others.staleIfErrorMs &&
  some.keepForMs === others.keepForMs &&
  some.localTtlMs === others.localTtlMs;

const haveEqualLabels = (some: Labels, others: Labels): boolean =>
  some.etag === others.etag && some.lastModified === others.lastModified && haveEqualItems(some.tags, others.tags);
