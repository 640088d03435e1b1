import type { CompressorOptions } from "../contracts/backend.ts";
import { optionsOf, wholeNumber } from "../primitives/options.ts";

/** The levels of a compressor, bounds included. */
export interface CompressorLevels {
  /** The fastest level. */
  readonly min: number;
  /** The level that compresses most. */
  readonly max: number;
  /** The level without the option. */
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
  const level = wholeNumber(levels.default, levels.min, levels.max);
  return optionsOf(id, options, { level, minBytes: wholeNumber(1024, 0, Infinity) });
}
