import type { Cache } from "hotset";
import { tagName } from "./keys.ts";
import { warn } from "./warn.ts";

/** The last change of a tag, in milliseconds since the epoch: what is older than `at` is stale, and ends at `end`. */
interface Change {
  readonly at: number;
  readonly end: number;
}

const NEVER: Change = { at: 0, end: 0 };
const CHANGES = "change:";
const KNOWN = "known:";
/** Longer than an entry. */
const KEPT_MS = 31 * 86_400_000;

/** Tags as Next has them: some are named by the reader alone, and some are stale until an instant to come. */
export class Tags {
  readonly #cache: Cache;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /**
   * How tags of the reader judge a value of the instant `at`. The last change of a tag is kept a second
   * time under the tag itself, so that memory answers until the tag changes again.
   */
  async judge(tags: readonly string[], at: number): Promise<"fresh" | "stale" | "gone"> {
    if (tags.length === 0) return "fresh";
    const known = await this.#cache.getOrSetMany<string, Change>(
      [...new Set(tags.map(tagName))],
      (tag) => KNOWN + tag,
      async (missing) => {
        const changes = await this.#changes(missing);
        return missing.map((tag) => [tag, changes.get(CHANGES + tag) ?? NEVER] as const);
      },
      { tags: (tag) => [tag], ttl: KEPT_MS, staleIfError: 0 },
    );
    const later = [...known.values()].filter((change) => change.at >= at);
    if (later.some(({ end }) => end <= Date.now())) return "gone";
    return later.length > 0 ? "stale" : "fresh";
  }

  /** Whether a later change of one of its own tags has ended a value of the instant `at`. */
  async haveEnded(tags: readonly string[], at: number): Promise<boolean> {
    const changes = await this.#changes(tags.map(tagName));
    return [...changes.values()].some((change) => change.at >= at && change.end <= Date.now());
  }

  async #changes(names: readonly string[]): Promise<Map<string, Change>> {
    return names.length === 0 ? new Map() : this.#cache.getMany<Change>(names.map((name) => CHANGES + name));
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
    await this.#cache.setMany(
      names.map((name) => [CHANGES + name, change] as const),
      { ttl: KEPT_MS },
    );
    const { status } = expireS === 0 ? await this.#cache.invalidateTags(names) : await this.#cache.markTagsStale(names);
    if (status === "pending")
      warn("a revalidation has not reached the backend yet; until it does, other processes do not see it", tags);
  }
}
