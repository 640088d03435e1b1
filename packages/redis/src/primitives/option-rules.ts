import {
  type Awaitable,
  type BreakerPolicy,
  type Compressor,
  type Duration,
  type Format,
  type Seal,
} from "@hotset/core";
import { checkNames, option, readOptions, refuse, timerMs, wholeNumber, type Option } from "@hotset/core/internal";

/** By which a wait grows. */
export const factor = <Default extends number | undefined>(byDefault: Default): Option<number | Default> =>
  option<number | Default>(
    "a number of at least 1",
    (given) => typeof given === "number" && given >= 1 && given < Infinity,
    byDefault,
  );

/** A whole number of at least 1, or `Infinity`. */
export const count = <Default extends number | undefined>(byDefault: Default): Option<number | Default> =>
  wholeNumber(byDefault, 1, Infinity);

// The errors of both show nothing of what was given: it may be a secret.
const anotherValue = (): string => "another value";

export const PASSWORD: Option<string | (() => Awaitable<string>) | undefined> = option(
  "a string, or a function that returns one",
  (given) => typeof given === "function" || typeof given === "string",
  undefined,
  anotherValue,
);

export const SEAL: Option<Seal | undefined> = option(
  "a Seal, such as aesGcm({ keys }), with an id of 1 to 32 of a-z 0-9 . -",
  (given: unknown) => hasId(given) && "around" in given && typeof given.around === "function",
  undefined,
  anotherValue,
);

export const CLIENT_NAME: Option<string | undefined> = option(
  "1 to 128 printable ASCII characters without spaces",
  (given) => typeof given === "string" && /^[!-~]{1,128}$/.test(given),
  undefined,
);

const hasId = (given: unknown): given is { readonly id: string } =>
  typeof given === "object" &&
  given !== null &&
  "id" in given &&
  typeof given.id === "string" &&
  /^[a-z0-9.-]{1,32}$/.test(given.id);

export const isCompressor = (given: unknown): given is Compressor =>
  hasId(given) && "compress" in given && "decompress" in given;

export const COMPRESSOR: Option<Compressor | undefined> = option(
  "a Compressor, such as zstd() or gzip(), with an id of 1 to 32 of a-z 0-9 . -",
  isCompressor,
  undefined,
);

export const FORMAT: Option<Format | undefined> = option(
  "a Format, such as msgpack() or json(), with an id of 1 to 32 of a-z 0-9 . -",
  (given) => hasId(given) && "encode" in given && "decode" in given,
  undefined,
);

/** When calls of a Redis that does not answer are skipped. */
export interface BreakerOptions {
  /** In a row. @default 5 */
  readonly failures?: number | undefined;
  /** Until one call is let through. @default '1s' */
  readonly wait?: Duration | undefined;
  /** The wait doubles to this, while that call fails. @default '30s' */
  readonly longestWait?: Duration | undefined;
}

const BREAKER = { failures: wholeNumber(5), wait: timerMs(1_000), longestWait: timerMs(undefined) };

/**
 * @throws {ConfigurationError} for unknown options.
 * @throws {InvalidArgumentError} for what is out of range, and for a longest wait below the first.
 */
export function breakerPolicy(given: BreakerOptions): BreakerPolicy {
  checkNames(given ?? null, BREAKER, { place: "breaker" });
  const { failures, wait: waitMs, longestWait } = readOptions(given, BREAKER, "breaker: ");
  const longestWaitMs = longestWait ?? Math.max(30_000, waitMs);
  if (longestWaitMs < waitMs) return refuse("breaker: longestWait", given.longestWait, `at least wait, ${waitMs} ms`);
  return { failures, waitMs, longestWaitMs };
}
