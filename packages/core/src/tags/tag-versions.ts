import type { Awaitable } from "../contracts/awaitable.ts";
import type { TagVersion, TagVersions } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Entry } from "../entry/entry.ts";
import { staleByTag } from "../entry/freshness.ts";
import { tagNames, type KeySpace } from "../entry/key.ts";
import { haveEqualItems } from "../primitives/equal-items.ts";
import { whenReady } from "../primitives/thenable.ts";

/** The current versions of some tags; `undefined` for one that is missing. */
export type Versions = readonly (TagVersion | undefined)[];
/** How the versions that were read are applied to the entries of reads. Made once: every hit comes this way. */
export interface Applying<R> {
  readonly clock: Clock;
  readonly readMore: (request: R, tags: readonly string[]) => Awaitable<Versions>;
}

/**
 * Compares the versions that an entry was stored under with the current ones. Equality alone decides: no clocks are
 * compared. A missing version was evicted, expired or flushed, and hides the entry. Pure.
 */
export function compareVersions(
  stored: readonly TagVersion[] | undefined,
  current: Versions,
): "unchanged" | "stale" | "gone" {
  if (stored === undefined) return "unchanged";
  if (stored.length !== current.length) return "gone";
  let verdict: "unchanged" | "stale" = "unchanged";
  for (let i = 0; i < stored.length; i += 1) {
    const now = current[i];
    if (now === undefined || now.hard !== stored[i]!.hard) return "gone";
    if (now.soft !== stored[i]!.soft) verdict = "stale";
  }
  return verdict;
}

/**
 * Applies the tag versions of the backend to `entry`: unchanged, stale, or `undefined`. Tags of the entry that the
 * reader did not expect cost a second trip.
 *
 * @param found the versions of the `expected` keys.
 */
export function underVersions<R>(
  entry: Entry,
  { request, expected }: { readonly request: R; readonly expected: readonly string[] },
  found: Versions,
  by: Applying<R>,
): Awaitable<Entry | undefined> {
  const { dependsOn } = entry.terms;
  if (entry.versions === undefined) return entry;
  return dependsOn === expected || haveEqualItems(dependsOn, expected)
    ? applied(entry, found, by.clock)
    : underMoreVersions(entry, versionsByKey(expected, found), request, by);
}

function underMoreVersions<R>(
  entry: Entry,
  byKey: Map<string, TagVersion | undefined>,
  request: R,
  { clock, readMore }: Applying<R>,
): Awaitable<Entry | undefined> {
  const { dependsOn } = entry.terms;
  const unexpected = dependsOn.filter((key) => !byKey.has(key));
  const withMore = (more: Versions): Awaitable<Entry | undefined> => {
    more.forEach((version, i) => byKey.set(unexpected[i]!, version));
    return applied(
      entry,
      dependsOn.map((key) => byKey.get(key)),
      clock,
    );
  };
  return unexpected.length === 0 ? withMore([]) : whenReady(readMore(request, unexpected), withMore);
}

function applied(entry: Entry, current: Versions, clock: Clock): Entry | undefined {
  const verdict = compareVersions(entry.versions, current);
  if (verdict === "stale") return staleByTag(entry, clock.now());
  return verdict === "unchanged" ? entry : undefined;
}

const versionsByKey = (keys: readonly string[], versions: Versions): Map<string, TagVersion | undefined> =>
  new Map(keys.map((key, i) => [key, versions[i]]));

/**
 * The keys that a tag call in this namespace renews. `clear` passes no tags and renews the key of the namespace itself.
 */
export function tagKeys(keySpace: KeySpace, tags: readonly string[]): readonly string[] {
  const prefix = keySpace.tagPrefixes.at(-1)!;
  return tags.length === 0 ? [prefix] : tagNames(tags).map((name) => prefix + name);
}

/**
 * How many tags of one call are renewed in one step of the backend; those of a longer call go in several. In Redis they
 * are keys of one script, with that of their issuer: a script of very many keeps everybody waiting.
 */
export const TAGS_OF_ONE_STEP = 63;

/** Versions taken before a load, for the entry that the load will store. */
export interface Pinned {
  readonly at: string;
  readonly versions: ReadonlyMap<string, TagVersion>;
}

/**
 * The versions under which the result of a load may be stored, in the order of `keys`; `undefined` when a tag that the
 * loader added late may have been invalidated while it ran. Without late tags all were pinned.
 */
export function versionsFor(
  store: TagVersions,
  { at, versions }: Pinned,
  keys: readonly string[],
): Awaitable<readonly TagVersion[] | undefined> {
  const late = keys.filter((key) => !versions.has(key));
  if (late.length === 0) return keys.map((key) => versions.get(key)!);
  return store.unchangedSince(at, late).then((found) => {
    const lateVersions = versionsByKey(late, found);
    const all = keys.map((key) => versions.get(key) ?? lateVersions.get(key));
    return all.every((version) => version !== undefined) ? all : undefined;
  });
}
