import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import type { KnownVersions } from "./known-versions.ts";

/**
 * Tag versions as they were read last, for while the store that has them is away.
 *
 * A copy elsewhere can then still be held against what this process knows. What others renew meanwhile it cannot hear
 * of; what it renews itself, and what it has heard to have changed, is forgotten, so that nothing that was invalidated is
 * taken for current. Bounded: what is forgotten is not answered.
 */
export class RememberedVersions implements TagVersions {
  /** Reads that are spared where every change is heard of, and all is known. */
  readonly known: Pick<TagVersions, "read">;
  /** Reads that answer what is current, or reject. */
  readonly asked: Pick<TagVersions, "read">;
  readonly #source: TagVersions;
  readonly #table: KnownVersions | undefined;
  readonly #seen = new Map<string, TagVersion>();
  readonly #asking = new Set<Asking>();

  /** @param table what is known of `source` without asking. */
  constructor(source: TagVersions, table?: KnownVersions) {
    this.#source = source;
    this.#table = table;
    this.known = { read: async (tags) => this.#known(tags) ?? this.read(tags) };
    this.asked = {
      read: (tags) =>
        this.#ask(
          tags,
          () => source.read(tags),
          (versions) => versions,
        ),
    };
  }

  /** Whether it can be said without asking what is current. */
  knows(tags: readonly string[]): boolean {
    return this.#known(tags) !== undefined;
  }

  async read(tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]> {
    try {
      return await this.asked.read(tags);
    } catch (error) {
      return this.#recall(tags, error);
    }
  }

  /** What is stored under versions that were not the current ones is gone as soon as the store answers again. */
  async pin(tags: readonly string[]): Promise<{ readonly at: string; readonly versions: readonly TagVersion[] }> {
    try {
      return await this.#ask(
        tags,
        () => this.#source.pin(tags),
        ({ versions }) => versions,
      );
    } catch (error) {
      return { at: NOWHERE, versions: this.#recall(tags, error) };
    }
  }

  async unchangedSince(at: string, tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]> {
    return at === NOWHERE ? tags.map(() => undefined) : this.#source.unchangedSince(at, tags);
  }

  async renew(tags: readonly string[], mode: "hard" | "soft"): Promise<void> {
    this.forget(tags);
    try {
      await this.#source.renew(tags, mode);
    } finally {
      // What was read while it was sent may be what was before.
      this.forget(tags);
    }
  }

  /** These changed, or may have. */
  forget(tags: readonly string[]): void {
    for (const tag of tags) {
      this.#seen.delete(tag);
      for (const { overtaken } of this.#asking) overtaken.add(tag);
    }
  }

  /** Remembered as well: what is known is forgotten as a whole when changes are not heard any more. */
  #known(tags: readonly string[]): readonly TagVersion[] | undefined {
    const known = this.#table?.known(tags);
    if (known !== undefined) this.#remember(tags, known);
    return known;
  }

  async #ask<T>(
    tags: readonly string[],
    ask: () => Promise<T>,
    versionsOf: (answer: T) => readonly (TagVersion | undefined)[],
  ): Promise<T> {
    const asking: Asking = { overtaken: new Set() };
    this.#asking.add(asking);
    try {
      const answer = await ask();
      this.#remember(tags, versionsOf(answer), asking.overtaken);
      return answer;
    } finally {
      this.#asking.delete(asking);
    }
  }

  #remember(
    tags: readonly string[],
    versions: readonly (TagVersion | undefined)[],
    overtaken?: ReadonlySet<string>,
  ): void {
    if (this.#seen.size + tags.length > MAX_SEEN) this.#seen.clear();
    tags.forEach((tag, i) => {
      const version = versions[i];
      if (overtaken?.has(tag) === true) return;
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
}

/** What changed while it was asked for. */
interface Asking {
  readonly overtaken: Set<string>;
}

const MAX_SEEN = 10_000;
/** Where no issuer stands. */
const NOWHERE = "";
