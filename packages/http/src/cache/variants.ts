import type { Clock, GetOrSetOptions, LoadOptions, Namespace } from "@hotset/core";
import { ignore } from "./messages.ts";
import type { Plan } from "./options.ts";
import { bodyKey, indexEntry, readIndex, type StoredIndex } from "./stored.ts";
import { listTag, variantKey, type Visit } from "./visit.ts";

/** A variant that is stored. */
export interface Variant {
  readonly key: string;
  readonly selects: string;
  /** The key of this variant in `languages`, if its language is known. */
  readonly language: string | undefined;
}

type Indexed = Pick<Visit, "primary"> & Partial<Pick<Visit, "family">>;
type Change = (index: StoredIndex | undefined) => StoredIndex | undefined;

/** How long the index of a URL lives without a new variant. */
export const indexLifetime = (family: string | undefined): LoadOptions => ({
  ttl: "30d",
  staleWhileRevalidate: 0,
  staleIfError: 0,
  tags: family === undefined ? [] : [listTag(family)],
});

/**
 * The indexes of URLs whose responses vary. Each change of one is a load: under a lease it depends on what is there,
 * also across processes, and an invalidation of the URL fences it.
 */
export class Variants {
  readonly #namespace: Namespace;
  readonly #maxVariants: number;
  /** The last change under way, by the key of the URL. */
  readonly #changes = new Map<string, Promise<void>>();
  readonly #ends = new Map<string, () => void>();
  readonly #clock: Clock;
  readonly #limits: GetOrSetOptions;

  constructor(namespace: Namespace, { maxVariants, clock, loadTimeoutMs, longestLoadMs }: Plan) {
    this.#namespace = namespace;
    this.#maxVariants = maxVariants;
    this.#clock = clock;
    // A change ends its own wait alone: clients that join its load wait as long as for those of others.
    this.#limits = { maxAge: 0, errorBackoff: 0, loadTimeout: longestLoadMs, hardTimeout: loadTimeoutMs };
    namespace.on("load", ({ key }) => this.#ends.get(key)?.());
  }

  /** Notes a variant that is stored now; the oldest ones above the limit are removed. `undefined` if it is not. */
  async add(place: Indexed, known: StoredIndex, variant: Variant): Promise<StoredIndex | undefined> {
    let dropped: readonly string[] = [];
    const changed = await this.#change(place, (index) => {
      if (index?.generation !== known.generation || index.mark !== known.mark) return undefined;
      const next = withVariant(index, variant);
      dropped = next.variants.slice(0, -this.#maxVariants);
      return without(next, dropped);
    });
    this.#remove(dropped);
    return changed;
  }

  /** The present index. From now on no variant is noted whose load has begun. */
  mark(primary: string): Promise<StoredIndex | undefined> {
    return this.#change({ primary }, (index) => index && { ...index, mark: crypto.randomUUID() });
  }

  /** Stores this index again, if it is still there. */
  async keep(place: Indexed, { generation }: StoredIndex): Promise<void> {
    await this.#change(place, (index) => (index?.generation === generation ? { ...index } : undefined));
  }

  /** An index under which all of `selecting` select: the present one, or a new generation. */
  async widen(place: Indexed, selecting: readonly string[]): Promise<StoredIndex | undefined> {
    let dropped: readonly string[] = [];
    const changed = await this.#change(place, (index) => {
      if (!index) return undefined;
      if (selecting.every((name) => index.selecting.includes(name))) return index;
      dropped = index.variants;
      return indexEntry([...new Set([...index.selecting, ...selecting])].toSorted(), place.family);
    });
    this.#remove(dropped);
    return changed;
  }

  #remove(variants: readonly string[]): void {
    void this.#namespace.deleteMany(variants.flatMap((key) => [key, bodyKey(key)])).catch(ignore);
  }

  /**
   * One after the other in this process, each once the one before is stored: a call that joins the load of another
   * changes nothing, and a load that began before another was stored is not stored itself.
   */
  #change(place: Indexed, change: Change): Promise<StoredIndex | undefined> {
    const { primary } = place;
    let stored = Promise.resolve();
    const changed = (this.#changes.get(primary) ?? Promise.resolve())
      .then(() => {
        stored = this.#end(primary);
        return this.#changeNow(place, change);
      })
      // No client is failed by it.
      .catch(() => undefined);
    const last = changed.then(() => stored);
    this.#changes.set(primary, last);
    void last.then(() => {
      if (this.#changes.get(primary) === last) this.#changes.delete(primary);
    });
    return changed;
  }

  /** The end of the next load of this key. A load that an invalidation has ended has no event. */
  #end(key: string): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#ends.delete(key);
        resolve();
      };
      const cancel = this.#clock.schedule(end, LONGEST_STORE_MS);
      this.#ends.set(key, end);
    });
  }

  async #changeNow({ primary, family }: Indexed, change: Change): Promise<StoredIndex | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      let isMine = false;
      const result: unknown = await this.#namespace.getOrSet(
        primary,
        (ctx) => {
          isMine = true;
          const stored = readIndex(ctx.stale?.value);
          const next = change(stored);
          // `undefined` is stored nowhere.
          if (next === undefined || next === stored) return ctx.noStore(next);
          ctx.setOptions(indexLifetime(family));
          return next;
        },
        { ...this.#limits, verify: false },
      );
      if (isMine) return readIndex(result);
    }
    return undefined;
  }
}

/** With this variant as the newest one. */
export function withVariant(index: StoredIndex, { key, selects, language }: Variant): StoredIndex {
  return {
    ...index,
    variants: [...index.variants.filter((each) => each !== key), key],
    languages: language === undefined ? index.languages : { ...index.languages, [language]: selects },
  };
}

const without = (index: StoredIndex, dropped: readonly string[]): StoredIndex => ({
  ...index,
  variants: index.variants.filter((key) => !dropped.includes(key)),
  languages: Object.fromEntries(
    Object.entries(index.languages).filter(([, selects]) => !dropped.includes(variantKey(index.generation, selects))),
  ),
});

const ATTEMPTS = 4;
const LONGEST_STORE_MS = 1_000;
