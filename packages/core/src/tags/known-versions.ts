import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Epoch } from "../coherence/parts.ts";
import type { Trust } from "../coherence/trust.ts";
import type { Pinned, Versions } from "./tag-versions.ts";
import { ignore } from "../primitives/ignore.ts";

/**
 * Tag versions known to be current, because every change of them is reported. With them a tagged copy costs no trip,
 * and a tagged read only its own.
 *
 * A version is recorded from an answer only if its tag did not change while the answer was on its way: a reply is
 * handled after the message that overtook it. Kept apart from entries, so that they cannot evict it. Bounded; a
 * forgotten version is read again.
 *
 * In a backend of several parts the one that keeps the versions may be lost while others are not. Then a version that
 * was read, from a replica for example, is believed for `maxStaleness`: as long as copies are while a link is silent.
 */
export class KnownVersions {
  readonly #trust: Trust;
  readonly #clock: Clock;
  /** Called when versions are forgotten: copies may have been checked against them. */
  readonly #forgotten: () => void;
  readonly #versions = new Map<string, Known>();
  /** The issuer's position at the last pin, while no change was reported since. */
  #at: string | undefined;
  /** For each tag: how many answers are on their way, and the last change of the tag. */
  readonly #asked = new Map<string, { count: number; changeSequence: number }>();
  /** The number of the last change. */
  #changeSequence = 0;
  #epoch: Epoch = { until: -Infinity };

  constructor(trust: Trust, clock: Clock, forgotten: () => void) {
    this.#trust = trust;
    this.#clock = clock;
    this.#forgotten = forgotten;
  }

  get size(): number {
    return this.#versions.size;
  }

  has(tag: string): boolean {
    return this.#versions.has(tag);
  }

  /** Whether every change of a version is reported. */
  isReported(now: number): boolean {
    if (now < this.#epoch.until) return true;
    this.#epoch = this.#trust.epochOfVersions();
    return now < this.#epoch.until;
  }

  /** Whether all of them are known. */
  knows(tags: readonly string[]): boolean {
    const since = this.#believedSince();
    for (const tag of tags) if (!((this.#versions.get(tag)?.readAt ?? -Infinity) > since)) return false;
    return true;
  }

  /** All of them, in order; `undefined` if one is not known. */
  known(tags: readonly string[]): readonly TagVersion[] | undefined {
    const since = this.#believedSince();
    // Asked for at each hit: an array that grows would have room for 17.
    const versions = new Array<TagVersion>(tags.length);
    for (let i = 0; i < tags.length; i++) {
      const known = this.#versions.get(tags[i]!);
      if (known === undefined || known.readAt <= since) return undefined;
      versions[i] = known.version;
    }
    return versions;
  }

  /** A version that was read later, as `clock.now()`, counts. */
  #believedSince(): number {
    const now = this.#clock.now();
    if (this.isReported(now)) return -Infinity;
    return this.#trust.isReportedInPart(now) ? now - this.#trust.maxStalenessMs : Infinity;
  }

  /**
   * As if they were pinned now; `undefined` if one is not known, or was pinned longer than {@link REPIN_MS} ago:
   * pinning also prolongs the life of a version in the backend.
   *
   * A change may be on its way. Then the entry is stored under versions that are outdated: a miss for every process,
   * never a stale value. `at` is that of an earlier pin, so a late tag may be refused needlessly.
   *
   * While the part that keeps the versions is lost nothing can be pinned: any version that was known will do, and there
   * may be no `at`, which refuses all late tags.
   */
  pinned(tags: readonly string[]): Pinned | undefined {
    const now = this.#clock.now();
    const isReported = this.isReported(now);
    if (isReported ? this.#at === undefined : !this.#trust.isReportedInPart(now)) return undefined;
    const versions = new Map<string, TagVersion>();
    for (const tag of tags) {
      const known = this.#versions.get(tag);
      if (known === undefined || (isReported && now - known.pinnedAt >= REPIN_MS)) return undefined;
      versions.set(tag, known.version);
    }
    return { at: this.#at ?? "", versions };
  }

  /**
   * These changed, or may have.
   *
   * @param versions what they are now, as `hard soft`: one that is known to be this already stays.
   * @returns those that were known.
   */
  forget(tags: readonly string[], versions?: ReadonlyMap<string, string>): string[] {
    this.#changeSequence += 1;
    this.#at = undefined;
    return tags.filter((tag) => {
      const asked = this.#asked.get(tag);
      if (asked !== undefined) asked.changeSequence = this.#changeSequence;
      const now = versions?.get(tag);
      const known = this.#versions.get(tag)?.version;
      if (known === undefined || (now !== undefined && now === `${known.hard} ${known.soft}`)) return false;
      return this.#versions.delete(tag);
    });
  }

  clear(): void {
    this.#versions.clear();
    this.#at = undefined;
  }

  /** `source`, with its answers recorded. */
  recording(source: TagVersions): TagVersions {
    const record = async <T>(
      tags: readonly string[],
      ask: () => Promise<T>,
      versionsOf: (answer: T) => Versions,
      onOvertaken: (tags: readonly string[]) => void = readAgain,
    ): Promise<T> => {
      const epoch = this.#trust.epochOfVersions();
      const since = this.#changeSequence;
      const askedAt = this.#clock.now();
      this.#expect(tags);
      try {
        const answer = await ask();
        const overtaken =
          epoch === this.#trust.epochOfVersions() ? this.#record(tags, versionsOf(answer), { since, askedAt }) : tags;
        if (overtaken.length !== 0) onOvertaken(overtaken);
        return answer;
      } finally {
        this.#answered(tags);
      }
    };
    // Issuing a missing version is a change too, and reported like any other. An answer from before the subscription is
    // not recorded either. Both are read once more, in the background.
    const readAgain = (tags: readonly string[]): void =>
      void record(tags, () => source.read(tags), asRead, ignore).catch(ignore);
    return {
      read: (tags) => record(tags, () => source.read(tags), asRead),
      pin: async (tags) => {
        const epoch = this.#trust.epochOfVersions();
        const since = this.#changeSequence;
        const pinnedAt = this.#clock.now();
        const answer = await record(tags, () => source.pin(tags), versionsOf);
        if (epoch === this.#trust.epochOfVersions() && since === this.#changeSequence) {
          this.#at = answer.at;
          for (const tag of tags) {
            const known = this.#versions.get(tag);
            if (known !== undefined) known.pinnedAt = pinnedAt;
          }
        }
        return answer;
      },
      unchangedSince: async (at, tags) => {
        const versions = await record(tags, () => source.unchangedSince(at, tags), asRead);
        // Refused: a tag changed, or the issuer was lost, which nobody reports. Then no tag is unchanged since `#at`.
        if (versions.includes(undefined)) this.#at = undefined;
        return versions;
      },
      renew: async (tags, mode) => {
        this.forget(tags);
        try {
          await source.renew(tags, mode);
        } finally {
          this.forget(tags);
        }
      },
    };
  }

  #expect(tags: readonly string[]): void {
    for (const tag of tags) {
      const asked = this.#asked.get(tag);
      if (asked === undefined) this.#asked.set(tag, { count: 1, changeSequence: 0 });
      else asked.count += 1;
    }
  }

  #answered(tags: readonly string[]): void {
    for (const tag of tags) {
      const asked = this.#asked.get(tag)!;
      asked.count -= 1;
      if (asked.count === 0) this.#asked.delete(tag);
    }
  }

  /** Records versions, and returns the tags that changed while they were asked for. */
  #record(
    tags: readonly string[],
    versions: Versions,
    { since, askedAt }: { readonly since: number; readonly askedAt: number },
  ): readonly string[] {
    const overtaken: string[] = [];
    tags.forEach((tag, i) => {
      const version = versions[i];
      if (version === undefined) return;
      if (this.#asked.get(tag)!.changeSequence > since) {
        overtaken.push(tag);
        return;
      }
      if (this.#versions.size >= MAX_KNOWN && !this.#versions.has(tag)) this.#makeRoom();
      this.#versions.set(tag, { version, readAt: askedAt, pinnedAt: this.#versions.get(tag)?.pinnedAt ?? -Infinity });
    });
    return overtaken;
  }

  /**
   * Forgets many at once: to find its oldest entry, a map walks past all entries deleted before it; and each time
   * copies are checked again.
   */
  #makeRoom(): void {
    for (const oldest of this.#versions.keys()) {
      if (this.#versions.size <= MAX_KNOWN * 0.9) break;
      this.#versions.delete(oldest);
    }
    this.#forgotten();
  }
}

interface Known {
  readonly version: TagVersion;
  /** `clock.now()` when it was asked for. */
  readonly readAt: number;
  /** `clock.now()` when it was pinned last; `-Infinity` for one that was only read. */
  pinnedAt: number;
}

const versionsOf = ({ versions }: { readonly versions: Versions }): Versions => versions;
const asRead = (versions: Versions): Versions => versions;
/** Far below the 30 days that a version lives in Redis after it was pinned. */
const REPIN_MS = 3_600_000;
/** About 20 MB at most. */
const MAX_KNOWN = 100_000;
