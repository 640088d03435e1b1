import { createHash } from "node:crypto";
import { checkNames, ConfigurationError, newId, parseDuration, systemClock } from "@hotset/core";
import type { Cache, Clock, Duration, Namespace } from "@hotset/core";

/** Options of {@link graphqlCache}. */
export interface GraphQLCacheOptions {
  /**
   * How long a response lives for which `useResponseCache` has no `ttl`. `Infinity` keeps it until one of its entities
   * changes, or until memory or the backend evicts it.
   * @default '1d'
   */
  readonly ttl?: Duration | undefined;
  /**
   * How long after a change its responses are ended again: a query that ran during the change is stored with older
   * entities. Longer than your longest query; `0` ends them once.
   * @default '2s'
   */
  readonly settleAfter?: Duration | undefined;
  /**
   * The namespace of the cache that has the responses. Two schemas over one cache need two names.
   * @default 'graphql'
   */
  readonly name?: string | undefined;
  /** The clock of `settleAfter`. For tests. @default the clock of the system */
  readonly clock?: Clock | undefined;
}

/** An entity, or with its type alone, all of a type. */
export interface GraphQLEntity {
  readonly typename: string;
  readonly id?: number | string | undefined;
}

/** The result of an operation, as it is sent. */
export interface GraphQLResult {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly never[];
  readonly extensions?: Record<string, unknown>;
}

/** A `Cache` for `useResponseCache({ cache })`. No call rejects: a warning says what failed. */
export interface GraphQLCache {
  get(id: string): Promise<GraphQLResult | undefined>;
  /** @param ttl milliseconds; `Infinity` for the `ttl` of {@link GraphQLCacheOptions}. */
  set(id: string, data: object, entities: Iterable<GraphQLEntity>, ttl: number): Promise<void>;
  /** Ends the responses with any of these, in all processes. */
  invalidate(entities: Iterable<GraphQLEntity>): Promise<void>;
  /** Ends now what would be ended after `settleAfter`: call it before you close the cache. */
  settle(): Promise<void>;
}

/**
 * `cache` as the response cache of GraphQL Yoga and Envelop: responses get its tiers, coherence between processes, and
 * answers while Redis is down. A response may have any number of entities, and ends by each of them. Entities are tags
 * of the cache: `User:42`, and `User` for all users. For `settleAfter` after its last change, the process stays alive.
 *
 * @throws {ConfigurationError} for a bad option, and for a cache without a name.
 */
export function graphqlCache(cache: Cache, options: GraphQLCacheOptions = {}): GraphQLCache {
  checkNames(options, ["ttl", "settleAfter", "name", "clock"], { place: "graphqlCache" });
  const { ttl = "1d", settleAfter = "2s", name = "graphql", clock = systemClock } = options;
  // A response cache knows no stale responses.
  const entries = cache.namespace(name, { ttl, staleWhileRevalidate: 0, staleIfError: 0 });
  return new ResponseCache(entries, settleMsOf(settleAfter), clock);
}

/** A response, and the first of its tags. */
interface Response {
  readonly result: GraphQLResult;
  /** An entry has room for so many tags: further ones are those of parts, which all have to be there. */
  readonly parts: number;
  /** The value of each part, so that those of another response under the same id do not count. */
  readonly of: string;
}

const TAGS_OF_ENTRY = 40;

class ResponseCache implements GraphQLCache {
  readonly #entries: Namespace;
  readonly #settleMs: number;
  readonly #clock: Clock;
  /** Tags that are to be invalidated again, and what cancels that. */
  readonly #settling = new Map<readonly string[], () => void>();
  readonly #warned = new Set<string>();

  constructor(entries: Namespace, settleMs: number, clock: Clock) {
    this.#entries = entries;
    this.#settleMs = settleMs;
    this.#clock = clock;
  }

  get(id: string): Promise<GraphQLResult | undefined> {
    return this.#reported("read", async () => {
      const response = await this.#entries.get<Response>(responseKey(id));
      if (response === undefined) return undefined;
      if (response.parts > 0) {
        const keys = partKeys(id, response.parts);
        const parts = await this.#entries.getMany(keys);
        if (!keys.every((key) => parts.get(key) === response.of)) return undefined;
      }
      // Plugins add to it.
      return { ...response.result };
    });
  }

  set(id: string, data: object, entities: Iterable<GraphQLEntity>, ttl: number): Promise<void> {
    return this.#reported("cached", async () => {
      const [first = [], ...others] = inGroups(tagsOf(entities));
      const response: Response = { result: plain(data), parts: others.length, of: newId() };
      const life = ttl === Infinity ? {} : { ttl: Math.ceil(ttl) };
      const keys = partKeys(id, others.length);
      await Promise.all(others.map((tags, i) => this.#entries.set(keys[i]!, response.of, { ...life, tags })));
      await this.#entries.set(responseKey(id), response, { ...life, tags: first });
    });
  }

  invalidate(entities: Iterable<GraphQLEntity>): Promise<void> {
    const tags = Array.from(entities, ({ typename, id }) => tagOf(typename, id));
    if (this.#settleMs > 0) this.#settleLater(tags);
    return this.#ended(tags);
  }

  async settle(): Promise<void> {
    const tags = [...this.#settling.keys()].flat();
    for (const cancel of this.#settling.values()) cancel();
    if (tags.length > 0) await this.#ended(tags);
  }

  #settleLater(tags: readonly string[]): void {
    const release = this.#clock.hold?.();
    const end = (): void => {
      cancel();
      release?.();
      this.#settling.delete(tags);
    };
    const cancel = this.#clock.schedule(() => {
      end();
      void this.#ended(tags);
    }, this.#settleMs);
    this.#settling.set(tags, end);
  }

  #ended(tags: readonly string[]): Promise<void> {
    return this.#reported("invalidated", async () => {
      await this.#entries.invalidateTags(tags);
    });
  }

  /** Envelop awaits neither `set` nor `invalidate`: a rejection would end the process. */
  async #reported<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call();
    } catch (error) {
      const text = `graphql: responses are not ${what}: ${(error as Error).message}`;
      if (!this.#warned.has(what)) process.emitWarning(text, "HotsetWarning");
      this.#warned.add(what);
      return undefined;
    }
  }
}

const responseKey = (id: string): string => `response:${id}`;
const partKeys = (id: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `part:${i}:${id}`);

/** Each once: those of its types as well. */
function tagsOf(entities: Iterable<GraphQLEntity>): readonly string[] {
  const all = Array.from(entities, ({ typename, id }) => [tagOf(typename), tagOf(typename, id)]);
  return [...new Set(all.flat())];
}

/** Bounded, since an entry has room for a number of bytes; no name in GraphQL has a `#`. */
function tagOf(typename: string, id?: number | string | null): string {
  const tag = id === undefined || id === null ? typename : `${typename}:${id}`;
  return /^[!-~]{1,40}$/.test(tag) ? tag : `#${createHash("sha256").update(tag).digest("base64url").slice(0, 22)}`;
}

function inGroups(tags: readonly string[]): readonly (readonly string[])[] {
  const count = Math.ceil(tags.length / TAGS_OF_ENTRY);
  return Array.from({ length: count }, (_, i) => tags.slice(i * TAGS_OF_ENTRY, (i + 1) * TAGS_OF_ENTRY));
}

/** Its top is of the response that is being sent; errors are classes. */
function plain(data: GraphQLResult & { readonly errors?: readonly unknown[] }): GraphQLResult {
  if (data.errors === undefined) return { ...data };
  return { ...data, errors: data.errors.map((error) => JSON.parse(JSON.stringify(error)) as never) };
}

function settleMsOf(given: Duration): number {
  const ms = typeof given === "string" ? parseDuration(given) : given;
  if (ms >= 0 && Number.isFinite(ms)) return ms;
  throw new ConfigurationError(`graphqlCache: settleAfter must be 0 or a finite duration, got ${String(given)}`);
}
