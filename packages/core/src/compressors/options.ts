import type { CompressorOptions } from "../contracts/backend.ts";
import { describe } from "../primitives/duration.ts";
import { InvalidArgumentError } from "../contracts/errors.ts";

/** The levels that a compressor knows, bounds included. */
export interface CompressorLevels {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

/**
 * Options of the compressor `id`, with defaults filled in.
 *
 * @throws {InvalidArgumentError} for an unknown option, a level that is no whole number within `levels`, and a
 *   `minBytes` that is neither a whole number from 0 on nor `Infinity`.
 */
export function resolveCompressorOptions(
  id: string,
  options: CompressorOptions | undefined,
  levels: CompressorLevels,
): { readonly level: number; readonly minBytes: number } {
  if (options === undefined) return { level: levels.default, minBytes: DEFAULT_MIN_BYTES };
  if (typeof options !== "object" || options === null) {
    throw new InvalidArgumentError(
      `${id}: ${describe(options)} are no options; give an object with level and minBytes, or nothing`,
    );
  }
  for (const name of Object.keys(options)) {
    if (name !== "level" && name !== "minBytes") {
      throw new InvalidArgumentError(`${id}: there is no option ${describe(name)}; the options are level and minBytes`);
    }
  }
  const { level = levels.default, minBytes = DEFAULT_MIN_BYTES } = options;
  if (!Number.isInteger(level) || level < levels.min || level > levels.max) {
    throw new InvalidArgumentError(
      `${id}: level: ${describe(level)} is no level; give a whole number from ${levels.min} to ${levels.max}`,
    );
  }
  if (minBytes !== Infinity && !(Number.isInteger(minBytes) && minBytes >= 0)) {
    throw new InvalidArgumentError(
      `${id}: minBytes: ${describe(minBytes)} is no size; give a whole number of bytes from 0 on, or Infinity`,
    );
  }
  return { level, minBytes };
}

const DEFAULT_MIN_BYTES = 1024;
