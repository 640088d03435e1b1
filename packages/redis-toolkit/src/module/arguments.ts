import { didYouMean, InvalidArgumentError, parseDuration, type Duration } from "@hotset/core";

/** Redis adds its clock to a life, so the sum must stay a whole number. */
const LONGEST_MS = 2 ** 52;
const MAX_NAME_LENGTH = 512;

export interface DurationBounds {
  /** Milliseconds. @default 1 */
  readonly min?: number;
  /** Milliseconds. @default 2^52 */
  readonly max?: number;
  /** The end of the error's sentence. */
  readonly hint?: string;
}

/**
 * Whole milliseconds, rounded up.
 *
 * @throws {InvalidArgumentError} for other units and types, and for what lies out of bounds. It names `option`.
 */
export function durationMs(option: string, given: Duration, bounds: DurationBounds = {}): number {
  const { min = 1, max = LONGEST_MS, hint = "" } = bounds;
  const ms = typeof given === "string" ? parsed(option, given) : given;
  if (typeof ms === "number" && Math.ceil(ms) >= min && ms <= max) return Math.ceil(ms);
  const range = max === LONGEST_MS ? `at least ${min}` : `from ${min} to ${max}`;
  throw new InvalidArgumentError(`${option} must be ${range} ms, as a number or like "5m", got ${shown(given)}${hint}`);
}

function parsed(option: string, given: string): number {
  try {
    return parseDuration(given);
  } catch {
    throw new InvalidArgumentError(
      `${option} must be milliseconds, or a number with a unit of ms, s, m, h or d ("5m"), got ${shown(given)}`,
    );
  }
}

const shown = (given: unknown): string =>
  typeof given === "string"
    ? JSON.stringify(given.slice(0, 40))
    : typeof given === "number"
      ? `${given}`
      : typeof given;

/** @throws {InvalidArgumentError} for another thing than an object, and for an option that is not `known`. */
export function checkOptions(place: string, given: unknown, known: readonly string[]): void {
  if (given === undefined) return;
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new InvalidArgumentError(`${place}: the options must be an object, got ${kindOf(given)}`);
  for (const name of Object.keys(given))
    if (!known.includes(name))
      throw new InvalidArgumentError(
        `${place}: unknown option ${JSON.stringify(name)}; known: ${known.join(", ")}${didYouMean(name, known)}`,
      );
}

/** @throws {InvalidArgumentError} for what is not text, for empty text, and for more than 512 characters. */
export function checkName(place: string, given: string): string {
  if (typeof given === "string" && given !== "" && given.length <= MAX_NAME_LENGTH) return given;
  const got = typeof given === "string" ? `${given.length} characters` : kindOf(given);
  throw new InvalidArgumentError(`${place} must be text of 1 to ${MAX_NAME_LENGTH} characters, got ${got}`);
}

const kindOf = (given: unknown): string =>
  given === null ? "null" : Array.isArray(given) ? "a list" : `a value of type ${typeof given}`;

/**
 * A name in braces: keys with it lie in one slot of a cluster. Braces in the name, and `%`, are written as `%XX`, so
 * different names stay different and none ends the braces early.
 */
export const hashTagged = (name: string): string =>
  `{${name.replace(/[%{}]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)}}`;
