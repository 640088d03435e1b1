import type { Cache } from "hotset";
import { tagName } from "./keys.ts";
import { warn } from "./warn.ts";

/** Clocks of machines differ, and are set back: a change counts for what was begun until so long after it. */
const CLOCKS_DIFFER_MS = 10_000;

/** The last change of a tag, in milliseconds since the epoch: what is older than `at` is stale, and ends at `end`. */
export interface Change {
  readonly at: number;
  readonly end: number;
  /** Older values are gone: changes before the last one have ended them. */
  readonly goneBefore: number;
}

/** Stored with each value: changes from `at` on count for it, but for those `seen`. No two have the same `at`. */
export interface Kept {
  readonly at: number;
  readonly seen?: readonly number[];
  readonly tags: readonly string[];
}

const NEVER: Change = { at: 0, end: 0, goneBefore: 0 };
const changeOf = (tag: string): string => `change:${tagName(tag)}`;
/** Longer than an entry. */
const LIFE = { ttl: 31 * 86_400_000 };
const MOST_UNSENT = 10_000;

/** How tags of its reader judge a value. */
export function judge(
  changes: readonly Change[],
  { at: begunAt, seen }: Omit<Kept, "tags">,
): "fresh" | "stale" | "gone" {
  const isLater = (at: number): boolean => at >= begunAt && seen?.includes(at) !== true;
  const later = changes.filter(({ at }) => isLater(at));
  if (later.some(({ end, goneBefore }) => end <= Date.now() || isLater(goneBefore))) return "gone";
  return later.length > 0 ? "stale" : "fresh";
}

/** Tags as Next has them: some are named by the reader alone, so the last change of each is kept. */
export class Tags {
  readonly #cache: Cache;
  /** `at` of all changes that this process has seen. */
  #latest = 0;
  /** Their changes are lost in an outage: what is pending in a cache are removals. */
  readonly #unsent = new Set<string>();

  constructor(cache: Cache) {
    this.#cache = cache;
    cache.on("recover", () => {
      this.update([...this.#unsent]).catch((error: unknown) => warn("a revalidation failed", error));
    });
  }

  /** The last change of each. */
  async changes(tags: readonly string[]): Promise<readonly Change[]> {
    const never = (missing: readonly string[]) => missing.map((tag) => [tag, NEVER] as const);
    const changes = await this.#cache.getOrSetMany<string, Change>(tags, changeOf, never, LIFE);
    this.#latest = Math.max(this.#latest, ...[...changes.values()].map(({ at }) => at));
    return [...changes.values()];
  }

  /** Ends all values with any of these tags: now, or, after one stale answer, when `expireS` seconds have passed. */
  async update(tags: readonly string[], expireS = 0): Promise<void> {
    if (tags.length === 0) return;
    const isStored = await this.#change(tags, expireS);
    const { status } = await this.#cache.markTagsStale(tags.map(tagName), { expireIn: expireS * 1_000 });
    const isUnsent = !isStored || status === "pending";
    for (const tag of tags) this.#unsent[isUnsent ? "add" : "delete"](tag);
    if (!isUnsent) return;
    warn("a revalidation has not reached the backend yet; until it does, other processes do not see it", tags);
    if (this.#unsent.size <= MOST_UNSENT) return;
    this.#unsent.clear();
    await this.#cache.clear();
  }

  /** Changes by others meanwhile count as well. Where the change before is not known, values end now. */
  async #change(tags: readonly string[], expireS: number, attempts = 5): Promise<boolean> {
    const keys = tags.map(changeOf);
    const since = attempts > 0 ? await this.#cache.fence(keys) : undefined;
    const known = since ? await this.#cache.getMany<Change>(keys) : new Map<string, Change>();
    const now = Date.now();
    const latest = Math.max(this.#latest, ...[...known.values()].map((change) => change.at));
    const at = (this.#latest = Math.max(latest + 1, now + CLOCKS_DIFFER_MS) + Math.random());
    const changed = (before: Change | undefined): Change => {
      if (before === undefined || expireS <= 0) return { at, end: 0, goneBefore: 0 };
      const end = now + expireS * 1_000;
      if (before.end <= now) return { at, end, goneBefore: before.at };
      // If several ends have not come yet, the earliest counts.
      return { at, end: Math.min(end, before.end), goneBefore: before.goneBefore };
    };
    const entries = keys.map((key) => [key, changed(known.get(key))] as const);
    const { pending, refused } = await this.#cache.setMany(entries, { ...LIFE, since });
    if (since === undefined || pending + refused === 0) return pending === 0;
    return this.#change(tags, expireS, pending > 0 ? 0 : attempts - 1);
  }
}
