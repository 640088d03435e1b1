import type { CompressorOptions } from "../contracts/backend.ts";
import { checkNames } from "../primitives/option-names.ts";
import { describe } from "../primitives/duration.ts";
import { InvalidArgumentError } from "../contracts/errors.ts";

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
  if (options === undefined) return { level: levels.default, minBytes: DEFAULT_MIN_BYTES };
  checkNames(options, ["level", "minBytes"], { place: id });
  const { level = levels.default, minBytes = DEFAULT_MIN_BYTES } = options;
  if (!Number.isInteger(level) || level < levels.min || level > levels.max) {
    throw new InvalidArgumentError(
      `${id}: level must be a whole number from ${levels.min} to ${levels.max}, got ${describe(level)}`,
    );
  }
  if (minBytes !== Infinity && !(Number.isInteger(minBytes) && minBytes >= 0)) {
    throw new InvalidArgumentError(
      `${id}: minBytes must be a whole number of bytes, at least 0, or Infinity, got ${describe(minBytes)}`,
    );
  }
  return { level, minBytes };
}

const DEFAULT_MIN_BYTES = 1024;
