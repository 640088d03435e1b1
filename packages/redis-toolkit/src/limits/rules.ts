import { InvalidArgumentError, type Duration } from "@hotset/core";
import { checkOptions, durationMs, checkWholeNumber } from "../module/module.ts";

/** How a rule counts. */
export type RuleKind = "fixed-window" | "sliding-log" | "sliding-counter" | "token-bucket" | "gcra" | "concurrency";

/**
 * How much is allowed in which time: made by `fixedWindow`, `slidingLog` and the other functions of this file. Times
 * are whole milliseconds, rounded up, and a year at most.
 */
export interface Rule {
  /** How it counts. */
  readonly kind: RuleKind;
  /** Units that can be used at once, and so the greatest cost of a call. */
  readonly capacity: number;
  /** Milliseconds in which all of them come back. */
  readonly periodMs: number;
  /** The end of its key: rules of another kind or window count elsewhere. A changed limit continues with its count. */
  readonly id: string;
}

const numbers = new WeakMap<Rule, readonly number[]>();

/** The numbers of a rule for its script, `undefined` for what none of these functions made. */
export const numbersOf = (rule: Rule): readonly number[] | undefined => numbers.get(rule);

/** A number of units in a window. */
export interface WindowOptions {
  /** Units, up to 10^9. @default 100 */
  readonly limit?: number | undefined;
  /** How long the window is. @default '1h' */
  readonly window?: Duration | undefined;
}

/**
 * At most `limit` units in a window that begins with the first one. The cheapest kind. Around the end of a window
 * twice the limit can pass in a short time.
 *
 * @throws {InvalidArgumentError} for an option that is unknown or out of range.
 */
export function fixedWindow(options: WindowOptions = {}): Rule {
  const { limit, windowMs } = windowOf("fixedWindow", options, ["limit", "window"]);
  return rule("fixed-window", { capacity: limit, periodMs: windowMs, numbers: [limit, windowMs] });
}

/**
 * At most `limit` units in any window, exactly. Redis keeps an instant for each unit, some 10 bytes, so `limit` is at
 * most 10,000.
 *
 * @throws {InvalidArgumentError} for an option that is unknown or out of range.
 */
export function slidingLog(options: WindowOptions = {}): Rule {
  const { limit, windowMs } = windowOf("slidingLog", options, ["limit", "window"], MOST_KEPT);
  return rule("sliding-log", { capacity: limit, periodMs: windowMs, numbers: [limit, windowMs] });
}

/** Options of {@link slidingCounter}. */
export interface SlidingCounterOptions extends WindowOptions {
  /** Parts of a window that are counted together, from 2 to 100. @default 10 */
  readonly slices?: number | undefined;
}

/**
 * At most `limit` units in any window, with a count for each slice of it and not for each unit. A unit is free again
 * up to one slice later than with `slidingLog`.
 *
 * @throws {InvalidArgumentError} for an option that is unknown or out of range.
 */
export function slidingCounter(options: SlidingCounterOptions = {}): Rule {
  const { limit, windowMs } = windowOf("slidingCounter", options, ["limit", "window", "slices"]);
  const { slices = 10 } = options;
  checkWholeNumber("slidingCounter: slices", slices, { min: 2, max: 100 });
  const sliceMs = Math.ceil(windowMs / slices);
  // Slices of another length cannot be added to these.
  const id = `sliding-counter:${windowMs}:${sliceMs}`;
  return rule("sliding-counter", { capacity: limit, periodMs: windowMs, id, numbers: [limit, windowMs, sliceMs] });
}

/** Options of {@link tokenBucket}. */
export interface TokenBucketOptions {
  /** Tokens that come back in `refill`. @default 100 */
  readonly limit?: number | undefined;
  /** @default '1h' */
  readonly refill?: Duration | undefined;
  /** Tokens of a full bucket. @default `limit` */
  readonly burst?: number | undefined;
}

/**
 * A bucket of `burst` tokens that is refilled continuously, exactly: `limit` tokens in `refill`. `burst` times the
 * milliseconds of `refill` is at most 2^51.
 *
 * @throws {InvalidArgumentError} for an option that is unknown or out of range.
 */
export function tokenBucket(options: TokenBucketOptions = {}): Rule {
  checkOptions("tokenBucket()", options, ["limit", "refill", "burst"]);
  const { refill = DEFAULT_WINDOW, ...others } = options;
  const window = durationMs("tokenBucket: refill", refill, { max: LONGEST_MS });
  return bucket("token-bucket", { ...others, window });
}

/** Options of {@link gcra}. */
export interface GcraOptions extends WindowOptions {
  /** Units that may come in one burst. 1 spaces calls evenly, `window` / `limit` apart. @default `limit` */
  readonly burst?: number | undefined;
}

/**
 * The generic cell rate algorithm: calls are spaced `window` / `limit` apart, and up to `burst` may come in one burst.
 * It allows the same calls as {@link tokenBucket}, with the same bound.
 *
 * @throws {InvalidArgumentError} for an option that is unknown or out of range.
 */
export function gcra(options: GcraOptions = {}): Rule {
  return bucket("gcra", options);
}

/** Options of {@link concurrency}. */
export interface ConcurrencyOptions {
  /** Calls under way at once, at most 10,000. @default 100 */
  readonly limit?: number | undefined;
  /**
   * A slot that was not released, since its process died say, ends after this: choose it above the longest call.
   * @default '1m'
   */
  readonly hold?: Duration | undefined;
}

/**
 * At most `limit` calls under way at once: each that was allowed has a `lease`, to be given to `release`.
 *
 * @throws {InvalidArgumentError} for an option that is unknown or out of range.
 */
export function concurrency(options: ConcurrencyOptions = {}): Rule {
  checkOptions("concurrency()", options, ["limit", "hold"]);
  const { limit = DEFAULT_LIMIT, hold = "1m" } = options;
  checkWholeNumber("concurrency: limit", limit, { min: 1, max: MOST_KEPT });
  const holdMs = durationMs("concurrency: hold", hold, { max: LONGEST_MS });
  return rule("concurrency", { capacity: limit, periodMs: holdMs, id: "concurrency", numbers: [limit, holdMs] });
}

const DEFAULT_LIMIT = 100;
const DEFAULT_WINDOW = "1h";
/** Redis keeps each unit of these on its own. */
const MOST_KEPT = 10_000;
const MOST = 1_000_000_000;
/** A year. */
const LONGEST_MS = 366 * 86_400_000;

function windowOf(
  name: string,
  options: WindowOptions,
  known: readonly string[],
  most: number = MOST,
): { readonly limit: number; readonly windowMs: number } {
  checkOptions(`${name}()`, options, known);
  const { limit = DEFAULT_LIMIT, window = DEFAULT_WINDOW } = options;
  return {
    limit: checkWholeNumber(`${name}: limit`, limit, { min: 1, max: most }),
    windowMs: durationMs(`${name}: window`, window, { max: LONGEST_MS }),
  };
}

function bucket(kind: "token-bucket" | "gcra", options: GcraOptions): Rule {
  const name = kind === "gcra" ? kind : "tokenBucket";
  const { limit, windowMs } = windowOf(name, options, ["limit", "window", "burst"]);
  const { burst = limit } = options;
  checkWholeNumber(`${name}: burst`, burst, { min: 1, max: MOST });
  // Twice this, and the limit, are added in whole numbers.
  if (burst * windowMs > 2 ** 51)
    throw new InvalidArgumentError(
      `${name}: burst times the milliseconds of its window must be at most 2^51, got ${burst} times ${windowMs}; ` +
        "choose a shorter window with a smaller limit",
    );
  const periodMs = Math.ceil((burst * windowMs) / limit);
  return rule(kind, { capacity: burst, periodMs, id: `${kind}:${windowMs}`, numbers: [limit, windowMs, burst] });
}

interface RuleParts extends Pick<Rule, "capacity" | "periodMs"> {
  /** @default kind and period */
  readonly id?: string;
  readonly numbers: readonly number[];
}

function rule(kind: RuleKind, { capacity, periodMs, id = `${kind}:${periodMs}`, numbers: own }: RuleParts): Rule {
  const made = Object.freeze({ kind, capacity, periodMs, id });
  numbers.set(made, own);
  return made;
}
