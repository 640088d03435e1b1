import type { TagVersion, TagVersions } from "./backend.ts";

/**
 * Tag versions as they were read last, for while the store that has them is away.
 *
 * A copy elsewhere can then still be held against what this process knows. What others renew meanwhile it cannot hear
 * of; what it renews itself is forgotten, so that nothing it has invalidated is taken for current. Bounded: what is
 * forgotten is not answered.
 */
export class RememberedVersions implements TagVersions {
  readonly #source: TagVersions;
  readonly #seen = new Map<string, TagVersion>();
  #renewals = 0;

  constructor(source: TagVersions) {
    this.#source = source;
  }

  async read(tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]> {
    const renewals = this.#renewals;
    try {
      const found = await this.#source.read(tags);
      if (renewals === this.#renewals) this.#remember(tags, found);
      return found;
    } catch (error) {
      return this.#recall(tags, error);
    }
  }

  /** What is stored under versions that were not the current ones is gone as soon as the store answers again. */
  async pin(tags: readonly string[]): Promise<{ readonly at: string; readonly versions: readonly TagVersion[] }> {
    const renewals = this.#renewals;
    try {
      const pinned = await this.#source.pin(tags);
      if (renewals === this.#renewals) this.#remember(tags, pinned.versions);
      return pinned;
    } catch (error) {
      return { at: NOWHERE, versions: this.#recall(tags, error) };
    }
  }

  async unchangedSince(at: string, tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]> {
    return at === NOWHERE ? tags.map(() => undefined) : this.#source.unchangedSince(at, tags);
  }

  async renew(tags: readonly string[], mode: "hard" | "soft"): Promise<void> {
    this.#forget(tags);
    try {
      await this.#source.renew(tags, mode);
    } finally {
      // What was read while it was sent may be what was before.
      this.#forget(tags);
    }
  }

  #remember(tags: readonly string[], versions: readonly (TagVersion | undefined)[]): void {
    if (this.#seen.size + tags.length > MAX_SEEN) this.#seen.clear();
    tags.forEach((tag, i) => {
      const version = versions[i];
      if (version === undefined) this.#seen.delete(tag);
      else this.#seen.set(tag, version);
    });
  }

  #recall(tags: readonly string[], error: unknown): readonly TagVersion[] {
    return tags.map((tag) => {
      const version = this.#seen.get(tag);
      if (version === undefined) throw error;
      return version;
    });
  }

  #forget(tags: readonly string[]): void {
    this.#renewals += 1;
    for (const tag of tags) this.#seen.delete(tag);
  }
}

const MAX_SEEN = 10_000;
/** Where no issuer stands. */
const NOWHERE = "";
