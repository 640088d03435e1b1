import {
  InvalidArgumentError,
  parseDuration,
  type BreakerPolicy,
  type Compressor,
  type Duration,
  type Format,
  type Seal,
} from "@hotset/core";
import { checkNames } from "@hotset/core/internal";

/** The longest delay `setTimeout` takes. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

// Each check names the option and what it accepts. None may be used for an option that could hold a secret.

/** @throws {InvalidArgumentError} */
export function refuse(option: string, given: unknown, accepted: string): never {
  throw new InvalidArgumentError(`${option} must be ${accepted}, got ${shown(given)}`);
}

function shown(given: unknown): string {
  if (typeof given === "number") return String(given);
  if (typeof given === "string") return JSON.stringify(given.slice(0, 40));
  if (given === null || given === undefined) return String(given);
  if (Array.isArray(given)) return "an array";
  return `${typeof given === "object" ? "an" : "a"} ${typeof given}`;
}

export const text = (option: string, given: unknown): string =>
  typeof given === "string" && given !== "" ? given : refuse(option, given, "a non-empty string");

export const oneOf = <T extends string | number>(option: string, given: T, accepted: readonly T[]): T =>
  accepted.includes(given) ? given : refuse(option, given, accepted.map((one) => JSON.stringify(one)).join(" or "));

export const flag = (option: string, given: boolean): boolean =>
  typeof given === "boolean" ? given : refuse(option, given, "true or false");

/** By which a wait grows. */
export const factor = (option: string, given: number): number =>
  typeof given === "number" && given >= 1 && given < Infinity ? given : refuse(option, given, "a number of at least 1");

/** A whole number of at least 1, or `Infinity`. */
export const count = (option: string, given: number): number =>
  given === Infinity || (Number.isSafeInteger(given) && given >= 1)
    ? given
    : refuse(option, given, "a whole number of at least 1, or Infinity");

/** Whole milliseconds that a timer can wait for. */
export function milliseconds(option: string, given: Duration, atLeast = 1): number {
  const ms = typeof given === "string" ? parsed(option, given) : given;
  return typeof ms === "number" && ms >= atLeast && ms <= MAX_TIMER_MS
    ? Math.ceil(ms)
    : refuse(option, given, `a duration of ${atLeast} ms to 24 days, as milliseconds or like "5s"`);
}

function parsed(option: string, given: string): number {
  try {
    return parseDuration(given);
  } catch {
    return refuse(option, given, 'a duration: milliseconds, or a number with a unit of ms, s, m, h or d ("5s")');
  }
}

const hasId = (given: unknown): given is { readonly id: string } =>
  typeof given === "object" &&
  given !== null &&
  "id" in given &&
  typeof given.id === "string" &&
  /^[a-z0-9.-]{1,32}$/.test(given.id);

export const isCompressor = (given: unknown): given is Compressor =>
  hasId(given) && "compress" in given && "decompress" in given;

export const compressor = (option: string, given: Compressor): Compressor =>
  isCompressor(given)
    ? given
    : refuse(option, given, "a Compressor, such as zstd() or gzip(), with an id of 1 to 32 of a-z 0-9 . -");

export const format = (option: string, given: Format): Format =>
  hasId(given) && "encode" in given && "decode" in given
    ? given
    : refuse(option, given, "a Format, such as msgpack() or json(), with an id of 1 to 32 of a-z 0-9 . -");

/** The message does not show what was given: it may be a secret. */
export function seal(option: string, given: Seal): Seal {
  if (hasId(given) && typeof given.around === "function") return given;
  throw new InvalidArgumentError(
    `${option} must be a Seal, such as aesGcm({ keys }), with an id of 1 to 32 of a-z 0-9 . -`,
  );
}

/** When calls of a Redis that does not answer are skipped. */
export interface BreakerOptions {
  /** In a row. @default 5 */
  readonly failures?: number | undefined;
  /** Until one call is let through. @default '1s' */
  readonly wait?: Duration | undefined;
  /** The wait doubles to this, while that call fails. @default '30s' */
  readonly longestWait?: Duration | undefined;
}

/**
 * @throws {ConfigurationError} for unknown options.
 * @throws {InvalidArgumentError} for what is out of range, and for a longest wait below the first.
 */
export function breakerPolicy(given: BreakerOptions): BreakerPolicy {
  checkNames(given ?? null, ["failures", "wait", "longestWait"], { place: "breaker" });
  const { failures = 5, wait = 1_000 } = given;
  if (!Number.isSafeInteger(failures) || failures < 1)
    return refuse("breaker: failures", failures, "a whole number of at least 1");
  const waitMs = milliseconds("breaker: wait", wait);
  const { longestWait = Math.max(30_000, waitMs) } = given;
  const longestWaitMs = milliseconds("breaker: longestWait", longestWait);
  if (longestWaitMs < waitMs) return refuse("breaker: longestWait", longestWait, `at least wait, ${waitMs} ms`);
  return { failures, waitMs, longestWaitMs };
}
