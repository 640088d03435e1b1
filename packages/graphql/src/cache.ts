import type { Cache, Duration, Namespace } from "@hotset/core";
import { namespaceFor, OutsideValues, tagOf, warnOnce } from "@hotset/core/adapter";

/** Options of {@link graphqlCache}. */
export interface GraphQLCacheOptions {
  /**
   * How long a response lives for which `useResponseCache` has no `ttl`. `Infinity` keeps it until one of its entities
   * changes, or until memory or the backend evicts it.
   * @default '1d'
   */
  readonly ttl?: Duration | undefined;
  /**
   * The namespace of the cache that has the responses. Two schemas over one cache need two names.
   * @default 'graphql'
   */
  readonly name?: string | undefined;
}

/** An entity, or with its type alone, all of a type. */
export interface GraphQLEntity {
  /** The type of the entity, as `__typename` has it. */
  readonly typename: string;
  /** Absent for all entities of the type. */
  readonly id?: number | string | undefined;
}

/** The result of an operation, as it is sent. */
export interface GraphQLResult {
  /** The data of the response, in the shape of its operation. */
  readonly data?: Record<string, unknown> | null;
  /** None: a result with errors is not stored. */
  readonly errors?: readonly never[];
  /** Extensions that the server adds to the response. */
  readonly extensions?: Record<string, unknown>;
}

/** A `Cache` for `useResponseCache({ cache })`. No call rejects: a warning says what failed. */
export interface GraphQLCache {
  /** The result by the id of its operation; `undefined` on a miss. */
  get(id: string): Promise<GraphQLResult | undefined>;
  /** @param ttl milliseconds; `Infinity` for the `ttl` of {@link GraphQLCacheOptions}. */
  set(id: string, data: object, entities: Iterable<GraphQLEntity>, ttl: number): Promise<void>;
  /** Ends the responses with any of these, in all processes. */
  invalidate(entities: Iterable<GraphQLEntity>): Promise<void>;
}

/**
 * `cache` as the response cache of GraphQL Yoga and Envelop: responses get its tiers, coherence between processes, and
 * answers while Redis is down. Entities are tags of the cache: `User:42`, and `User` for all users. A response has room
 * for 2,048 of both, and ends by each of them; one whose query began before that is not stored.
 *
 * @throws {ConfigurationError} for a bad option, and for a cache without a name.
 */
export function graphqlCache(cache: Cache, options: GraphQLCacheOptions = {}): GraphQLCache {
  return new ResponseCache(namespaceFor(cache, options, { place: "graphqlCache", name: "graphql", ttl: "1d" }));
}

class ResponseCache implements GraphQLCache {
  readonly #results: Namespace<GraphQLResult>;
  readonly #outside: OutsideValues;
  readonly #warn = warnOnce("graphql");

  constructor(results: Namespace<GraphQLResult>) {
    this.#results = results;
    this.#outside = new OutsideValues(results);
  }

  get(id: string): Promise<GraphQLResult | undefined> {
    return this.#reported("read", async () => {
      const result = await this.#outside.get<GraphQLResult>(keyOf(id));
      // Plugins add to it.
      return result && { ...result };
    });
  }

  set(id: string, data: object, entities: Iterable<GraphQLEntity>, ttl: number): Promise<void> {
    return this.#reported("cached", async () => {
      const life = ttl === Infinity ? {} : { ttl: Math.ceil(ttl) };
      await this.#outside.set(keyOf(id), plain(data), { ...life, tags: tagsOf(entities) });
    });
  }

  invalidate(entities: Iterable<GraphQLEntity>): Promise<void> {
    return this.#reported("invalidated", async () => {
      await this.#results.invalidateTags(Array.from(entities, ({ typename, id }) => typeTag(typename, id)));
    });
  }

  /** Envelop awaits neither `set` nor `invalidate`: a rejection would end the process. */
  async #reported<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call();
    } catch (error) {
      this.#warn(`responses are not ${what}`, error);
      return undefined;
    }
  }
}

const keyOf = (id: string): string => `result:${id}`;

/** Each once: those of its types as well. */
function tagsOf(entities: Iterable<GraphQLEntity>): readonly string[] {
  const all = Array.from(entities, ({ typename, id }) => [typeTag(typename), typeTag(typename, id)]);
  return [...new Set(all.flat())];
}

/** No name in GraphQL has a `#`. */
const typeTag = (typename: string, id?: number | string | null): string =>
  tagOf(id === undefined || id === null ? typename : `${typename}:${id}`);

/** A result as JSON has it: a new object, with errors as plain objects instead of classes. The data is shared. */
function plain(data: GraphQLResult & { readonly errors?: readonly unknown[] }): GraphQLResult {
  if (data.errors === undefined) return { ...data };
  return { ...data, errors: data.errors.map((error) => JSON.parse(JSON.stringify(error)) as never) };
}
