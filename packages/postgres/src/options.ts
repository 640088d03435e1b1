import type { Compressor, Duration, Format } from "@hotset/core";
import type { PostgresPool } from "./pool.ts";

/** Options of {@link postgres}. One of `url` and `pool` is given. */
export interface PostgresOptions {
  /** `postgres://user:password@host/database`, with the parameters of `pg`. The backend closes its connections. */
  readonly url?: string | undefined;
  /**
   * A `Pool` of `pg` that you have. It stays open. One of its connections is kept to receive changes, so it needs at
   * least 2.
   */
  readonly pool?: PostgresPool | undefined;
  /** Names the tier in events, stats and errors. @default 'postgres' */
  readonly label?: string | undefined;
  /** Schema of the tables, and name of the channel. Backends with different ones never meet. @default 'hotset' */
  readonly schema?: string | undefined;
  /**
   * Whether schema, tables and functions are made with the first connection, if they are missing. Without it, run the
   * SQL of {@link schema}. @default true
   */
  readonly createSchema?: boolean | undefined;
  /** The kind of tables, as in {@link SchemaOptions.tables}; counts when the schema is made. @default 'unlogged' */
  readonly tables?: "unlogged" | "logged" | undefined;
  /** Number of statements that run at the same time. @default 4 */
  readonly connections?: number | undefined;
  /**
   * How changes by other processes are received. `listen`: LISTEN/NOTIFY. `poll`: a log is read every 50 ms, or 500 ms
   * in an idle process. `auto`: `poll` behind a pooler, with one warning, else `listen`. @default 'auto'
   */
  readonly changes?: "auto" | "listen" | "poll" | undefined;
  /** Deadline of each call, and `statement_timeout` of the connections of `url`. @default '1s' */
  readonly deadline?: Duration | undefined;
  /** How long local copies may be served while the server is silent. @default '2s' */
  readonly maxStaleness?: Duration | undefined;
  /** @default json() */
  readonly format?: Format | undefined;
  /** @default passthrough() */
  readonly compressor?: Compressor | undefined;
  /** Further formats and compressors that older entries may have. @default none */
  readonly alsoReads?: readonly (Format | Compressor)[] | undefined;
  /** Larger encoded entries are not stored, and are a miss. At most 256 MiB. @default 16 MiB */
  readonly maxEntryBytes?: number | undefined;
  /** Larger values, before compression, are not stored, and are a miss. @default 8 MiB */
  readonly maxDecodedBytes?: number | undefined;
}
