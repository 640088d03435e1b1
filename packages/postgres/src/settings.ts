import { InvalidArgumentError } from "@hotset/core";
import {
  anything,
  DEFAULT_MAX_DECODED_BYTES,
  duration,
  flag,
  having,
  describe,
  oneOf,
  option,
  optionsOf,
  text,
  wholeNumber,
  type Option,
} from "@hotset/core/internal";
import type { PostgresOptions } from "./options.ts";
import type { PostgresPool } from "./pool.ts";
import { schemaName } from "./schema.ts";

// An URL may have a password, so its error does not show it.
const url = option(
  'like "postgres://user@host/database"',
  (given) => typeof given === "string" && /^postgres(ql)?:\/\//.test(given),
  undefined as string | undefined,
  (given) => (typeof given === "string" ? "other text" : describe(given)),
);

/** A test compares the reference page with it. */
export const POSTGRES_OPTIONS = {
  url,
  pool: having<PostgresPool>("a Pool of pg", "connect"),
  label: text("postgres"),
  schema: anything as Option<string | undefined>,
  createSchema: flag(true),
  tables: oneOf("unlogged", "logged"),
  connections: wholeNumber(4, 1, 1_000),
  changes: oneOf("auto", "listen", "poll"),
  deadline: duration(1_000, 10, 60_000),
  maxStaleness: duration(2_000, 10, 60_000),
  format: anything as Option<PostgresOptions["format"]>,
  compressor: anything as Option<PostgresOptions["compressor"]>,
  alsoReads: anything as Option<PostgresOptions["alsoReads"]>,
  maxEntryBytes: wholeNumber(16 * 2 ** 20, 1, 256 * 2 ** 20),
  maxDecodedBytes: wholeNumber(DEFAULT_MAX_DECODED_BYTES, 1, Infinity),
} satisfies Record<keyof PostgresOptions, Option>;

export type Settings = ReturnType<typeof resolve>;

/**
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} with the option and what it takes; never with the URL.
 */
export function resolve(options: PostgresOptions) {
  const read = optionsOf("postgres", options ?? null, POSTGRES_OPTIONS);
  const { createSchema: createsSchema, deadline: deadlineMs, maxStaleness: maxStalenessMs, ...rest } = read;
  if ((read.url === undefined) === (read.pool === undefined)) refuse("url or pool must be given, and not both");
  if (read.pool?.options?.max === 1 && read.changes !== "poll")
    refuse('pool must be of 2 connections or more, because one of them receives changes; or set changes: "poll"');
  const alsoReads = Object.freeze([...(read.alsoReads ?? [])]);
  return Object.freeze({
    ...rest,
    schema: schemaName(read.schema),
    createsSchema,
    deadlineMs,
    maxStalenessMs,
    alsoReads,
  });
}

function refuse(reason: string): never {
  throw new InvalidArgumentError(`postgres: ${reason}`);
}
