import { InvalidArgumentError, type Duration } from "@hotset/core";
import {
  checkGiven,
  checkNames,
  describe as shown,
  didYouMean,
  flag,
  FUNCTION,
  kindOf,
  oneOf,
  option,
  readOption,
  readOptions,
  SIGNAL,
  wholeMs,
  wholeNumber,
  type OptionTable,
  type OptionValues,
} from "@hotset/core/internal";
import { needsTcp } from "@hotset/redis/internal";
import { moduleIn, type ModuleHost } from "./contract.ts";

const MAX_NAME_LENGTH = 512;

/** Bounds of {@link durationMs}. */
export interface DurationBounds {
  /** Milliseconds. @default 1 */
  readonly min?: number | undefined;
  /** Milliseconds. @default 2^52 */
  readonly max?: number | undefined;
  /** The end of the error's sentence. */
  readonly hint?: string | undefined;
}

/**
 * Whole milliseconds, rounded up.
 *
 * @throws {InvalidArgumentError} for other units and types, and for what lies out of bounds. It names `option`.
 */
export function durationMs(option: string, given: Duration, { min, max, hint = "" }: DurationBounds = {}): number {
  const rule = min === undefined && max === undefined ? LIFE : wholeMs(undefined, min, max);
  const ms = rule.read(given, option);
  if (ms === undefined)
    throw new InvalidArgumentError(`${option} must be ${rule.accepts}, got ${rule.show(given)}${hint}`);
  return ms;
}

const LIFE = wholeMs(undefined);

/** `"60s"`: a number with a unit, and no bare number, which other clients count in seconds. */
export type DurationText = Exclude<Duration, number>;

/**
 * Whole milliseconds of a life in Redis: what is called `ttl`, and `expire`. See decision 0225.
 *
 * @throws {InvalidArgumentError} for a bare number, and as {@link durationMs}.
 */
export function lifeMs(option: string, given: DurationText, bounds: DurationBounds = {}): number {
  if (typeof given !== "number") return durationMs(option, given, bounds);
  throw new InvalidArgumentError(
    `${option} must have a unit, such as "60s" or "60ms", got ${shown(given)}${given === Infinity ? (bounds.hint ?? "") : ": redis clients count a bare number in seconds"}`,
  );
}

/** @throws {InvalidArgumentError} for another thing than an object, and for an option that is not `known`. */
export function checkOptions(place: string, given: unknown, known: readonly string[]): void {
  if (typeof given === "string" && foreignHint(given, known) !== undefined)
    throw new InvalidArgumentError(
      `${place}: options must be an object, got ${shown(given)}${foreignHint(given, known)}`,
    );
  const hint = (name: string, accepted: Iterable<string>): string =>
    foreignHint(name, known) ?? didYouMean(name, accepted);
  checkNames(given, known, { place, as: InvalidArgumentError, hint });
}

/** {@link checkOptions}, and their values with the defaults. @param prefix of their names in errors. */
export function optionsOf<T extends OptionTable>(
  place: string,
  given: unknown,
  table: T,
  prefix = "",
): OptionValues<T> {
  checkOptions(place, given, Object.keys(table));
  return readOptions(given as object | undefined, table, prefix);
}

/** Options of Redis and its clients, and the option and value that they have here. */
const FOREIGN: Readonly<Record<string, readonly [option: string, here: string]>> = {
  ex: ["ttl", 'EX counts seconds: { ttl: "60s" }'],
  px: ["ttl", 'PX counts milliseconds: { ttl: "60ms" }'],
  expiration: ["ttl", 'it is ttl here: { ttl: "60s" }'],
  exat: ["ttl", "expireAt(key, date) sets an instant"],
  pxat: ["ttl", "expireAt(key, date) sets an instant"],
  keepttl: ["keepTtl", "{ keepTtl: true }"],
  nx: ["if", 'NX is { if: "absent" }'],
  xx: ["if", 'XX is { if: "present" }'],
  gt: ["if", 'GT is { if: "later" }'],
  lt: ["if", 'LT is { if: "sooner" }'],
};

function foreignHint(name: string, known: readonly string[]): string | undefined {
  const key = name.toLowerCase();
  const [option, here] = (Object.hasOwn(FOREIGN, key) && FOREIGN[key]) || [];
  return option !== undefined && known.includes(option) ? `; ${here}` : undefined;
}

/** @throws {InvalidArgumentError} It names `option`. */
export const checkWholeNumber = (
  option: string,
  given: number,
  { min, max }: { readonly min: number; readonly max: number },
): number => readOption<number | undefined>(given, option, wholeNumber(undefined, min, max))!;

/** @throws {InvalidArgumentError} for anything but `undefined`, `true` and `false`: the text "false" would be true. */
export const checkFlag = (option: string, given: unknown): void => checkGiven(given, option, FLAG);

/** @throws {InvalidArgumentError} unless it is one of `accepted`. */
export function checkOneOf(option: string, given: unknown, accepted: readonly string[]): void {
  readOption(given, option, oneOf(...(accepted as readonly [string, ...string[]])));
}

/** @throws {InvalidArgumentError} unless it is a function. */
export function checkFunction(option: string, given: unknown): void {
  readOption(given, option, FUNCTION);
}

/** @throws {InvalidArgumentError} for anything but `undefined` and a signal. */
export const checkSignal = (option: string, given: unknown): void => checkGiven(given, option, SIGNAL);

/** @throws {InvalidArgumentError} for anything but `undefined` and a Standard Schema. */
export const checkSchema = (option: string, given: unknown): void => checkGiven(given, option, SCHEMA);

const FLAG = flag();
const SCHEMA = option(
  "a Standard Schema (https://standardschema.dev)",
  (given: { readonly "~standard"?: { readonly validate?: unknown } } | null) =>
    typeof given?.["~standard"]?.validate === "function",
  undefined,
);

/**
 * The most keys of one script of this package. A longer one delays every other caller; over a connection that tracks
 * keys, Redis 7.0 notes each key once for each read of the script.
 */
export const MOST_SCRIPT_KEYS = 64;

/** @throws {InvalidArgumentError} for what is not `createRedis(...)`, or a view of it. */
export function checkView<View extends ModuleHost>(place: string, given: View): View {
  if (moduleIn(given) !== undefined) return given;
  throw new InvalidArgumentError(`${place}: give createRedis(...), or a tenant of it, got ${shown(given)}`);
}

/**
 * As {@link checkView}, for what waits inside Redis or subscribes.
 *
 * @throws {ConfigurationError} for a view over HTTP.
 */
export function checkTcpView<View extends ModuleHost>(place: string, given: View): View {
  checkView(place, given);
  if (moduleIn(given)!.isHttp) throw needsTcp(place);
  return given;
}

/**
 * @throws {InvalidArgumentError} for what is not text, for empty text, for more than 512 characters, and for half of a
 *   surrogate pair: UTF-8 has no bytes for it, so several names would become one.
 */
export function checkName(place: string, given: string): string {
  if (typeof given === "string" && given !== "" && given.length <= MAX_NAME_LENGTH) {
    if (given.isWellFormed()) return given;
    throw new InvalidArgumentError(`${place} must be well-formed text, got half of a surrogate pair`);
  }
  throw new InvalidArgumentError(`${place} must be text of 1 to ${MAX_NAME_LENGTH} characters, got ${kindOf(given)}`);
}

/** Text, or a whole number, which Redis has as its digits. */
export type Id = string | number | bigint;

/** @throws {InvalidArgumentError} for what {@link checkName} refuses, and for a number that is not whole or exact. */
export function idText(place: string, given: Id): string {
  if (typeof given === "bigint" || Number.isSafeInteger(given)) return String(given);
  if (typeof given === "number")
    throw new InvalidArgumentError(`${place} must be text or a whole number up to 2^53, got ${given}`);
  return checkName(place, given);
}

/**
 * The key that an option `key` gives a name, for a program that has it under this key.
 *
 * @throws {InvalidArgumentError} for a result that is not text of 1 to 512 characters. An error of `key` is passed on.
 */
export const keyBy = (place: string, key: (name: string) => string, name: string): string =>
  checkName(`${place}: the key that key(name) returns`, key(name));
