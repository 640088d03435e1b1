import type { TagVersion } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { wholeInstant, type Entry } from "../entry/entry.ts";
import { compareVersions } from "../tags/tag-versions.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";

/** The entry that a load made of its value; without versions until they are known. */
export type Made = Pick<Entry, "staleAt" | "expiresAt" | "terms" | "versions">;

/** A loaded value. Without `made` it is not stored, or not yet. */
export interface LoadedValue {
  readonly value: unknown;
  readonly made?: Made | undefined;
  /** Tags of the value itself, even if it is stored nowhere. */
  tags?: readonly string[];
}

/** The cache that a value is of. */
interface Owner {
  readonly clock: Clock;
}

/**
 * The cached values that a load with `inherit` got: its entry has their tags, and is fresh for no longer than they are.
 *
 * A copy may be older than an invalidation elsewhere that reaches this process only later. So it is not enough that
 * the tags have not changed during the load: the versions under which each value was stored must be those of the entry.
 */
export class UsedValues {
  readonly #owner: Owner;
  readonly #tags = new Set<string>();
  readonly #versions = new Map<string, TagVersion>();
  #hasUnversioned = false;
  #staleAt = Infinity;
  #isEmpty = true;

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  get tags(): readonly string[] {
    return [...this.#tags];
  }

  /** How long all of them are fresh from `now` on; less than 1 for an entry that must not be stored. */
  freshForMs(now: number): number {
    return this.#staleAt - wholeInstant(now);
  }

  /**
   * Adds a value that was served. One of another cache limits the freshness alone: its tags mean nothing in this one.
   *
   * @param made `undefined` for a value that was stored nowhere: its tags concern who joins.
   */
  add(owner: Owner, remote?: Pick<RemoteTier, "versions">, made?: Made, tags?: readonly string[]): void {
    this.#isEmpty = false;
    const leftMs = made === undefined ? 0 : made.staleAt - wholeInstant(owner.clock.now());
    this.#staleAt = Math.min(this.#staleAt, wholeInstant(this.#owner.clock.now()) + leftMs);
    if (owner !== this.#owner) return;
    (tags ?? made?.terms.tags)?.forEach((tag) => this.#tags.add(tag));
    if (made === undefined || remote?.versions === undefined) return;
    this.#hasUnversioned ||= made.versions === undefined;
    made.versions?.forEach((version, i) => {
      const key = made.terms.dependsOn[i]!;
      const known = this.#versions.get(key) ?? version;
      this.#versions.set(key, compareVersions([known], [version]) === "unchanged" ? version : NO_VERSION);
    });
  }

  /**
   * Whether an entry made of these values must not be stored under `versions`: one of them was stored under another
   * version, or under unknown ones. Versions of other namespaces do not count.
   */
  forbids(keys: readonly string[], versions: readonly TagVersion[]): "fenced" | "unreachable" | undefined {
    const isOther = keys.some((key, i) => {
      const used = this.#versions.get(key);
      return used !== undefined && compareVersions([used], [versions[i]]) !== "unchanged";
    });
    return isOther ? "fenced" : this.#hasUnversioned ? "unreachable" : undefined;
  }
}

/** Equals no version: two values were stored under different ones. */
const NO_VERSION: TagVersion = { hard: "", soft: "" };
