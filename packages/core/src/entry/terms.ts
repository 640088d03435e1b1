import { haveEqualItems } from "../primitives/equal-items.ts";
import type { Labels, Terms, LifeLimits } from "./entry.ts";
import { dependencies, type KeySpace } from "./key.ts";

/** The terms of an entry in `space`: those of the one that was made there before it, if they are the same. */
export function termsIn(space: KeySpace, limits: LifeLimits, labels: Labels): Terms {
  const last = space.lastTerms;
  if (last !== undefined && isOf(last, limits, labels)) return last;
  const { staleWhileRevalidateMs, staleIfErrorMs, keepForMs, localTtlMs, areWindowsUnknown } = limits;
  const { inheritedMs, touchedMs } = limits;
  const { tags, etag, lastModified } = labels;
  const dependsOn = dependencies(space, tags);
  const lives = { staleWhileRevalidateMs, staleIfErrorMs, keepForMs, localTtlMs, areWindowsUnknown };
  space.lastTerms = { ...lives, inheritedMs, touchedMs, tags, dependsOn, etag, lastModified };
  return space.lastTerms;
}

const isOf = (terms: Terms, limits: LifeLimits, { tags, etag, lastModified }: Labels): boolean =>
  terms.staleWhileRevalidateMs === limits.staleWhileRevalidateMs &&
  terms.staleIfErrorMs === limits.staleIfErrorMs &&
  terms.keepForMs === limits.keepForMs &&
  terms.inheritedMs === limits.inheritedMs &&
  terms.touchedMs === limits.touchedMs &&
  terms.areWindowsUnknown === limits.areWindowsUnknown &&
  terms.localTtlMs === limits.localTtlMs &&
  terms.etag === etag &&
  terms.lastModified === lastModified &&
  haveEqualItems(terms.tags, tags);
