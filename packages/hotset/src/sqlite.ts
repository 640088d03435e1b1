import { json, type Backend } from "@hotset/core";
import { refuseSurplus } from "@hotset/core/internal";
import { brotli, gzip } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import { zstd } from "@hotset/formats/zstd";
import { sqlite as sqliteOf, type SqliteOptions } from "@hotset/sqlite";

/**
 * A backend in one SQLite file, which the processes of a machine share, without a server. It writes `msgpack()`, and
 * reads `json()`, `gzip()`, `brotli()` and `zstd()` too, unless the options say otherwise.
 *
 * @throws {ConfigurationError} for an option out of range.
 */
export function sqlite(file: string | URL, options: SqliteOptions = {}, ...surplus: readonly unknown[]): Backend {
  refuseSurplus("sqlite(file, options)", surplus, "all settings are options");
  return sqliteOf(file, {
    ...options,
    format: options.format ?? msgpack(),
    alsoReads: options.alsoReads ?? [msgpack(), json(), gzip(), brotli(), zstd()],
  });
}
