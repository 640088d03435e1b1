import type { CompressorOptions } from "../contracts/backend.ts";
import { checkNames, option, readOptions } from "../primitives/options.ts";

/** The levels of a compressor, bounds included. */
export interface CompressorLevels {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

/**
 * Options of the compressor `id`, with defaults filled in.
 *
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} unless `level` is a whole number within `levels`, and unless
 *   `minBytes` is a whole number of at least 0 or `Infinity`.
 */
export function resolveCompressorOptions(
  id: string,
  options: CompressorOptions | undefined,
  levels: CompressorLevels,
): { readonly level: number; readonly minBytes: number } {
  const table = {
    level: option(
      `a whole number from ${levels.min} to ${levels.max}`,
      (given: number) => Number.isInteger(given) && given >= levels.min && given <= levels.max,
      levels.default,
    ),
    minBytes: MIN_BYTES,
  };
  checkNames(options, table, { place: id });
  return readOptions(options, table, `${id}: `);
}

const MIN_BYTES = option(
  "a whole number of bytes, at least 0, or Infinity",
  (given: number) => given === Infinity || (Number.isInteger(given) && given >= 0),
  1024,
);
