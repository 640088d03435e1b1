import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import type { KnownVersions } from "./known-versions.ts";

/**
 * The tag versions that were read last, used while their store is unreachable.
 *
 * A copy in another backend can then still be checked against them. Renewals by other processes in the meantime are not
 * reported. Tags that this process renews, or that were reported as changed, are forgotten, so that nothing invalidated
 * counts as current. Bounded: a forgotten version is not answered.
 */
export class RememberedVersions implements TagVersions {
  /** Reads that are skipped if every change is reported and all the versions are known. */
  readonly skippingKnown: Pick<TagVersions, "read">;
  /** Reads that answer the current versions, or reject. */
  readonly withoutFallback: Pick<TagVersions, "read">;
  readonly #source: TagVersions;
  readonly #table: KnownVersions | undefined;
  readonly #seen = new Map<string, TagVersion>();
  readonly #asking = new Set<Asking>();

  /** @param table the versions of `source` that are known without a read. */
  constructor(source: TagVersions, table?: KnownVersions) {
    this.#source = source;
    this.#table = table;
    this.skippingKnown = { read: async (tags) => this.#known(tags) ?? this.read(tags) };
    this.withoutFallback = {
      read: (tags) =>
        this.#ask(
          tags,
          () => source.read(tags),
          (versions) => versions,
        ),
    };
  }

  /** Whether the current versions are known without a read. */
  knows(tags: readonly string[]): boolean {
    return this.#known(tags) !== undefined;
  }

  async read(tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]> {
    try {
      return await this.withoutFallback.read(tags);
    } catch (error) {
      return this.#recall(tags, error);
    }
  }

  /** An entry stored under versions that were not current is hidden as soon as the store answers again. */
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
      // A read that was in progress may have answered the old versions.
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

  /** Remembers them as well: all known versions are forgotten when the subscription is lost. */
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

/** One read in progress. */
interface Asking {
  /** The tags that changed in the meantime. */
  readonly overtaken: Set<string>;
}

const MAX_SEEN = 10_000;
/** The position of no issuer. */
const NOWHERE = "";
