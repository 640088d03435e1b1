import { ConfigurationError } from "@hotset/core";
import { tablesOf, type TablesOfSelect } from "./tables.ts";

/** The first of the tables of a select whose tables are all known. */
export const ALL_KNOWN = "hotset:all-known";

/** The parts of a database of Drizzle that its selects go through. */
interface Database {
  readonly dialect?: { sqlToQuery?: (sql: unknown, ...rest: unknown[]) => object };
  readonly session?: { cache?: unknown; prepareQuery?: (query: object, ...rest: unknown[]) => unknown };
}

interface Metadata {
  readonly type: string;
  readonly tables: readonly string[];
}

/** Places in the arguments of `prepareQuery`, the same in all dialects: after the query. */
const [METADATA, CONFIG] = [4, 5];

/**
 * Gives each select of `db` the names of all its tables. One whose tables are not known is not cached.
 *
 * @param warn called for such a select, unless it was asked to be kept through writes.
 * @throws {ConfigurationError} unless `db` is a database of Drizzle over `cache`.
 */
export function watch(db: unknown, cache: object, warn: (why: string) => void): void {
  const { dialect, session } = (db ?? {}) as Database;
  const { sqlToQuery } = dialect ?? {};
  const { prepareQuery } = session ?? {};
  if (sqlToQuery === undefined || prepareQuery === undefined || session!.cache !== cache)
    throw new ConfigurationError("drizzleCache.watch: db must be what drizzle(..., { cache }) gives, with this cache");
  const trees = new WeakMap<object, unknown>();
  dialect!.sqlToQuery = (sql, ...rest) => {
    const query = sqlToQuery.call(dialect, sql, ...rest);
    trees.set(query, sql);
    return query;
  };
  session!.prepareQuery = (query, ...rest) => {
    const metadata = rest[METADATA] as Metadata | undefined;
    const config = rest[CONFIG] as { readonly enable?: boolean; readonly autoInvalidate?: boolean } | undefined;
    if (metadata?.type === "select" && config?.enable !== false && config?.autoInvalidate !== false) {
      const found: TablesOfSelect = tablesOf(trees.get(query), metadata.tables);
      if (found.tables !== undefined) rest[METADATA] = { ...metadata, tables: [ALL_KNOWN, ...found.tables] };
      else {
        if ((cache as { strategy(): string }).strategy() === "all" || config?.enable === true) warn(found.why);
        rest[CONFIG] = { enable: false };
      }
    }
    return prepareQuery.call(session, query, ...rest);
  };
}
