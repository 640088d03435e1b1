import { MAX_TIMER_MS, type Clock } from "../contracts/clock.ts";
import { ConfigurationError, InvalidArgumentError } from "../contracts/errors.ts";
import { didYouMean } from "./did-you-mean.ts";
import { describe, kindOf, msIn, toMs, type Duration, type Refusal } from "./duration.ts";

/** One option of a function. Errors and the reference page are made from it. */
export interface Option<T = unknown> {
  /** The end of "must be ..." */
  readonly accepts: string;
  /** The default, in the form that the code needs; `undefined` if there is none, or another option decides. */
  readonly default: T;
  /** The given value in the form that the code needs: a duration in milliseconds. `undefined`: it is refused. */
  readonly read: (given: unknown, name: string, As?: Refusal) => T | undefined;
  /** How the error shows a refused value. */
  readonly show: (given: unknown) => string;
  readonly isDuration?: true;
}

/** The options of one function. */
export type OptionTable = Readonly<Record<string, Option>>;
/** The resolved values of a table of options. */
export type OptionValues<Table> = { readonly [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never };

/** An option that is used as it was given, if `is` accepts it. */
export function option<T>(
  accepts: string,
  is: (given: never) => boolean,
  byDefault: T,
  show: Option["show"] = describe,
): Option<T> {
  return { accepts, default: byDefault, read: (given) => (is(given as never) ? (given as T) : undefined), show };
}

/** An option whose value is checked elsewhere. */
export const anything: Option = option("checked elsewhere", () => true, undefined);

const isFunction = (given: unknown): boolean => typeof given === "function";

/** Only the two values: a text such as "false" would count as true. */
export const flag = (byDefault = false): Option<boolean> =>
  option("true or false", (given) => typeof given === "boolean", byDefault);

export const text = <Default extends string | undefined>(byDefault: Default): Option<string | Default> =>
  option("a non-empty string", (given) => typeof given === "string" && given !== "", byDefault);

/** @param most `Infinity` is accepted only as this. */
export const wholeNumber = <Default extends number | undefined>(
  byDefault: Default,
  least = 1,
  most: number = MAX,
): Option<number | Default> =>
  option(
    `a whole number ${most < MAX ? `from ${least} to ${most}` : `of at least ${least}${most > MAX ? ", or Infinity" : ""}`}`,
    (given: number) => given === most || (Number.isSafeInteger(given) && given >= least && given <= most),
    byDefault,
  );
const MAX = Number.MAX_SAFE_INTEGER;

export const having = <T>(accepts: string, ...methods: readonly (keyof T)[]): Option<T | undefined> =>
  option(accepts, (given: T | null) => methods.every((method) => isFunction(given?.[method])), undefined);

export const CLOCK: Option<Clock | undefined> = option(
  "an object with now() and schedule()",
  (given: Partial<Clock> | null) => [given?.now, given?.schedule, given?.epochMs ?? isFunction].every(isFunction),
  undefined,
);

/** The first one is the default. */
export const oneOf = <T extends string | number>(...accepted: readonly [T, ...T[]]): Option<T> =>
  option(accepted.map((one) => JSON.stringify(one)).join(" or "), (given) => accepted.includes(given), accepted[0]);

/** @param of the end of "a function". */
export const callback = <T = unknown>(of = ""): Option<T | undefined> =>
  option(`a function${of}`, isFunction, undefined, kindOf);

export const FUNCTION: Option = callback();

export const SIGNAL: Option<AbortSignal | undefined> = option(
  "an AbortSignal",
  (given) => (given as unknown) instanceof AbortSignal,
  undefined,
);

/** An option whose check throws its error. */
export const readBy = <T, Default extends T | undefined>(
  check: (name: string, given: never) => T,
  byDefault: Default,
): Option<T | Default> => ({
  accepts: "checked elsewhere",
  default: byDefault,
  read: (given, name) => check(name, given as never),
  show: describe,
});

/** A duration, resolved to milliseconds, not rounded. */
export const duration = <Default extends number | undefined>(
  byDefault: Default,
  leastMs = 0,
  mostMs: number = Infinity,
): Option<number | Default> => ({
  accepts: mostMs === Infinity ? `at least ${leastMs} ms` : `from ${leastMs} to ${mostMs} ms`,
  isDuration: true,
  default: byDefault,
  read(given, name, As) {
    const ms = toMs(name, given as Duration, As);
    return ms >= leastMs && ms <= mostMs ? ms : undefined;
  },
  show: describe,
});

/** Redis adds its clock to a life, and the sum must stay a whole number. */
const LONGEST_MS = 2 ** 52;

/** A duration in whole milliseconds, rounded up, as timers and Redis take them. */
export const wholeMs = <Default extends number | undefined>(
  byDefault: Default,
  leastMs = 1,
  mostMs: number = LONGEST_MS,
): Option<number | Default> => ({
  accepts: `${rangeOf(leastMs, mostMs)}, as a number or like "5m"`,
  isDuration: true,
  default: byDefault,
  read(given) {
    const ms = Math.ceil(typeof given === "number" ? given : (msIn(given) ?? Number.NaN));
    return ms >= leastMs && ms <= mostMs ? ms : undefined;
  },
  show: (given) =>
    describe(given) + (typeof given === "string" && msIn(given) === undefined ? "; units are ms, s, m, h and d" : ""),
});

/** {@link wholeMs} that a timer can wait for. */
export const timerMs = <Default extends number | undefined>(
  byDefault: Default,
  leastMs = 1,
): Option<number | Default> => wholeMs(byDefault, leastMs, MAX_TIMER_MS);

function rangeOf(leastMs: number, mostMs: number): string {
  const most = mostMs === MAX_TIMER_MS ? "24 days" : mostMs === LONGEST_MS ? "2^52 ms" : `${mostMs} ms`;
  if (leastMs === -Infinity) return `at most ${most}`;
  return `from ${leastMs}${mostMs === MAX_TIMER_MS ? " ms" : ""} to ${most}`;
}

/** The error for a given value, which must not be a secret. @throws {InvalidArgumentError} or as `As` says. */
export function refuse(name: string, given: unknown, accepts: string, As: Refusal = InvalidArgumentError): never {
  throw new As(`${name} must be ${accepts}, got ${describe(given)}`);
}

/** @throws {InvalidArgumentError} for a value that the option refuses, or as `As` says. */
export function readOption<T>(given: unknown, name: string, { accepts, read, show }: Option<T>, As?: Refusal): T {
  const value = read(given, name, As);
  if (value === undefined) throw new (As ?? InvalidArgumentError)(`${name} must be ${accepts}, got ${show(given)}`);
  return value;
}

/** {@link readOption} of what may be left out. */
export function checkGiven(given: unknown, name: string, rule: Option): void {
  if (given !== undefined) readOption(given, name, rule);
}

/**
 * The options of `table`, in the form that the code needs; those that are not given have their defaults.
 *
 * @param prefix of their names in errors: `"memory: "`.
 * @throws {InvalidArgumentError} for a value that its option refuses, or as `As` says.
 */
export function readOptions<Table extends OptionTable>(
  given: object | undefined,
  table: Table,
  prefix = "",
  As?: Refusal,
): OptionValues<Table> {
  const read: Record<string, unknown> = {};
  for (const name in table) {
    const value: unknown = (given as Readonly<Record<string, unknown>> | undefined)?.[name];
    read[name] = value === undefined ? table[name]!.default : readOption(value, prefix + name, table[name]!, As);
  }
  return read as OptionValues<Table>;
}

/** {@link checkNames}, and {@link readOptions}. @param place the call, as errors name it. @param As for both. */
export function optionsOf<Table extends OptionTable>(
  place: string,
  given: unknown,
  table: Table,
  As?: Refusal,
): OptionValues<Table> {
  checkNames(given, table, { place, as: As });
  return readOptions(given as object | undefined, table, `${place}: `, As);
}

/** How {@link checkNames} refuses. */
export interface NamesCheck {
  /** The function that was called, as the error names it: `memory`. @default none */
  readonly place?: string | undefined;
  /** The option that holds these. @default none */
  readonly inside?: string | undefined;
  /** The error: `InvalidArgumentError` for a single call. @default ConfigurationError */
  readonly as?: Refusal | undefined;
  /** The end of the error for an unknown name. @default didYouMean */
  readonly hint?: ((given: string, accepted: Iterable<string>) => string) | undefined;
}

/**
 * Refuses names of options that do not exist: a misspelt one would be ignored in silence. `undefined` sets nothing.
 *
 *     memory: unknown option "maxEntry"; did you mean maxEntries?; accepted: label, maxEntries, maxBytes
 *
 * @throws {ConfigurationError} for anything but an object, and for a name that is not accepted; or as `check.as` says.
 */
export function checkNames(given: unknown, accepted: Names, check: NamesCheck = {}): void {
  if (given === undefined) return;
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw notAnObject(given, accepted, check);
  for (const name of Object.keys(given)) if (!has(accepted, name)) throw unknownName(name, accepted, check);
}

function notAnObject(given: unknown, accepted: Names, check: NamesCheck): Error {
  const { place, inside = "options", as: As = ConfigurationError } = check;
  const start = place === undefined ? inside : `${place}: ${inside}`;
  return new As(`${start} must be an object, got ${kindOf(given)}; ${listed(namesOf(accepted))}`);
}

function unknownName(name: string, accepted: Names, check: NamesCheck): Error {
  const { place = "options", inside, as: As = ConfigurationError, hint = didYouMean } = check;
  const names = namesOf(accepted);
  // Data that was given in place of options may have a key or a value as a name.
  const isName = /^[a-z_$][\w$]{0,39}$/i.test(name);
  const shown = isName ? describe(inside === undefined ? name : `${inside}.${name}`) : kindOf(name);
  return new As(`${place}: unknown option ${shown}${hint(name, names)}; ${listed(names)}`);
}

type Names = readonly string[] | OptionTable;

const has = (accepted: Names, name: string): boolean =>
  Array.isArray(accepted) ? accepted.includes(name) : Object.hasOwn(accepted, name);
const namesOf = (accepted: Names): readonly string[] => (Array.isArray(accepted) ? accepted : Object.keys(accepted));
const listed = (names: readonly string[]): string => `accepted: ${names.join(", ") || "none"}`;

/**
 * Refuses arguments that a function does not take: ignored in silence, options among them would seem accepted.
 * `undefined` sets nothing, as in options.
 *
 * @param call as the error names it: `redis(url)`.
 * @param advice the end of the sentence: where such things belong.
 * @throws {ConfigurationError} for one that is given.
 */
export function refuseSurplus(call: string, surplus: readonly unknown[], advice: string): void {
  if (surplus.some((given) => given !== undefined))
    throw new ConfigurationError(`${call} takes no further argument; ${advice}`);
}
