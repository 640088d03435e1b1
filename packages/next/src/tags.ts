import type { Cache } from "hotset";
import { tagName } from "./keys.ts";
import { attempt, warn } from "./warn.ts";

/** Clocks of machines differ, and are set back: a change counts for what was begun until so long after it. */
const CLOCKS_DIFFER_MS = 10_000;

/** An end or a mark of a tag, in milliseconds since the epoch: what is older than `at` is stale, and ends at `end`. */
export interface Change {
  readonly at: number;
  readonly end: number;
  /** Older values are gone: changes before the last one have ended them. */
  readonly goneBefore: number;
}

/** Stored with each value: changes from `at` on count for it, but for those `seen`. No two have the same `at`. */
export interface Kept extends Begun {
  readonly tags: readonly string[];
}

/** When a value was begun, and the changes that were known then. */
export interface Begun {
  readonly at: number;
  readonly seen?: readonly number[];
}

const NEVER: Change = { at: 0, end: 0, goneBefore: 0 };
/** Ends and marks have separate records: no mark undoes an end, and neither is ever retried. */
const keyOf = (tag: string, end: number): string => `${end > 0 ? "mark" : "change"}:${tagName(tag)}`;
/** Longer than an entry. */
const LIFE = { ttl: 31 * 86_400_000 };
const MOST_OWN = 10_000;
/** So many tags are changed at a time: with thousands, most of the time goes into garbage collection. */
const PART = 300;

/** How tags of its reader judge a value. */
export function judge(changes: readonly Change[], { at: begunAt, seen }: Begun): "fresh" | "stale" | "gone" {
  const isLater = (at: number): boolean => at >= begunAt && !seen?.includes(at);
  const later = changes.filter(({ at }) => isLater(at));
  if (later.some(({ end, goneBefore }) => end <= Date.now() || isLater(goneBefore))) return "gone";
  return later.length > 0 ? "stale" : "fresh";
}

/** Tags as Next has them: some are named by the reader alone, so the last end and the last mark of each are kept. */
export class Tags {
  readonly #cache: Cache;
  /** `at` of all changes that this process has seen. */
  #latest = 0;
  /** `at` of own changes, by key; `Infinity` for what is unsent. A cache that recovers, or fails over, removes it. */
  readonly #own = new Map<string, number>();
  /** The next ends, by key. They wait for those under way: a mark has to know the one before it. */
  readonly #waiting = new Map<string, number>();
  #last = Promise.resolve(false);
  /** By key, when a change by another process was reported: while the backend is unreachable nothing more is known. */
  readonly #reported = new Map<string, number>();

  constructor(cache: Cache) {
    this.#cache = cache;
    cache.on("invalidate", ({ origin, key }) => {
      if (origin === "elsewhere" && key !== undefined) this.#received(key);
    });
    cache.on("recover", () => void attempt("a revalidation failed", () => this.#restore()));
  }

  /** What was removed ends again. */
  async #restore(): Promise<void> {
    const found = await this.#cache.getMany<Change>([...this.#own.keys()]);
    const lost = [...this.#own].flatMap(([key, at]) => ((found.get(key) ?? NEVER).at < at ? key : []));
    await this.#send(lost, 0);
  }

  /** What this process knew of the key is dropped with this report. */
  #received(key: string): void {
    this.#reported.delete(key);
    this.#reported.set(key, Date.now() + Math.random());
    if (this.#reported.size > MOST_OWN) this.#reported.delete(this.#reported.keys().next().value!);
  }

  /** The last change of a key that is not in the cache: values from before the last reported change have ended. */
  #changeOf(key: string): Change {
    const at = this.#reported.get(key);
    return at === undefined ? NEVER : { ...NEVER, at };
  }

  /** The last end of each, and its last mark. */
  async changes(tags: readonly string[]): Promise<readonly Change[]> {
    const keys = tags.flatMap((tag) => [keyOf(tag, 0), keyOf(tag, 1)]);
    const never = (missing: readonly string[]) => missing.map((key) => [key, this.#changeOf(key)] as const);
    const changes = [...(await this.#cache.getOrSetMany<string, Change>(keys, (key) => key, never, LIFE)).values()];
    // The next change counts for what this process makes now, even if its clock is set back meanwhile.
    this.#latest = Math.max(this.#latest, Date.now(), ...changes.map(({ at }) => at));
    return changes;
  }

  /** Ends all values with any of these tags: now, or, after one stale answer, when `expireS` seconds have passed. */
  async update(tags: readonly string[], expireS: number): Promise<void> {
    const expireIn = Math.max(0, expireS * 1_000);
    for (let i = 0; i < tags.length; i += PART) {
      const part = tags.slice(i, i + PART);
      const end = expireIn && Date.now() + expireIn;
      const keys = part.map((tag) => keyOf(tag, end));
      const isUnsent = await this.#send(keys, end);
      const { status } = await this.#cache.markTagsStale(part.map(tagName), { expireIn });
      if (isUnsent || status === "pending") warn("a revalidation has not reached the backend yet", part);
    }
  }

  #send(keys: readonly string[], end: number): Promise<boolean> {
    const begin = () => this.#change();
    for (const key of keys) {
      if (this.#waiting.size === 0) this.#last = this.#last.then(begin, begin);
      this.#waiting.set(key, Math.min(end, this.#waiting.get(key) ?? end));
    }
    return this.#last;
  }

  async #change(): Promise<boolean> {
    const ends = [...this.#waiting];
    this.#waiting.clear();
    const known = await this.#cache.getMany<Change>(ends.flatMap(([key, end]) => (end > 0 ? key : [])));
    for (const { at } of known.values()) this.#latest = Math.max(this.#latest, at);
    const now = Date.now();
    const at = (this.#latest = Math.max(this.#latest + 1, now + CLOCKS_DIFFER_MS) + Math.random());
    const changed = ([key, end]: [string, number]): [string, Change] => {
      // Where the mark before is not known, values end now. Of ends that have not come yet, the earliest counts.
      const before = known.get(key) ?? { ...NEVER, at };
      if (before.end <= now) return [key, { at, end, goneBefore: before.at }];
      return [key, { ...before, at, end: Math.min(end, before.end) }];
    };
    const isUnsent = (await this.#cache.setMany(ends.map(changed), LIFE)).stored < ends.length;
    for (const [key] of ends) this.#own.set(key, isUnsent ? Infinity : at);
    for (const [key, sent] of this.#own) if (sent <= at && this.#own.size > MOST_OWN) this.#own.delete(key);
    if (this.#own.size > MOST_OWN) await this.#cache.clear().finally(() => this.#own.clear());
    return isUnsent;
  }
}
