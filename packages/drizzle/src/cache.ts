import { ConfigurationError, InvalidArgumentError, parseDuration, systemClock } from "@hotset/core";
import type { Cache as HotsetCache, Clock, Duration, Namespace } from "@hotset/core";
import { namespaceFor, OutsideValues, tagOf, warnOnce } from "@hotset/core/adapter";
import { entityKind, is, Table } from "drizzle-orm";
import { Cache, type MutationOption } from "drizzle-orm/cache/core";
import type { CacheConfig } from "drizzle-orm/cache/core/types";
import { rowsOf } from "./rows.ts";
import { namesOf } from "./tables.ts";
import { ALL_KNOWN, watch } from "./watched.ts";

/** Options of {@link drizzleCache}. */
export interface DrizzleCacheOptions {
  /**
   * Which selects are cached: `"explicit"` those with `$withCache()`, `"all"` those without `$withCache(false)`.
   * @default 'explicit'
   */
  readonly strategy?: "explicit" | "all" | undefined;
  /**
   * How long rows are cached for which `$withCache({ config })` has no end. `Infinity` keeps them until a write, or
   * until memory or the backend evicts them.
   * @default the `ttl` of the cache
   */
  readonly ttl?: Duration | undefined;
  /**
   * How long after a write its tables are invalidated again. Until then, this process reads them from the database.
   * Longer than the longest write or transaction takes: Drizzle reports a write when it begins, so a select that runs
   * at the same time may cache older rows. `0` does neither.
   * @default '2s'
   */
  readonly settleAfter?: Duration | undefined;
  /**
   * The namespace of the cache that has the rows. Two databases over one cache need two names.
   * @default 'drizzle'
   */
  readonly name?: string | undefined;
  /** The clock of `settleAfter` and `exat`. For tests. @default the clock of the system */
  readonly clock?: Clock | undefined;
}

/** A `Cache` for `drizzle(…, { cache })`. */
export interface DrizzleCache extends Cache {
  /**
   * Lets the cache see the selects of `db`: Drizzle names to a cache the tables of `from` and of joins alone, and not
   * those of subqueries and of set operations. Selects of a database that is not watched are not cached, nor are those
   * within a transaction.
   *
   * @param db what `drizzle(…, { cache })` gave. It is changed, and returned.
   * @throws {ConfigurationError} for a database without this cache.
   */
  watch<D extends object>(db: D): D;
  /** Invalidates now what would be invalidated after `settleAfter`: call it before you close the cache. */
  settle(): Promise<void>;
}

/**
 * `cache` as the cache of Drizzle ORM: selects get its tiers, coherence between processes, and answers while Redis is
 * down: `const db = rows.watch(drizzle(url, { cache: rows }))`. A select whose tables are not all known, as one from
 * raw SQL, is not cached, which a warning says. A write through Drizzle ends the rows of its tables in all processes, and so does
 * `db.$cache.invalidate({ tables, tags })`. Rows are never served as stale.
 *
 * Drizzle calls its cache next to a write, not after it: see {@link DrizzleCacheOptions.settleAfter}. For that long
 * after its last write, the process stays alive.
 *
 * @throws {ConfigurationError} for a bad option, and for a cache without a name.
 */
export function drizzleCache(cache: HotsetCache, options: DrizzleCacheOptions = {}): DrizzleCache {
  const further = ["strategy", "settleAfter", "clock"];
  const rows = namespaceFor(cache, options, { place: "drizzleCache", name: "drizzle", further });
  const { strategy = "explicit", settleAfter = "2s", clock = systemClock } = options;
  if (strategy !== "explicit" && strategy !== "all")
    throw new ConfigurationError(`drizzleCache: strategy must be "explicit" or "all", got ${String(strategy)}`);
  return new RowCache(rows, strategy, settleMsOf(settleAfter), clock);
}

class RowCache extends Cache implements DrizzleCache {
  static override readonly [entityKind]: string = "HotsetCache";
  readonly #rows: Namespace;
  readonly #outside: OutsideValues;
  readonly #strategy: "explicit" | "all";
  readonly #settleMs: number;
  readonly #clock: Clock;
  /** By tag: cancels its second invalidation. */
  readonly #settling = new Map<string, () => void>();
  readonly #warn = warnOnce("drizzle");
  #isWatching = false;

  constructor(rows: Namespace, strategy: "explicit" | "all", settleMs: number, clock: Clock) {
    super();
    this.#rows = rows;
    this.#outside = new OutsideValues(rows);
    this.#strategy = strategy;
    this.#settleMs = settleMs;
    this.#clock = clock;
  }

  override strategy(): "explicit" | "all" {
    return this.#strategy;
  }

  watch<D extends object>(db: D): D {
    watch(db, this, (why) => this.#warn("a select is not cached", new Error(`${why}; add $withCache(false) to it`)));
    this.#isWatching = true;
    return db;
  }

  override async get(
    key: string,
    tables: string[],
    isTag: boolean,
    isAutoInvalidate?: boolean,
  ): Promise<unknown[] | undefined> {
    const ended = isAutoInvalidate === true ? tables : [];
    if (isAutoInvalidate === true && tables[0] !== ALL_KNOWN) return this.#passUnwatched();
    const place = placeOf(key, ended, isTag);
    if (!this.#isSettling(place.tags)) return this.#outside.get<unknown[]>(place.key);
    await this.#outside.begin(this.#outside.enter(place.key));
    return undefined;
  }

  override async put(
    key: string,
    response: unknown,
    tables: string[],
    isTag: boolean,
    config?: CacheConfig,
  ): Promise<void> {
    if (tables.length > 0 && tables[0] !== ALL_KNOWN) return;
    const place = placeOf(key, tables, isTag);
    const ttl = this.#lifeOf(config);
    const rows = rowsOf(response);
    if (this.#isSettling(place.tags) || rows === undefined || (ttl !== undefined && ttl <= 0)) {
      this.#outside.end(this.#outside.of(place.key));
      return;
    }
    try {
      await this.#outside.set(place.key, rows, { ttl, tags: place.tags });
    } catch (error) {
      // The select has its rows.
      this.#warn("rows are not cached", error);
    }
  }

  override async onMutate({ tags = [], tables = [] }: MutationOption): Promise<void> {
    const all = [
      ...listOf<string | Table>(tables)
        .flatMap((table) => (is(table, Table) ? namesOf(table) : [table]))
        .map(tableTag),
      ...listOf(tags).map(queryTag),
    ];
    if (this.#settleMs > 0) for (const tag of all) this.#settleLater(tag);
    await this.#rows.invalidateTags(all);
  }

  async settle(): Promise<void> {
    const tags = [...this.#settling.keys()];
    for (const cancel of this.#settling.values()) cancel();
    this.#settling.clear();
    await this.#rows.invalidateTags(tags);
  }

  #passUnwatched(): undefined {
    const how = "const db = rows.watch(drizzle(..., { cache: rows })), so that the cache knows their tables";
    if (!this.#isWatching) this.#warn("selects are not cached", new Error(how));
    return undefined;
  }

  #isSettling(tags: readonly string[]): boolean {
    return tags.some((tag) => this.#settling.has(tag));
  }

  /** A later write takes the place of an earlier one: its own invalidation ends the rows that crossed that one. */
  #settleLater(tag: string): void {
    this.#settling.get(tag)?.();
    const release = this.#clock.hold?.();
    const end = (): void => {
      cancel();
      release?.();
    };
    const cancel = this.#clock.schedule(() => void this.#settleNow(tag, end), this.#settleMs);
    this.#settling.set(tag, end);
  }

  async #settleNow(tag: string, end: () => void): Promise<void> {
    // A closed cache refuses: settle() is for its last writes.
    await this.#rows.invalidateTags(tag).catch(() => undefined);
    end();
    // Unless a write has begun meanwhile.
    if (this.#settling.get(tag) === end) this.#settling.delete(tag);
  }

  #lifeOf({ ex, px, exat, pxat }: CacheConfig = {}): number | undefined {
    const nowMs = this.#clock.epochMs?.() ?? Date.now();
    if (ex !== undefined) return positive("ex", ex) * 1_000;
    if (px !== undefined) return positive("px", px);
    if (exat !== undefined) return positive("exat", exat) * 1_000 - nowMs;
    if (pxat !== undefined) return positive("pxat", pxat) - nowMs;
    return undefined;
  }
}

interface Place {
  readonly key: string;
  readonly tags: readonly string[];
}

/** Drizzle names a query with a tag by the tag alone. Rows that writes do not end are not those that they end. */
function placeOf(key: string, tables: readonly string[], isTag: boolean): Place {
  return {
    key: `${isTag ? "tag" : "query"}:${tables.length === 0 ? "kept" : "ended"}:${key}`,
    tags: [...tables.filter((table) => table !== ALL_KNOWN).map(tableTag), ...(isTag ? [queryTag(key)] : [])],
  };
}

const tableTag = (table: string): string => tagOf(`table:${table}`);
const queryTag = (tag: string): string => tagOf(`tag:${tag}`);

const listOf = <T>(given: T | readonly T[]): readonly T[] => (Array.isArray(given) ? given : [given as T]);

function positive(name: string, given: number): number {
  if (given > 0 && Number.isFinite(given)) return given;
  throw new InvalidArgumentError(`$withCache: config.${name} must be a number above 0, got ${String(given)}`);
}

function settleMsOf(given: Duration): number {
  const ms = typeof given === "string" ? parseDuration(given) : given;
  if (ms >= 0 && Number.isFinite(ms)) return ms;
  throw new ConfigurationError(`drizzleCache: settleAfter must be 0 or a finite duration, got ${String(given)}`);
}
