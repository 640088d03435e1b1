import { InvalidArgumentError, type ConfigurationError } from "../contracts/errors.ts";

/**
 * A length of time: milliseconds, or a number with a unit. `60` is 60 ms. Finite ones count as 100 years at most;
 * `Infinity` is forever. Text that is only known at run time goes through {@link parseDuration}.
 */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/** The longest finite time: a longer one means "without an end", and its sums with instants would lose milliseconds. */
export const HUNDRED_YEARS_MS: number = 100 * 365 * 86_400_000;

const MS_PER_UNIT = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const TEXT = /^(-?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?)(ms|s|m|h|d)$/i;

/**
 * Milliseconds of `text` (`'5m'`), for settings read from the environment.
 *
 * @throws {InvalidArgumentError} for anything but a finite number with a unit, or `'Infinity'`.
 */
export function parseDuration(text: string): number {
  return msOf("duration", text);
}

/**
 * Milliseconds of a public `Duration`: at most 100 years, or `Infinity`.
 *
 * @param option names the setting in the error.
 * @throws {InvalidArgumentError} for `NaN`, for text without a known unit, and for other types; or as `As` says.
 */
export function toMs(option: string, duration: Duration, As?: Refusal): number {
  const ms = typeof duration === "number" && !Number.isNaN(duration) ? duration : msOf(option, duration, As);
  return ms === Infinity ? ms : Math.min(ms, HUNDRED_YEARS_MS);
}

function msOf(option: string, given: unknown, As: Refusal = InvalidArgumentError): number {
  const ms = msIn(given);
  if (ms !== undefined) return ms;
  throw new As(
    `${option} must be milliseconds (60_000), or a number with a unit: ms, s, m, h or d ("1m"); got ${describe(given)}`,
  );
}

/** Milliseconds of the text of a duration; `undefined` for anything else. */
export function msIn(text: unknown): number | undefined {
  if (typeof text !== "string") return undefined;
  if (text === "Infinity") return Infinity;
  const match = TEXT.exec(text);
  if (match === null) return undefined;
  const ms = Number(match[1]) * MS_PER_UNIT[match[2]!.toLowerCase() as keyof typeof MS_PER_UNIT];
  return Number.isFinite(ms) ? ms : undefined;
}

/** The error for a refused argument: that of a single call, or of a configuration. */
export type Refusal = typeof ConfigurationError | typeof InvalidArgumentError;

/**
 * Describes an argument that may hold a key, a tag or a value, for an error message: its kind, and nothing of
 * it. A setting, whose content helps and is no secret, is shown by {@link describe}.
 */
export function kindOf(given: unknown): string {
  switch (typeof given) {
    case "string":
      return given === "" ? '""' : `text of ${given.length} ${given.length === 1 ? "character" : "characters"}`;
    case "number":
      return Number.isFinite(given) ? "a number" : String(given);
    case "bigint":
    case "boolean":
      return `a ${typeof given}`;
    default:
      return describe(given);
  }
}

/** The error for anything else. @param of the end of "must be a function". */
export const noFunction = (option: string, given: unknown, of = ""): InvalidArgumentError =>
  new InvalidArgumentError(`${option} must be a function${of}, got ${kindOf(given)}`);

/** Describes a setting for an error message: short, and without the content of objects. */
export function describe(given: unknown): string {
  switch (typeof given) {
    case "string":
      return JSON.stringify(given.length > 40 ? `${given.slice(0, 40)}…` : given);
    case "object":
      return given === null ? "null" : Array.isArray(given) ? "an array" : "an object";
    case "function":
      return "a function";
    case "symbol":
      return "a symbol";
    case "bigint":
      return `${given}n`;
    default:
      return String(given);
  }
}
