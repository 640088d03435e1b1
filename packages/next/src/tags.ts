import type { Cache } from "hotset";
import { tagName } from "./keys.ts";
import { warn } from "./warn.ts";

/** Clocks of machines differ, and are set back: a change counts for what was begun until so long after it. */
const CLOCKS_DIFFER_MS = 10_000;

/** An end or a mark of a tag, in milliseconds since the epoch: what is older than `at` is stale, and ends at `end`. */
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
/** Ends and marks have separate records: no mark undoes an end, and neither is ever retried. */
const keyOf = (tag: string, end: number): string => `${end > 0 ? "mark" : "change"}:${tagName(tag)}`;
/** Longer than an entry. */
const LIFE = { ttl: 31 * 86_400_000 };
const MOST_UNSENT = 10_000;
/** So many tags are changed at a time: with thousands, most of the time goes into garbage collection. */
const PART = 300;

/** How tags of its reader judge a value. */
export function judge(
  changes: readonly Change[],
  { at: begunAt, seen }: Omit<Kept, "tags">,
): "fresh" | "stale" | "gone" {
  const isLater = (at: number): boolean => at >= begunAt && !seen?.includes(at);
  const later = changes.filter(({ at }) => isLater(at));
  if (later.some(({ end, goneBefore }) => end <= Date.now() || isLater(goneBefore))) return "gone";
  return later.length > 0 ? "stale" : "fresh";
}

/** Tags as Next has them: some are named by the reader alone, so the last end and the last mark of each are kept. */
export class Tags {
  readonly #cache: Cache;
  /** `at` of all changes that this process has seen. */
  #latest = 0;
  /** Their changes are lost in an outage: what is pending in a cache are removals. */
  readonly #unsent = new Set<string>();
  /** The next ends, by key. They wait for those under way: a mark has to know the one before it. */
  readonly #waiting = new Map<string, number>();
  #last = Promise.resolve({ pending: 0 });

  constructor(cache: Cache) {
    this.#cache = cache;
    cache.on("recover", () => {
      this.update([...this.#unsent], 0).catch((error: unknown) => warn("a revalidation failed", error));
    });
  }

  /** The last end of each, and its last mark. */
  async changes(tags: readonly string[]): Promise<readonly Change[]> {
    const keys = tags.flatMap((tag) => [keyOf(tag, 0), keyOf(tag, 1)]);
    const never = (missing: readonly string[]) => missing.map((key) => [key, NEVER] as const);
    const found = await this.#cache.getOrSetMany<string, Change>(keys, (key) => key, never, LIFE);
    const changes = [...found.values()];
    // The next change counts for what this process makes now, even if its clock is set back meanwhile.
    this.#latest = Math.max(this.#latest, Date.now(), ...changes.map(({ at }) => at));
    return changes;
  }

  /** Ends all values with any of these tags: now, or, after one stale answer, when `expireS` seconds have passed. */
  async update(tags: readonly string[], expireS: number): Promise<void> {
    for (let i = 0; i < tags.length; i += PART)
      await this.#update(tags.slice(i, i + PART), Math.max(0, expireS * 1_000));
  }

  async #update(tags: readonly string[], expireIn: number): Promise<void> {
    const end = expireIn && Date.now() + expireIn;
    const begin = () => this.#change();
    if (this.#waiting.size === 0) this.#last = this.#last.then(begin, begin);
    for (const key of tags.map((tag) => keyOf(tag, end)))
      this.#waiting.set(key, Math.min(end, this.#waiting.get(key) ?? end));
    const { pending } = await this.#last;
    const { status } = await this.#cache.markTagsStale(tags.map(tagName), { expireIn });
    const isUnsent = pending > 0 || status === "pending";
    for (const tag of tags) this.#unsent[isUnsent ? "add" : "delete"](tag);
    if (isUnsent) warn("a revalidation has not yet reached the backend, nor other processes", tags);
    if (this.#unsent.size <= MOST_UNSENT) return;
    this.#unsent.clear();
    await this.#cache.clear();
  }

  async #change(): Promise<{ pending: number }> {
    const ends = [...this.#waiting];
    this.#waiting.clear();
    const known = await this.#cache.getMany<Change>(ends.flatMap(([key, end]) => (end > 0 ? key : [])));
    for (const { at } of known.values()) this.#latest = Math.max(this.#latest, at);
    const now = Date.now();
    const at = (this.#latest = Math.max(this.#latest + 1, now + CLOCKS_DIFFER_MS) + Math.random());
    const changed = ([key, end]: [string, number]): [string, Change] => {
      // Where the mark before is not known, values end now. Of ends that have not come yet, the earliest counts.
      const before = known.get(key) ?? { ...NEVER, at };
      if (before.end <= now) return [key, { at, end, goneBefore: before.at }];
      return [key, { ...before, at, end: Math.min(end, before.end) }];
    };
    return this.#cache.setMany(ends.map(changed), LIFE);
  }
}
