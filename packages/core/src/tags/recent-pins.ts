import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Pinned, Versions } from "./tag-versions.ts";

/**
 * The tag versions that were pinned in the last second, for a backend that reports no changes: a load under the same
 * tags does not pin them again.
 *
 * A version may have changed since, unnoticed. Then the entry is stored under an outdated version: a miss for every
 * process, never a stale value. A read that finds another version, and each renewal by this process, end that
 * immediately.
 */
export class RecentPins {
  readonly #clock: Clock;
  readonly #versions = new Map<string, TagVersion>();
  /** The position of the issuer at the oldest of these pins: a late tag may be refused needlessly. */
  #at = "";
  #since = -Infinity;
  /** The number of the last change. */
  #changeSequence = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** As if they were pinned now; `undefined` unless each was pinned within the last second. */
  pinned(tags: readonly string[]): Pinned | undefined {
    if (this.#clock.now() - this.#since >= REPIN_MS) return undefined;
    const versions = new Map<string, TagVersion>();
    for (const tag of tags) {
      const version = this.#versions.get(tag);
      if (version === undefined) return undefined;
      versions.set(tag, version);
    }
    return { at: this.#at, versions };
  }

  /** `source`, with its answers remembered. */
  recording(source: TagVersions): TagVersions {
    return {
      read: async (tags) => this.#compare(tags, await source.read(tags)),
      pin: async (tags) => {
        const [pinnedAt, sequence] = [this.#clock.now(), this.#changeSequence];
        const answer = await source.pin(tags);
        if (sequence === this.#changeSequence) this.#remember(tags, answer, pinnedAt);
        return answer;
      },
      unchangedSince: async (at, tags) => {
        const versions = this.#compare(tags, await source.unchangedSince(at, tags));
        // Refused: a later load has to pin under the position of now.
        if (versions.includes(undefined)) this.#forget();
        return versions;
      },
      renew: async (tags, mode) => {
        this.#forget();
        try {
          await source.renew(tags, mode);
        } finally {
          this.#forget();
        }
      },
    };
  }

  #remember(
    tags: readonly string[],
    { at, versions }: Awaited<ReturnType<TagVersions["pin"]>>,
    pinnedAt: number,
  ): void {
    if (pinnedAt - this.#since >= REPIN_MS) {
      this.#versions.clear();
      this.#at = at;
      this.#since = pinnedAt;
    }
    this.#compare(tags, versions);
    if (this.#versions.size < MAX_PINS) tags.forEach((tag, i) => this.#versions.set(tag, versions[i]!));
  }

  /** An answer with another version says that it changed. */
  #compare(tags: readonly string[], versions: Versions): Versions {
    const isChanged = tags.some((tag, i) => {
      const pinned = this.#versions.get(tag);
      return pinned !== undefined && (pinned.hard !== versions[i]?.hard || pinned.soft !== versions[i].soft);
    });
    if (isChanged) this.#forget();
    return versions;
  }

  #forget(): void {
    this.#changeSequence += 1;
    this.#versions.clear();
    this.#since = -Infinity;
  }
}

const REPIN_MS = 1_000;
/** A tag of a load each: some megabytes at most. */
const MAX_PINS = 10_000;
