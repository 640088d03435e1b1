// The result cache of MikroORM 7:
//
//   const { ResultCache, subscriber } = resultCache(cache);
//   await MikroORM.init({ ..., resultCache: { adapter: ResultCache }, subscribers: [subscriber] });
//
// Writes that pass the entity manager by end nothing: nativeUpdate, raw SQL, rows that the database deletes with others.
// After those, call `results.invalidateTags("table:author")`.

import type { CacheAdapter, EventSubscriber, FlushEventArgs, TransactionEventArgs } from "@mikro-orm/core";
import type { Cache, Namespace } from "hotset";
import { namespaceFor, OutsideValues, tagOf, warnOnce, type AdapterOptions } from "hotset/adapter";

export function resultCache(cache: Cache, options: AdapterOptions = {}) {
  const defaults = { place: "resultCache", name: "mikro-orm" };
  const results = namespaceFor<{} | null>(cache, options, defaults);
  const outside = new OutsideValues(results);
  const warn = warnOnce("mikro-orm");

  class ResultCache implements CacheAdapter {
    get<T>(key: string): Promise<T | undefined> {
      // In the turn of the caller, so that its set is known by the async context. MikroORM changes what it gets.
      return outside.get<T>(key).then(
        (found) => structuredClone(found),
        (error: unknown): undefined => {
          warn("rows are not read", error);
        },
      );
    }

    async set(key: string, data: {} | null, _origin: string, ttl?: number): Promise<void> {
      try {
        await outside.set(key, data, { ...(ttl !== undefined && { ttl }), tags: tagsOf(key) });
      } catch (error) {
        // The query has its rows.
        warn("rows are not cached", error);
      }
    }

    async remove(key: string): Promise<void> {
      await results.delete(key);
    }

    async clear(): Promise<void> {
      await results.clear();
    }
  }
  return { ResultCache, subscriber: new Changes(results), results };
}

/** Results with rows of several tables, or of tables that their key does not name. */
const SEVERAL = "several tables";
const tableTag = (table: string): string => tagOf(`table:${table}`);

/** A key is `[[schema, table, kind], method, options, where]`, or a name that the program gave. */
function tagsOf(key: string): readonly string[] {
  if (!key.startsWith("[[")) return [SEVERAL];
  const [[, table], , { populate, orderBy, having }, where] = JSON.parse(key);
  const isOfOne = (populate ?? []).length === 0 && ![where, orderBy, having].some(namesRelations);
  return isOfOne ? [tableTag(table)] : [tableTag(table), SEVERAL];
}

/** Whether a condition has one within it that is not an operator: `{ author: { name: "Ada" } }`. */
function namesRelations(condition: unknown): boolean {
  if (typeof condition !== "object" || condition === null) return false;
  return Object.entries(condition).some(([name, inner]) => {
    const isWithin = typeof inner === "object" && inner !== null && !Array.isArray(inner);
    const isRelation = !name.startsWith("$") && isWithin && Object.keys(inner).some((each) => !each.startsWith("$"));
    return (isRelation && !Array.isArray(condition)) || namesRelations(inner);
  });
}

/** Ends the results of the tables that a flush changed; those of a transaction once it has committed. */
class Changes implements EventSubscriber {
  readonly #results: Namespace<{} | null>;
  readonly #starting = new WeakMap<object, object>();
  /** By savepoint, the transaction around it. */
  readonly #around = new WeakMap<object, object>();
  readonly #changed = new WeakMap<object, Set<string>>();

  constructor(results: Namespace<{} | null>) {
    this.#results = results;
  }

  beforeTransactionStart({ em, transaction }: TransactionEventArgs): void {
    if (transaction) this.#starting.set(em, transaction);
  }

  afterTransactionStart({ em, transaction }: TransactionEventArgs): void {
    const around = this.#starting.get(em);
    this.#starting.delete(em);
    if (transaction && around) this.#around.set(transaction, around);
  }

  async afterFlush({ em, uow }: FlushEventArgs): Promise<void> {
    const tags = uow.getChangeSets().map(({ meta }) => tableTag(meta.tableName));
    if (tags.length === 0 && uow.getCollectionUpdates().length === 0) return;
    tags.push(SEVERAL);
    let transaction: object | undefined = em.getTransactionContext();
    if (transaction === undefined) return void (await this.#results.invalidateTags(tags));
    for (let around; (around = this.#around.get(transaction));) transaction = around;
    this.#changed.set(transaction, new Set([...(this.#changed.get(transaction) ?? []), ...tags]));
  }

  async afterTransactionCommit({ transaction }: TransactionEventArgs): Promise<void> {
    const tags = transaction && this.#changed.get(transaction);
    if (tags) await this.#results.invalidateTags([...tags]);
  }
}
