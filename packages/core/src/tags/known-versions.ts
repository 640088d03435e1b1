import type { KeyAliases } from "../coherence/key-aliases.ts";
import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Trust } from "../coherence/trust.ts";

/**
 * Tag versions known to be current, because every change of them is reported. With them a tagged copy costs no trip,
 * and a tagged read only its own.
 *
 * A version is recorded from an answer only if its tag did not change while the answer was on its way: a reply is
 * handled after the message that overtook it. Kept apart from entries, so that they cannot evict it. Bounded; a
 * forgotten version is read again.
 */
export class KnownVersions {
  readonly #trust: Trust;
  readonly #aliases: KeyAliases | undefined;
  readonly #clock: Clock;
  /** Called when versions are forgotten: copies may have been checked against them. */
  readonly #forgotten: () => void;
  readonly #versions = new Map<string, TagVersion>();
  /** For each tag: how many answers are on their way, and the last change of the tag. */
  readonly #asked = new Map<string, { count: number; changeSequence: number }>();
  /** The number of the last change. */
  #changeSequence = 0;

  constructor(trust: Trust, clock: Clock, forgotten: () => void, aliases?: KeyAliases) {
    this.#aliases = aliases;
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

  /** Whether all of them are known for sure. */
  knows(tags: readonly string[]): boolean {
    if (this.#clock.now() >= this.#trust.until) return false;
    for (const tag of tags) if (!this.#versions.has(tag)) return false;
    return true;
  }

  /** All of them, in order; `undefined` if one is not known for sure. */
  known(tags: readonly string[]): readonly TagVersion[] | undefined {
    if (this.#clock.now() >= this.#trust.until) return undefined;
    const versions: TagVersion[] = [];
    for (const tag of tags) {
      const version = this.#versions.get(tag);
      if (version === undefined) return undefined;
      versions.push(version);
    }
    return versions;
  }

  /** Reads of `source`, skipped if all the versions are known. */
  skippingKnown(source: Pick<TagVersions, "read">): Pick<TagVersions, "read"> {
    return { read: async (tags) => this.known(tags) ?? source.read(tags) };
  }

  /** These changed, or may have. */
  forget(tags: readonly string[]): void {
    this.#changeSequence += 1;
    for (const tag of tags) {
      this.#versions.delete(tag);
      const asked = this.#asked.get(tag);
      if (asked !== undefined) asked.changeSequence = this.#changeSequence;
    }
  }

  clear(): void {
    this.#versions.clear();
  }

  /** `source`, with its answers recorded. */
  recording(source: TagVersions): TagVersions {
    const record = async <T>(
      tags: readonly string[],
      ask: () => Promise<T>,
      versionsOf: (answer: T) => Versions,
      onOvertaken: (tags: readonly string[]) => void = readAgain,
    ): Promise<T> => {
      const { epoch } = this.#trust;
      const since = this.#changeSequence;
      this.#expect(tags);
      try {
        const answer = await ask();
        const overtaken = epoch === this.#trust.epoch ? this.#record(tags, versionsOf(answer), since) : tags;
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
      pin: (tags) =>
        record(
          tags,
          () => source.pin(tags),
          ({ versions }) => versions,
        ),
      unchangedSince: (at, tags) => record(tags, () => source.unchangedSince(at, tags), asRead),
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
      this.#aliases?.add(tag);
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
  #record(tags: readonly string[], versions: Versions, since: number): readonly string[] {
    const overtaken: string[] = [];
    tags.forEach((tag, i) => {
      const version = versions[i];
      if (version === undefined) return;
      if (this.#asked.get(tag)!.changeSequence > since) {
        overtaken.push(tag);
        return;
      }
      if (this.#versions.size >= MAX_KNOWN && !this.#versions.has(tag)) this.#makeRoom();
      this.#versions.set(tag, version);
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

type Versions = readonly (TagVersion | undefined)[];
const asRead = (versions: Versions): Versions => versions;
const ignore = (): void => undefined;
/** About 20 MB at most. */
const MAX_KNOWN = 100_000;
