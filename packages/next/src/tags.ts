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
/** A change has no source but the cache. */
const READ = { ...LIFE, verify: false };
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
  /** No later `at` was seen or given by this process. */
  #latest = 0;
  /** The latest `at` of a record that was read. */
  #latestRead = 0;
  /** Changes that this process has called and that are not all stored and marked yet, by key: here they count already. */
  readonly #coming = new Map<string, Change>();
  /** `at` of own changes, by key; `Infinity` for what is unsent. A cache that recovers, or fails over, removes it. */
  readonly #own = new Map<string, number>();
  /** The next changes, by key. They wait for those under way: a mark has to know the one before it. */
  readonly #waiting = new Map<string, Change>();
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
    await this.#send(this.#next(lost, 0));
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

  /** The last end of each, and its last mark, those that are on their way included. */
  async changes(tags: readonly string[]): Promise<readonly Change[]> {
    const all = tags.flatMap((tag) => [keyOf(tag, 0), keyOf(tag, 1)]);
    // An end that is on its way replaces the one before: no page waits for its record.
    const changes = this.#noticed(await this.#read(all.filter((key) => this.#coming.get(key)?.end !== 0)));
    // The next change counts for what this process makes now, even if its clock is set back meanwhile.
    this.#latest = Math.max(this.#latest, Date.now());
    return [...changes, ...this.coming(tags)];
  }

  /** The last mark of each, for a value that is stale by one of them: they say when it ends. */
  async marks(tags: readonly string[]): Promise<readonly Change[]> {
    return this.#noticed(await this.#read(tags.map((tag) => keyOf(tag, 1))));
  }

  /** The records of these keys; one that is missing is made, so that a later loss can be told from it. */
  #read(keys: readonly string[]): Promise<Map<string, Change>> {
    const never = (missing: readonly string[]) => missing.map((key) => [key, this.#changeOf(key)] as const);
    return this.#cache.getOrSetMany<string, Change>(keys, (key) => key, never, READ);
  }

  /** Changes of these tags that are on their way. */
  coming(tags: readonly string[]): readonly Change[] {
    if (this.#coming.size === 0) return [];
    return tags.flatMap((tag) => [0, 1].flatMap((end) => this.#coming.get(keyOf(tag, end)) ?? []));
  }

  /** `at` of each change that is on its way: a value that is begun now has seen it, whatever its tags will be. */
  comingAt(): readonly number[] {
    return [...new Set([...this.#coming.values()].map(({ at }) => at))];
  }

  #noticed(records: ReadonlyMap<string, Change>): readonly Change[] {
    const changes = [...records.values()];
    this.#notice(changes);
    return changes;
  }

  #notice(records: Iterable<Change>): void {
    for (const { at } of records) this.#latestRead = Math.max(this.#latestRead, at);
    this.#latest = Math.max(this.#latest, this.#latestRead);
  }

  /**
   * Ends all values with any of these tags: now, or, after one stale answer, when `expireS` seconds have passed. In this
   * process it counts when the call returns: Next answers its client without waiting for the promise.
   */
  async update(tags: readonly string[], expireS: number): Promise<void> {
    const end = expireS > 0 ? Date.now() + expireS * 1_000 : 0;
    const all = this.#next(
      tags.map((tag) => keyOf(tag, end)),
      end,
    );
    for (const [key, change] of all) {
      const before = this.#coming.get(key);
      this.#coming.set(key, before === undefined ? change : earlier(change, before));
    }
    const own = new Map([...all.keys()].map((key) => [key, this.#coming.get(key)]));
    try {
      for (let i = 0; i < tags.length; i += PART) {
        const part = tags.slice(i, i + PART);
        // The records first: a page that another process makes after the mark has to find them.
        const isUnsent = await this.#send(new Map([...all].slice(i, i + PART)));
        const names = part.map(tagName);
        const { status } = await (end > 0 ? this.#cache.markTagsStale(names) : this.#cache.invalidateTags(names));
        if (isUnsent || status === "pending") warn("a revalidation has not reached the backend yet", part);
      }
    } finally {
      for (const [key, change] of own) if (this.#coming.get(key) === change) this.#coming.delete(key);
    }
  }

  /** A change that is later than all that this process knows. */
  #next(keys: readonly string[], end: number): Map<string, Change> {
    const at = (this.#latest = Math.max(this.#latest + 1, Date.now() + CLOCKS_DIFFER_MS) + Math.random());
    return new Map(keys.map((key) => [key, { at, end, goneBefore: 0 }]));
  }

  #send(changes: ReadonlyMap<string, Change>): Promise<boolean> {
    const begin = () => this.#change();
    for (const [key, change] of changes) {
      if (this.#waiting.size === 0) this.#last = this.#last.then(begin, begin);
      const before = this.#waiting.get(key);
      this.#waiting.set(key, before === undefined ? change : earlier(change, before));
    }
    return this.#last;
  }

  async #change(): Promise<boolean> {
    const next = [...this.#waiting];
    this.#waiting.clear();
    const known = await this.#cache.getMany<Change>(next.flatMap(([key, { end }]) => (end > 0 ? key : [])));
    this.#notice(known.values());
    const now = Date.now();
    let at = Math.max(...next.map(([, change]) => change.at));
    // Another process has changed a tag meanwhile: of its record nothing is taken back.
    if (this.#latestRead >= at) at = this.#latest += 1 + Math.random();
    const changed = ([key, { end }]: [string, Change]): [string, Change] => {
      // Where the mark before is not known, values end now. Of ends that have not come yet, the earliest counts.
      const before = known.get(key) ?? { ...NEVER, at };
      if (before.end <= now) return [key, { at, end, goneBefore: before.at }];
      return [key, { ...before, at, end: Math.min(end, before.end) }];
    };
    const isUnsent = (await this.#cache.setMany(next.map(changed), LIFE)).stored < next.length;
    for (const [key] of next) this.#own.set(key, isUnsent ? Infinity : at);
    for (const [key, sent] of this.#own) if (sent <= at && this.#own.size > MOST_OWN) this.#own.delete(key);
    if (this.#own.size > MOST_OWN) await this.#cache.clear().finally(() => this.#own.clear());
    return isUnsent;
  }
}

/** The later change of one key, with the earlier end of the two. */
const earlier = (change: Change, before: Change): Change => ({ ...change, end: Math.min(change.end, before.end) });
