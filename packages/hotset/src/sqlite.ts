import type { Backend } from "@hotset/core";
import { refuseSurplus } from "@hotset/core/internal";
import { sqlite as sqliteOf, type SqliteOptions } from "@hotset/sqlite";
import { withShipped } from "./shipped.ts";

/**
 * A backend in one SQLite file, which the processes of a machine share, without a server. It writes `msgpack()`, and
 * reads `json()`, `gzip()`, `brotli()` and `zstd()` too, unless the options say otherwise.
 *
 * @throws {ConfigurationError} for an option out of range.
 */
export function sqlite(file: string | URL, options: SqliteOptions = {}, ...surplus: readonly unknown[]): Backend {
  refuseSurplus("sqlite(file, options)", surplus, "all settings are options");
  return sqliteOf(file, withShipped(options));
}
