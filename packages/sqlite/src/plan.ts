import { fileURLToPath } from "node:url";
import { ConfigurationError, json, passthrough, systemClock } from "@hotset/core";
import { anything, callback, CLOCK, flag, oneOf, option, optionsOf, text, type Option } from "@hotset/core/internal";
import { openWithNode } from "./driver.ts";
import type { SqliteOptions } from "./options.ts";

const LEAST_MAX_BYTES = 2 ** 20;

/** A test compares the reference page with it. */
export const SQLITE_OPTIONS = {
  format: anything as Option<SqliteOptions["format"]>,
  compressor: anything as Option<SqliteOptions["compressor"]>,
  alsoReads: anything as Option<SqliteOptions["alsoReads"]>,
  maxBytes: option(
    `a number of at least ${LEAST_MAX_BYTES}`,
    (given) => typeof given === "number" && given >= LEAST_MAX_BYTES,
    256 * 2 ** 20,
  ),
  unusableFile: oneOf("refuse", "moveAside"),
  isDurable: flag(),
  label: text("sqlite"),
  open: callback<SqliteOptions["open"]>(),
  clock: CLOCK,
} satisfies Record<keyof SqliteOptions, Option>;

export type SqlitePlan = ReturnType<typeof planOf>;

/** @throws {ConfigurationError} for an option out of range. */
export function planOf(given: string | URL, options: SqliteOptions) {
  const read = optionsOf("sqlite", options, SQLITE_OPTIONS, ConfigurationError);
  const { format = json(), compressor = passthrough(), alsoReads = [], open = openWithNode } = read;
  const { unusableFile, clock = systemClock, ...rest } = read;
  const file = given instanceof URL ? fileURLToPath(given) : given;
  if (typeof file !== "string" || file === "" || file === ":memory:")
    throw new ConfigurationError(
      `sqlite: file must be the path of a file, got ${JSON.stringify(file)}; for memory alone add memory()`,
    );
  return {
    ...rest,
    file,
    format,
    compressor,
    alsoReads,
    movesAside: unusableFile === "moveAside",
    open,
    clock,
    /** The wall clock, which all processes of the machine share. */
    nowMs: () => clock.epochMs?.() ?? Date.now(),
  };
}
