import type { Cache } from "hotset";
import { tagName } from "./keys.ts";
import { warn } from "./warn.ts";

/** The last change of a tag, in milliseconds since the epoch: what is older than `at` is stale, and ends at `end`. */
interface Change {
  readonly at: number;
  readonly end: number;
}

const NEVER: Change = { at: 0, end: 0 };
const changeOf = (name: string): string => `change:${name}`;
/** Longer than an entry. */
const LIFE = { ttl: 31 * 86_400_000 };
const MOST_UNSENT = 10_000;

/** Tags as Next has them: some are named by the reader alone, so the last change of each is kept. */
export class Tags {
  readonly #cache: Cache;
  /** Their changes are lost in an outage: what is pending in a cache are removals. */
  readonly #unsent = new Set<string>();

  constructor(cache: Cache) {
    this.#cache = cache;
    cache.on("recover", () => {
      this.update([...this.#unsent]).catch((error: unknown) => warn("a revalidation failed", error));
    });
  }

  /** How tags of the reader judge a value of the instant `at`. */
  async judge(tags: readonly string[], at: number): Promise<"fresh" | "stale" | "gone"> {
    if (tags.length === 0) return "fresh";
    const names = [...new Set(tags.map(tagName))];
    const never = (missing: readonly string[]) => missing.map((name) => [name, NEVER] as const);
    const changes = await this.#cache.getOrSetMany<string, Change>(names, changeOf, never, LIFE);
    const later = [...changes.values()].filter((change) => change.at >= at);
    if (later.some(({ end }) => end <= Date.now())) return "gone";
    return later.length > 0 ? "stale" : "fresh";
  }

  /**
   * Ends all values with any of these tags: now, or, after one stale answer, when `expireS` have passed.
   *
   * @param expireS seconds; 0 for now.
   */
  async update(tags: readonly string[], expireS = 0): Promise<void> {
    const names = [...new Set(tags.map(tagName))];
    if (names.length === 0) return;
    const at = Date.now();
    const change: Change = { at, end: at + expireS * 1_000 };
    const { pending } = await this.#cache.setMany(
      names.map((name) => [changeOf(name), change] as const),
      LIFE,
    );
    const { status } = await this.#cache.markTagsStale(names, { expireIn: expireS * 1_000 });
    const isUnsent = pending > 0 || status === "pending";
    for (const name of names)
      if (isUnsent) this.#unsent.add(name);
      else this.#unsent.delete(name);
    if (!isUnsent) return;
    warn("a revalidation has not reached the backend yet; until it does, other processes do not see it", tags);
    if (this.#unsent.size <= MOST_UNSENT) return;
    this.#unsent.clear();
    await this.#cache.clear();
  }
}
