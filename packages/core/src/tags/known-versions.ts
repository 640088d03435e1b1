import type { KeyAliases } from "../coherence/key-aliases.ts";
import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Trust } from "../coherence/trust.ts";

/**
 * Tag versions known to be current, because every change of them is heard of. With them a tagged copy costs no trip, and
 * a tagged read none but its own.
 *
 * A version is learnt from an answer only if its tag did not change while that was under way: a reply is handled after
 * the message that overtook it. Apart from entries, so that they cannot push it out; bounded, and what is forgotten is
 * read again.
 */
export class KnownVersions {
  readonly #trust: Trust;
  readonly #aliases: KeyAliases | undefined;
  readonly #clock: Clock;
  /** Copies may have been held against what is forgotten here. */
  readonly #forgotten: () => void;
  readonly #versions = new Map<string, TagVersion>();
  /** By tag, how many answers are under way, and how many of them were overtaken. */
  readonly #asked = new Map<string, { count: number; changedAt: number }>();
  #changes = 0;

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

  /** All of them, in order, or `undefined` when one is not known for sure. */
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

  /** Reads of `source`, which are spared where all is known. */
  sparing(source: Pick<TagVersions, "read">): Pick<TagVersions, "read"> {
    return { read: async (tags) => this.known(tags) ?? source.read(tags) };
  }

  /** These changed, or may have. */
  forget(tags: readonly string[]): void {
    this.#changes += 1;
    for (const tag of tags) {
      this.#versions.delete(tag);
      const asked = this.#asked.get(tag);
      if (asked !== undefined) asked.changedAt = this.#changes;
    }
  }

  clear(): void {
    this.#versions.clear();
  }

  /** `source`, whose answers are learnt. */
  learning(source: TagVersions): TagVersions {
    const learn = async <T>(
      tags: readonly string[],
      ask: () => Promise<T>,
      versionsOf: (answer: T) => readonly (TagVersion | undefined)[],
      isAgain = false,
    ): Promise<T> => {
      const { epoch } = this.#trust;
      const since = this.#changes;
      this.#expect(tags);
      try {
        const answer = await ask();
        const overtaken = epoch === this.#trust.epoch ? this.#learn(tags, versionsOf(answer), since) : tags;
        // Issuing a version that was missing is a change too, and heard like any other; so is what was asked before anything
        // could be heard. Asked once more, behind the answer.
        if (overtaken.length !== 0 && !isAgain)
          void learn(
            overtaken,
            () => source.read(overtaken),
            (versions) => versions,
            true,
          ).catch(ignore);
        return answer;
      } finally {
        this.#answered(tags);
      }
    };
    return {
      read: (tags) =>
        learn(
          tags,
          () => source.read(tags),
          (versions) => versions,
        ),
      pin: (tags) =>
        learn(
          tags,
          () => source.pin(tags),
          ({ versions }) => versions,
        ),
      unchangedSince: (at, tags) =>
        learn(
          tags,
          () => source.unchangedSince(at, tags),
          (versions) => versions,
        ),
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
      if (asked === undefined) this.#asked.set(tag, { count: 1, changedAt: 0 });
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

  /** Gives those that changed while they were asked for. */
  #learn(tags: readonly string[], versions: readonly (TagVersion | undefined)[], since: number): readonly string[] {
    const overtaken: string[] = [];
    tags.forEach((tag, i) => {
      const version = versions[i];
      if (version === undefined) return;
      if (this.#asked.get(tag)!.changedAt > since) {
        overtaken.push(tag);
        return;
      }
      if (this.#versions.size >= MAX_KNOWN && !this.#versions.has(tag)) this.#makeRoom();
      this.#versions.set(tag, version);
    });
    return overtaken;
  }

  /** Many at once: to find its oldest entry, a map passes by all that were deleted before it; and copies are held anew after each time. */
  #makeRoom(): void {
    for (const oldest of this.#versions.keys()) {
      if (this.#versions.size <= MAX_KNOWN * 0.9) break;
      this.#versions.delete(oldest);
    }
    this.#forgotten();
  }
}

const ignore = (): void => undefined;
/** About 20 MB at most. */
const MAX_KNOWN = 100_000;
