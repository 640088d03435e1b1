import { refuse } from "@hotset/core/internal";

/** Milliseconds and a number within them, each of up to 64 bits: `1700000000000-0`. Larger ones are newer. */
export type EntryId = `${number}-${number}`;

/**
 * Where a new entry goes: an id above `0-0`; `*` lets the server choose, `<milliseconds>-*` (Redis 7) the number within
 * that millisecond.
 */
export type NewId = "*" | EntryId | `${number}-*`;

/**
 * Where a reader or a group begins: `0` before all entries, `$` after the last one, an id after that entry. `*` and `>`
 * are refused as places in a stream.
 */
export type StartId = EntryId | "0" | "$";

/**
 * An end of a range: `-` the oldest, `+` the newest, an id, or milliseconds for all ids of them; with `(` and an id the
 * range is without that entry.
 */
export type RangeEnd = "-" | "+" | EntryId | `${number}` | `(${EntryId}`;

/** Before all ids. */
export const ZERO: EntryId = "0-0";

const ID = /^(\d{1,20})-(\d{1,20})$/;
const MILLISECONDS = /^\d{1,20}$/;
const LARGEST = 2n ** 64n - 1n;

const fits = (digits: string): boolean => digits.length < 20 || BigInt(digits) <= LARGEST;

/** Whether `text` is the id of an entry. */
export function isEntryId(text: unknown): text is EntryId {
  const parts = typeof text === "string" ? ID.exec(text) : null;
  return parts !== null && fits(parts[1]!) && fits(parts[2]!);
}

/** @throws {InvalidArgumentError} for what is not the id of one entry: also `*`, `$` and `>`. */
export function entryId(option: string, given: unknown): EntryId {
  if (isEntryId(given)) return given;
  return refuse(option, given, 'an id such as "1700000000000-0"');
}

/** @throws {InvalidArgumentError} */
export const entryIds = (operation: string, given: readonly unknown[]): readonly EntryId[] =>
  Array.isArray(given)
    ? Array.from(given, (id: unknown) => entryId(`${operation}: id`, id))
    : refuse(`${operation}: ids`, given, "a list of ids");

/** @throws {InvalidArgumentError} unless it is an id, `*`, or a millisecond with `-*`. */
export function newId(option: string, given: unknown): NewId {
  if (given === "*" || (isEntryId(given) && given !== ZERO)) return given;
  if (typeof given === "string" && given.endsWith("-*") && isMilliseconds(given.slice(0, -2))) return given as NewId;
  return refuse(option, given, '"*", an id above "0-0", or "<milliseconds>-*"');
}

/** @throws {InvalidArgumentError} unless it is an id, `0` or `$`: `*` is for new entries, `>` for reading a group. */
export function startId(option: string, given: unknown): StartId {
  if (given === "0" || given === "$" || isEntryId(given)) return given;
  return refuse(option, given, '"0", "$" or an id');
}

/** @throws {InvalidArgumentError} */
export function rangeEnd(option: string, given: unknown): RangeEnd {
  if (given === "-" || given === "+" || isEntryId(given) || isMilliseconds(given)) return given as RangeEnd;
  if (typeof given === "string" && given.startsWith("(") && isEntryId(given.slice(1))) return given as RangeEnd;
  return refuse(option, given, '"-", "+", an id, milliseconds, or "(" and an id');
}

const isMilliseconds = (given: unknown): boolean =>
  typeof given === "string" && MILLISECONDS.test(given) && fits(given);
