import { CacheError, InvalidArgumentError } from "@hotset/core";
import { checkNames, kindOf } from "@hotset/core/internal";
import { guarded, MissingColumnError, type AnyRow } from "./rows.ts";
import type { Warn } from "./warnings.ts";

/** The entries that a change ends. */
export interface Targets {
  /** Tags for `invalidateTags`: non-empty strings of at most 1,024 characters. @default none */
  readonly tags?: readonly string[] | undefined;
  /** Keys for `deleteMany`: non-empty strings of at most 64 KiB. @default none */
  readonly keys?: readonly string[] | undefined;
  /** Ends all entries of the cache or namespace. @default false */
  readonly clear?: boolean | undefined;
}

/** `delete` is also the kind of the older version of a row, where an update has one. */
export type ChangeKind = "insert" | "update" | "delete";

/**
 * The entries that are made of a row.
 *
 * @param row the version of the row that this is about: an update that the log has both versions of is two calls, one
 *   with the new row and one with the old. The log has a deleted row in the columns of its replica identity. Reading
 *   one that it does not have throws {@link MissingColumnError}.
 * @param old for `update`: what the log has of the older version. `undefined` if that is nothing.
 */
export type Rule<Row> = (row: Row, old: Partial<Row> | undefined, kind: ChangeKind) => Targets | undefined;

/** A rule, and what `TRUNCATE` ends. */
export interface TableRules<Row> {
  /** For inserts, updates and deletes. */
  readonly changed: Rule<Row>;
  /** @default { clear: true } */
  readonly truncated?: Targets | undefined;
}

/** By the names of tables: `products`, or with their schema, `shop.products`. */
export type Tables<R extends object> = { readonly [T in keyof R]: Rule<R[T]> | TableRules<R[T]> };

/** Targets for the outbox: each list is there, and valid. */
export type Resolved = Required<{ readonly [P in keyof Targets]: NonNullable<Targets[P]> }>;

/** One change of a row, from a log or a pipeline. */
export interface RowChange {
  /** A deletion has its older version as `row`. */
  readonly kind: ChangeKind;
  /** Columns of the new version; for `delete` of the old one. */
  readonly row: AnyRow;
  /** The columns of the older version of an update that are known. @default none */
  readonly old?: AnyRow | undefined;
  /**
   * For an update without `old`: the columns that it did not change, as it would have an older version otherwise. A rule
   * that reads others cannot say which entries the older version had, so everything is cleared.
   *
   * @default unknown, and then only the entries of the new version end
   */
  readonly unchanged?: readonly string[] | undefined;
}

export const ALL: Resolved = { tags: [], keys: [], clear: true };

/** The rules of one table, in their long form. */
export interface CheckedRules {
  readonly name: string;
  readonly changed: Rule<AnyRow>;
  readonly truncated: Resolved;
}

/** @throws {InvalidArgumentError} @param place names the function in the error. */
export function checkTables(place: string, tables: unknown): readonly CheckedRules[] {
  const all = typeof tables === "object" && tables !== null ? Object.entries(tables) : [];
  if (all.length === 0)
    throw new InvalidArgumentError(`${place}: tables must be an object of rules by table, with at least one`);
  return all.map(([name, given]) => {
    const { changed, truncated } = (typeof given === "function" ? { changed: given } : (given ?? {})) as Partial<
      TableRules<AnyRow>
    >;
    if (typeof changed !== "function")
      throw new InvalidArgumentError(`${place}: tables.${name} must be a function of a row, or { changed, truncated }`);
    return { name, changed, truncated: truncated === undefined ? ALL : resolve(truncated) };
  });
}

const NONE: Resolved = { tags: [], keys: [], clear: false };

/** @throws {InvalidArgumentError} for what no cache takes. A value never appears in the message. */
export function resolve(given: Targets | null | undefined): Resolved {
  if (given === undefined || given === null) return NONE;
  const isPromise = typeof (given as { readonly then?: unknown }).then === "function";
  // Its rejection would end the program.
  if (isPromise) void Promise.resolve(given).catch(() => undefined);
  if (isPromise || typeof given !== "object" || Array.isArray(given))
    throw new InvalidArgumentError(
      `targets must be { tags, keys, clear } or undefined, got ${isPromise ? "a promise; a rule must not be async" : kindOf(given)}`,
    );
  checkNames(given, ["tags", "keys", "clear"], { inside: "targets", as: InvalidArgumentError });
  const { tags = [], keys = [], clear = false } = given;
  const isList = (list: readonly unknown[], most: number): boolean =>
    Array.isArray(list) &&
    list.every((each) => typeof each === "string" && each !== "" && each.length <= most && each.isWellFormed());
  if (!isList(tags, 1_024)) throw new InvalidArgumentError("tags must be a list of strings of 1 to 1,024 characters");
  if (!isList(keys, 65_536)) throw new InvalidArgumentError("keys must be a list of strings of 1 to 65,536 characters");
  if (typeof clear !== "boolean") throw new InvalidArgumentError("clear must be true or false");
  return { tags, keys, clear };
}

/**
 * The targets of all versions of the row that are known.
 *
 * @throws what the rule throws.
 * @throws {MissingColumnError} for an update whose older version may have other targets that nothing here shows. A rule
 *   that read nothing but unchanged columns would do the same for the older version.
 */
export function targetsOf({ changed }: CheckedRules, change: RowChange): readonly Resolved[] {
  const { kind, row, old, unchanged } = change;
  const isHalf = kind === "update" && old === undefined && unchanged !== undefined;
  const reads = isHalf ? new Set<string>() : undefined;
  const found = [resolve(changed(guarded(row, reads), old, kind))];
  if (kind === "update" && old !== undefined) found.push(resolve(changed(guarded(old), undefined, "delete")));
  for (const column of reads ?? [])
    if (!unchanged!.includes(column)) throw new MissingColumnError(column, "the older version of an updated row");
  return found;
}

/** How changes are read, and failures are reported. */
export interface Source {
  readonly tables: readonly CheckedRules[];
  readonly messages: string | false;
  readonly warn: Warn;
}

/** What a changed row ends: nothing without rules, everything if a rule throws, as its targets are unknown. */
export const rowTargets = (
  { warn }: Source,
  rules: (CheckedRules & { readonly mend?: string | undefined }) | undefined,
  change: () => RowChange,
): readonly Resolved[] =>
  rules === undefined ? [] : orAll(warn, `the rule of ${rules.name}`, () => targetsOf(rules, change()), rules.mend);

/**
 * What a message ends: everything if it cannot be read, nothing if it is of others.
 *
 * @param encoding as PostgreSQL names that of the database: messages are passed on as they were written.
 */
export const messageTargets = (
  { messages, warn }: Source,
  prefix: unknown,
  content: Uint8Array,
  encoding: string = "UTF8",
): readonly Resolved[] =>
  prefix === messages ? orAll(warn, `a message with the prefix ${messages}`, () => readMessage(content, encoding)) : [];

/** @param mend a statement, for a column that the log does not have. */
export function orAll(warn: Warn, what: string, read: () => readonly Resolved[], mend?: string): readonly Resolved[] {
  try {
    return read();
  } catch (error) {
    const isMissing = error instanceof MissingColumnError;
    // An error of others may have values in its text.
    const reason = isMissing || error instanceof CacheError ? String(error) : nameOf(error);
    const remedy = isMissing && mend !== undefined && mend !== "" ? `; run: ${mend}` : "";
    warn("RULE", `${what} failed, so everything is cleared: ${reason}${remedy}`);
    return [ALL];
  }
}

/** Prefix of the messages that are taken, unless `messages` names another. */
export const PREFIX = "hotset";

/** A statement as `pg` takes it. */
export interface MessageStatement {
  /** With `$1` and `$2`. */
  readonly text: string;
  /** Bound to `$1` and `$2`. */
  readonly values: [prefix: string, content: string];
}

/**
 * A statement that ends entries with the transaction that runs it: they end once it has committed, and not at all if it
 * is rolled back. It writes to the log, and to no table.
 *
 *     await client.query(emitted({ tags: ["prices"] }));
 *
 * @param prefix as the option `messages` of `follow`.
 * @throws {InvalidArgumentError}
 */
export function emitted(targets: Targets, prefix: string = PREFIX): MessageStatement {
  // Plain ASCII, so that the encoding of the database does not matter.
  const content = JSON.stringify(resolve(targets)).replaceAll(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return { text: "select pg_logical_emit_message(true, $1, $2::text)", values: [prefix, content] };
}

/** @throws {Error} for what is not an object of targets. */
function readMessage(content: Uint8Array, encoding: string): readonly Resolved[] {
  const read = JSON.parse(textOf(content, encoding)) as Targets | null;
  if (read === null) throw new InvalidArgumentError("targets must be an object, got null");
  return [resolve(read)];
}

/** @throws {InvalidArgumentError} for text that is not of this encoding, or of one that is not known here. */
function textOf(content: Uint8Array, encoding: string): string {
  const bytes = Buffer.from(content);
  if (encoding === "LATIN1") return bytes.toString("latin1");
  if (bytes.every((byte) => byte < 0x80)) return bytes.toString("latin1");
  try {
    if (encoding === "UTF8") return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError(
    `a message must be ASCII, with \\u00e9 for é and the like, in a database of the encoding ${encoding}`,
  );
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : typeof error);
