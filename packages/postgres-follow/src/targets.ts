import { CacheError, InvalidArgumentError } from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
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

/** A row where no type is given: columns as `pg` parses them. */
export type AnyRow = Readonly<Record<string, unknown>>;

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
}

/** The log does not have this column: it is a TOASTed one that did not change, or not in the replica identity. */
export class MissingColumnError extends Error {
  override readonly name = "MissingColumnError";
  /** Its name in the database. */
  readonly column: string;

  constructor(column: string) {
    super(`the log does not have the column ${JSON.stringify(column)} of this row`);
    this.column = column;
  }
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

/** @throws {InvalidArgumentError} for what no cache takes. A value never appears in the message. */
export function resolve(given: Targets | undefined): Resolved {
  const { tags = [], keys = [], clear = false } = given ?? {};
  const isList = (list: readonly unknown[], most: number): boolean =>
    Array.isArray(list) &&
    list.every((each) => typeof each === "string" && each !== "" && each.length <= most && each.isWellFormed());
  if (!isList(tags, 1_024)) throw new InvalidArgumentError("tags must be a list of strings of 1 to 1,024 characters");
  if (!isList(keys, 65_536)) throw new InvalidArgumentError("keys must be a list of strings of 1 to 65,536 characters");
  if (typeof clear !== "boolean") throw new InvalidArgumentError("clear must be true or false");
  return { tags, keys, clear };
}

/** The targets of all versions of the row that are known. @throws what the rule throws. */
export function targetsOf({ changed }: CheckedRules, { kind, row, old }: RowChange): readonly Resolved[] {
  const found = [resolve(changed(guarded(row), old, kind))];
  if (kind === "update" && old !== undefined) found.push(resolve(changed(guarded(old), undefined, "delete")));
  return found;
}

/** Names that programs look for in any object. */
const PROTOCOL = new Set<PropertyKey>(["then", "toJSON", "constructor", "toString", "valueOf"]);

/** A tag that is made of a missing column would be of another row, in silence. */
const guarded = (row: AnyRow): AnyRow =>
  new Proxy(row, {
    get(columns, name) {
      const value: unknown = columns[name as string];
      if (value === undefined && typeof name === "string" && !PROTOCOL.has(name)) throw new MissingColumnError(name);
      return value;
    },
  });

/** How changes are read, and failures are reported. */
export interface Source {
  readonly tables: readonly CheckedRules[];
  readonly messages: string | false;
  readonly warn: Warn;
}

/** What a changed row ends: nothing without rules, everything if a rule throws, as its targets are unknown. */
export const rowTargets = (
  { warn }: Source,
  rules: CheckedRules | undefined,
  change: () => RowChange,
): readonly Resolved[] =>
  rules === undefined ? [] : orAll(warn, `the rule of ${rules.name}`, () => targetsOf(rules, change()));

/** What a message ends: everything if it cannot be read, nothing if it is of others. */
export const messageTargets = ({ messages, warn }: Source, prefix: unknown, content: Uint8Array): readonly Resolved[] =>
  prefix === messages ? orAll(warn, `a message with the prefix ${messages}`, () => readMessage(content)) : [];

function orAll(warn: Warn, what: string, read: () => readonly Resolved[]): readonly Resolved[] {
  try {
    return read();
  } catch (error) {
    // An error of others may have values in its text.
    const reason = error instanceof MissingColumnError || error instanceof CacheError ? String(error) : kindOf(error);
    warn("RULE", `${what} failed, so everything is cleared: ${reason}`);
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
  return {
    text: "select pg_logical_emit_message(true, $1, $2::text)",
    values: [prefix, JSON.stringify(resolve(targets))],
  };
}

/** @throws {Error} for what is not an object of targets. */
function readMessage(content: Uint8Array): readonly Resolved[] {
  const read = JSON.parse(Buffer.from(content).toString()) as Targets | null;
  checkNames(read, ["tags", "keys", "clear"], { place: "message" });
  return [resolve(read!)];
}

const kindOf = (error: unknown): string => (error instanceof Error ? error.name : typeof error);
