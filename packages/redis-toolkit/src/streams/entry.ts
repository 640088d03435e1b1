import { DecodeError, InvalidArgumentError } from "@hotset/core";
import { kindOf } from "@hotset/core/internal";
import { isEntryId, type EntryId } from "./entry-id.ts";

/** A value of a field as it is given. Numbers are written as JavaScript prints them. */
export type FieldValue = string | number | bigint | Buffer;

/** Fields of an entry: text, or Buffers with `values: "bytes"`. */
export type FieldsOf<T> = { readonly [K in keyof T]: string | Buffer | undefined };

type ValueOf<T> = Exclude<T[keyof T & string], undefined>;

/** All fields in their order: several may have one name. */
export type Pairs<T> = readonly (readonly [field: keyof T & string, value: ValueOf<T>])[];

/** Fields to append: an object, a Map, or pairs, of which several may have one name. At least one. */
export type NewFields<T> =
  | { readonly [K in keyof T]: T[K] | FieldValue }
  | Iterable<readonly [field: keyof T & string, value: FieldValue]>;

/** One entry of a stream. */
export interface Entry<T> {
  /** Id of the entry: milliseconds since 1970, and a number among entries of that millisecond. */
  readonly id: EntryId;
  /** By name. Where a name occurs twice, the last value. */
  readonly fields: T;
  /** In their order; several may have one name. */
  readonly pairs: Pairs<T>;
}

/**
 * Names and values in turn.
 *
 * @throws {InvalidArgumentError} for none, and for values that Redis could only keep as other text.
 */
export function writeFields(operation: string, fields: unknown): (string | Buffer)[] {
  if (typeof fields !== "object" || fields === null)
    throw new InvalidArgumentError(`${operation}: fields must be an object, a Map or pairs`);
  const pairs = Symbol.iterator in fields ? [...(fields as Iterable<unknown>)] : Object.entries(fields);
  if (pairs.length === 0) throw new InvalidArgumentError(`${operation}: an entry needs at least one field`);
  return pairs.flatMap((pair) => {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string")
      throw new InvalidArgumentError(`${operation}: each pair must be the name of a field, as text, and its value`);
    const [field, value] = pair as [string, unknown];
    return [field, writeValue(operation, field, value)];
  });
}

function writeValue(operation: string, field: string, value: unknown): string | Buffer {
  if (typeof value === "string" || Buffer.isBuffer(value)) return value;
  if (typeof value === "bigint" || Number.isFinite(value)) return String(value);
  throw new InvalidArgumentError(
    `${operation}: the field ${JSON.stringify(field.slice(0, 40))} must be text, a finite number or a Buffer, got ${kindOf(value)}`,
  );
}

/** An entry of a reply: its id, and names and values in turn. `undefined` for one that was deleted. */
export function readEntry<T>(reply: unknown): Entry<T> | undefined {
  if (reply === null) return undefined;
  const [id, flat] = reply as readonly [unknown, readonly unknown[] | null];
  if (flat === null) return undefined;
  return entryOf(readId(id), flat);
}

/** @param flat names and values in turn */
export function entryOf<T>(id: EntryId, flat: readonly unknown[]): Entry<T> {
  const pairs: [field: keyof T & string, value: ValueOf<T>][] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([String(flat[i]) as keyof T & string, flat[i + 1] as ValueOf<T>]);
  return { id, fields: Object.fromEntries(pairs) as T, pairs };
}

/** Entries of a reply, without those that were deleted. */
export const readEntries = <T>(reply: unknown): readonly Entry<T>[] =>
  (reply as readonly unknown[]).map((one) => readEntry<T>(one)).filter((entry) => entry !== undefined);

/** An id of a reply: text, or its bytes. */
export function readId(reply: unknown): EntryId {
  const id = String(reply);
  if (isEntryId(id)) return id;
  throw new DecodeError("the reply has no id of a stream where one belongs", { operation: "XREAD" });
}

/** The streams of a reply of `XREAD`: a map over RESP3, pairs over RESP2, nil for none. */
function streamsIn(reply: unknown): readonly (readonly [name: string, entries: readonly unknown[]])[] {
  const pairs = reply === null ? [] : (reply as Iterable<readonly [unknown, readonly unknown[]]>);
  return [...pairs].map(([name, entries]) => [String(name), entries]);
}

export const readStreams = <T>(reply: unknown): ReadonlyMap<string, readonly Entry<T>[]> =>
  new Map(streamsIn(reply).map(([name, entries]) => [name, readEntries<T>(entries)]));

/** Entries of one stream that a consumer holds, and ids of those that were deleted meanwhile. */
export interface Held<T> {
  readonly entries: readonly Entry<T>[];
  readonly deleted: readonly EntryId[];
}

/** The streams of a reply of `XREADGROUP`. */
export const readHeld = <T>(reply: unknown): ReadonlyMap<string, Held<T>> =>
  new Map(streamsIn(reply).map(([name, all]) => [name, { entries: readEntries<T>(all), deleted: deletedIn(all) }]));

const deletedIn = (entries: readonly unknown[]): readonly EntryId[] =>
  (entries as readonly (readonly [unknown, unknown])[]).flatMap(([id, fields]) => (fields === null ? readId(id) : []));

/** The entries of a reply of `XREAD` about one stream. */
export const entriesOfOne = <T>(reply: unknown): readonly Entry<T>[] => [...readStreams<T>(reply).values()][0] ?? [];

/** The fields of a reply of `XINFO`: a map over RESP3, names and values in turn over RESP2. */
export function readInfo(reply: unknown): ReadonlyMap<string, unknown> {
  if (reply instanceof Map) return reply as Map<string, unknown>;
  const flat = reply as readonly unknown[];
  return new Map(Array.from({ length: flat.length / 2 }, (_, i) => [String(flat[2 * i]), flat[2 * i + 1]]));
}
