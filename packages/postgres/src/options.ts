import { InvalidArgumentError, parseDuration, type Compressor, type Duration, type Format } from "@hotset/core";
import { checkNames, DEFAULT_MAX_DECODED_BYTES } from "@hotset/core/internal";
import type { PostgresPool } from "./pool.ts";
import { schemaName } from "./schema.ts";

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
  /** As in {@link SchemaOptions.tables}; counts when the schema is made. @default 'unlogged' */
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

export interface Settings {
  readonly url: string | undefined;
  readonly pool: PostgresPool | undefined;
  readonly label: string;
  readonly schema: string;
  readonly createsSchema: boolean;
  readonly tables: "unlogged" | "logged";
  readonly connections: number;
  readonly changes: "auto" | "listen" | "poll";
  readonly deadlineMs: number;
  readonly maxStalenessMs: number;
  readonly format: Format | undefined;
  readonly compressor: Compressor | undefined;
  readonly alsoReads: readonly (Format | Compressor)[];
  readonly maxEntryBytes: number;
  readonly maxDecodedBytes: number;
}

const KNOWN = [
  "url",
  "pool",
  "label",
  "schema",
  "createSchema",
  "tables",
  "connections",
  "changes",
  "deadline",
  "maxStaleness",
  "format",
  "compressor",
  "alsoReads",
  "maxEntryBytes",
  "maxDecodedBytes",
];

/**
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} with the option and what it takes; never with the URL, which may have a password.
 */
export function resolve(options: PostgresOptions): Settings {
  checkNames(options ?? null, KNOWN, { place: "postgres" });
  const { url, pool, format, compressor, label = "postgres", createSchema = true } = options;
  if ((url === undefined) === (pool === undefined)) refuse("url or pool", "given, and not both");
  if (url !== undefined && !isUrl(url)) refuse("url", 'like "postgres://user@host/database"');
  if (pool !== undefined && typeof pool?.connect !== "function") refuse("pool", "a Pool of pg");
  const changes = oneOf("changes", options.changes ?? "auto", ["auto", "listen", "poll"]);
  if (pool?.options?.max === 1 && changes !== "poll")
    refuse("pool", 'of 2 connections or more, because one of them receives changes; or set changes: "poll"');
  if (typeof label !== "string" || label === "") refuse("label", "a non-empty string");
  if (typeof createSchema !== "boolean") refuse("createSchema", "true or false");
  return Object.freeze({
    url,
    pool,
    label,
    schema: schemaName(options.schema),
    createsSchema: createSchema,
    tables: oneOf("tables", options.tables ?? "unlogged", ["unlogged", "logged"]),
    connections: count("connections", options.connections ?? 4, 1_000),
    changes,
    deadlineMs: milliseconds("deadline", options.deadline ?? 1_000),
    maxStalenessMs: milliseconds("maxStaleness", options.maxStaleness ?? 2_000),
    format,
    compressor,
    alsoReads: Object.freeze([...(options.alsoReads ?? [])]),
    maxEntryBytes: count("maxEntryBytes", options.maxEntryBytes ?? 16 * 2 ** 20, 256 * 2 ** 20),
    maxDecodedBytes: count("maxDecodedBytes", options.maxDecodedBytes ?? DEFAULT_MAX_DECODED_BYTES, Infinity),
  });
}

function refuse(option: string, accepted: string): never {
  throw new InvalidArgumentError(`postgres: ${option} must be ${accepted}`);
}

const isUrl = (url: unknown): boolean => typeof url === "string" && /^postgres(ql)?:\/\//.test(url);

const oneOf = <T extends string>(option: string, given: T, accepted: readonly T[]): T =>
  accepted.includes(given) ? given : refuse(option, accepted.map((each) => JSON.stringify(each)).join(" or "));

const count = (option: string, given: number, most: number): number =>
  (Number.isSafeInteger(given) && given >= 1 && given <= most) || (given === Infinity && most === Infinity)
    ? given
    : refuse(option, most === Infinity ? "a whole number of at least 1" : `a whole number of 1 to ${most}`);

function milliseconds(option: string, given: Duration): number {
  const ms = typeof given === "number" ? given : parseDuration(given);
  return ms >= 10 && ms <= 60_000 ? ms : refuse(option, "a duration of 10 ms to 60 s");
}
