import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import { staleByTag, type Entry } from "../entry/entry.ts";
import { dependencies, type KeySpace } from "../entry/key.ts";
import type { Awaitable } from "../contracts/awaitable.ts";

/**
 * The tag calls of this process, and what is heard of those of others, numbered.
 *
 * A local copy is held against them: it is gone when a tag it depends on was invalidated after it was checked, and
 * stale when one was marked stale. While nothing was called since, that is one comparison. `clear` is a call on the
 * version of a namespace, which every entry below depends on.
 *
 * Bounded: what is forgotten counts as having been called, so forgetting costs misses and never a stale value.
 */
export class TagEvents {
  /** The number of the last event. */
  sequence = 0;
  #floor = 0;
  readonly #hard = new Map<string, number>();
  readonly #soft = new Map<string, number>();
  /** By namespace, the last call there: nothing that was in flight then is joined afterwards. */
  readonly #byNamespace = new Map<string, number>();
  /** As `#byNamespace`, of what was heard. */
  readonly #heardByNamespace = new Map<string, number>();
  #heardFloor = 0;

  /** Records a call on these tag keys of one namespace. Once when it is made, and once more when it is acknowledged. */
  called(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft"): void {
    this.sequence += 1;
    for (const key of keys) remember(mode === "hard" ? this.#hard : this.#soft, key, this.sequence);
    remember(this.#byNamespace, keySpace.tagPrefixes.at(-1)!, this.sequence);
    this.#bound();
  }

  /** Records that these tags changed elsewhere, or may have: copies are held against their versions anew, and flights of then are not joined. */
  heard(keys: readonly string[]): void {
    this.sequence += 1;
    for (const key of keys) remember(this.#heardByNamespace, key.slice(0, key.indexOf("::") + 2), this.sequence);
    if (this.#heardByNamespace.size > MAX_REMEMBERED) {
      this.#heardByNamespace.clear();
      this.#heardFloor = this.sequence;
    }
  }

  /** What copies were held against is forgotten in part. */
  forgotten(): void {
    this.sequence += 1;
  }

  /** `entry` as the calls since `entry.checkedAt` leave it: as it is, stale, or `undefined`. What was heard since, its versions tell. */
  hold(entry: Entry, now: number): Entry | undefined {
    if (entry.tagSequence === this.sequence) return entry;
    if (this.wasInvalidated(entry.dependsOn, entry.tagSequence)) return undefined;
    return this.#since(this.#soft, entry.dependsOn, entry.tagSequence) ? staleByTag(entry, now) : entry;
  }

  /** Whether one of these keys was invalidated, or may have been, after call number `since`. */
  wasInvalidated(keys: readonly string[], since: number): boolean {
    return since < this.#floor || this.#since(this.#hard, keys, since);
  }

  /** Whether one of these keys was invalidated or marked stale, or may have been, after call number `since`. */
  wasCalled(keys: readonly string[], since: number): boolean {
    return this.wasInvalidated(keys, since) || this.#since(this.#soft, keys, since);
  }

  /** Whether there was any tag call in this namespace, or above it, after event number `calledSince`; or something heard after `heardSince`. */
  hasEvents(keySpace: KeySpace, calledSince: number, heardSince: number): boolean {
    return (
      (calledSince !== this.sequence &&
        (calledSince < this.#floor || this.#since(this.#byNamespace, keySpace.tagPrefixes, calledSince))) ||
      (heardSince !== this.sequence &&
        (heardSince < this.#heardFloor || this.#since(this.#heardByNamespace, keySpace.tagPrefixes, heardSince)))
    );
  }

  #since(calls: ReadonlyMap<string, number>, keys: readonly string[], since: number): boolean {
    return keys.some((key) => (calls.get(key) ?? 0) > since);
  }

  #bound(): void {
    if (this.#hard.size + this.#soft.size + this.#byNamespace.size > MAX_REMEMBERED) this.#forget();
  }

  #forget(): void {
    this.#floor = this.sequence;
    this.#hard.clear();
    this.#soft.clear();
    this.#byNamespace.clear();
  }
}

const MAX_REMEMBERED = 10_000;

function remember(calls: Map<string, number>, key: string, at: number): void {
  calls.set(key, at);
}

/**
 * What the versions in the backend make of an entry that was stored under others. Equality alone decides: no clocks
 * are compared. A version that is missing was evicted, expired or flushed, and hides the entry. Pure.
 */
export function compareVersions(
  stored: readonly TagVersion[] | undefined,
  current: readonly (TagVersion | undefined)[],
): "current" | "stale" | "gone" {
  if (stored === undefined) return "current";
  if (stored.length !== current.length) return "gone";
  let verdict: "current" | "stale" = "current";
  for (let i = 0; i < stored.length; i += 1) {
    const now = current[i];
    if (now === undefined || now.hard !== stored[i]!.hard) return "gone";
    if (now.soft !== stored[i]!.soft) verdict = "stale";
  }
  return verdict;
}

/**
 * `entry` as the versions in the backend leave it: as it is, stale, or `undefined`. Tags that it has and nobody
 * expected cost a second trip.
 *
 * @param found the versions of the `expected` keys.
 */
export function underVersions(
  entry: Entry,
  expected: readonly string[],
  found: readonly (TagVersion | undefined)[],
  store: Pick<TagVersions, "read">,
  clock: Clock,
): Awaitable<Entry | undefined> {
  const { versions, dependsOn } = entry;
  if (versions === undefined) return entry;
  const under = (current: readonly (TagVersion | undefined)[]): Entry | undefined => {
    const verdict = compareVersions(versions, current);
    return verdict === "current" ? entry : verdict === "stale" ? staleByTag(entry, clock.now()) : undefined;
  };
  if (
    dependsOn === expected ||
    (dependsOn.length === expected.length && dependsOn.every((key, i) => key === expected[i]))
  )
    return under(found);
  const unexpected = dependsOn.filter((key) => !expected.includes(key));
  const withMore = (more: readonly (TagVersion | undefined)[]): Entry | undefined =>
    under(
      dependsOn.map((key) => (expected.includes(key) ? found[expected.indexOf(key)] : more[unexpected.indexOf(key)])),
    );
  return unexpected.length === 0 ? withMore([]) : store.read(unexpected).then(withMore);
}

/** The keys that a tag call in this namespace renews; of `clear`, the namespace's own. */
export function tagKeys(keySpace: KeySpace, tags: readonly string[]): readonly string[] {
  const prefix = keySpace.tagPrefixes.at(-1)!;
  return tags.length === 0 ? [prefix] : [...new Set(tags)].map((tag) => prefix + tag);
}

/** Versions taken before a load, for the entry that it will store. */
export interface Pinned {
  readonly at: string;
  readonly versions: ReadonlyMap<string, TagVersion>;
}

/**
 * The versions under which the result of a load may be stored, in the order of `dependencies`; `undefined` when a tag
 * that the loader added late may have been invalidated while it ran.
 */
export async function versionsFor(
  store: TagVersions,
  pinned: Pinned,
  keySpace: KeySpace,
  tags: readonly string[],
): Promise<readonly TagVersion[] | undefined> {
  const keys = dependencies(keySpace, tags);
  const late = keys.filter((key) => !pinned.versions.has(key));
  const found = late.length === 0 ? [] : await store.unchangedSince(pinned.at, late);
  const versions = keys.map((key) => pinned.versions.get(key) ?? found[late.indexOf(key)]);
  return versions.every((version) => version !== undefined) ? versions : undefined;
}
