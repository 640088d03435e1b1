import type { Entry } from "../entry/entry.ts";
import { staleByTag } from "../entry/freshness.ts";
import type { KnownVersions } from "./known-versions.ts";
import type { TagEvents } from "./tag-events.ts";

/** What one process knows of tag changes without asking. */
export interface KnownChanges {
  readonly tags: TagEvents;
  /** Absent where no version was ever seen. */
  readonly table: Pick<KnownVersions, "lastSeen"> | undefined;
}

/**
 * `entry` under all tag changes that this process knows of, its own calls and what it received of others: unchanged,
 * stale, or `undefined`. For an entry that its backend cannot confirm now: what was received counts in an outage as
 * what was called.
 */
export function underKnownChanges(entry: Entry, known: KnownChanges, now: number): Entry | undefined {
  const checked = known.tags.applyTo(entry, now);
  if (checked === undefined) return undefined;
  const verdict = changedElsewhere(entry, known);
  if (verdict === "gone") return undefined;
  return verdict === "stale" ? staleByTag(checked, now) : checked;
}

/**
 * What other processes did to `entry` by its tags, as far as it was received. A version that was seen since says whether
 * a tag was invalidated or marked stale. Until one was seen, a tag that was reported as changed counts as invalidated:
 * many reports do not say how it changed.
 */
export function changedElsewhere(
  { versions, terms, tagSequence }: Entry,
  { tags, table }: KnownChanges,
): "unchanged" | "stale" | "gone" {
  let verdict: "unchanged" | "stale" = "unchanged";
  for (const [i, key] of terms.dependsOn.entries()) {
    const seen = table?.lastSeen(key);
    const stored = versions?.[i];
    if (seen === undefined || stored === undefined) {
      if (tags.wasReported(key, tagSequence)) return "gone";
    } else if (seen.hard !== stored.hard) return "gone";
    else if (seen.soft !== stored.soft) verdict = "stale";
  }
  return verdict;
}
