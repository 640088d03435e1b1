/** A row where no type is given: columns as `pg` parses them. */
export type AnyRow = Readonly<Record<string, unknown>>;

/** A rule read what the log, or a pipeline, does not have of a row. */
export class MissingColumnError extends Error {
  override readonly name = "MissingColumnError";
  /** Name of the column in the database; `"*"` if a rule asked which columns there are. */
  readonly column: string;

  constructor(column: string, of: string = "this row") {
    super(
      column === "*"
        ? `the log does not have all columns of ${of}`
        : `the log does not have the column ${JSON.stringify(column)} of ${of}`,
    );
    this.column = column;
  }
}

const parts = new WeakSet<AnyRow>();

/** Marks a row as one that has further columns: a rule must not take their absence for a fact. */
export function partOf(row: AnyRow): AnyRow {
  parts.add(row);
  return row;
}

export const isPart = (row: AnyRow): boolean => parts.has(row);

/** Names that programs look for in any object. */
const PROTOCOL = new Set<PropertyKey>(["then", "toJSON", "constructor", "toString", "valueOf"]);

/**
 * A row as rules see it. Reading a column that it lacks throws {@link MissingColumnError}, as a tag made of it would be
 * of another row; so does asking for the columns of a row that is there in part.
 *
 * @param reads gets the name of each column that is read, and `"*"` for all.
 */
export function guarded(row: AnyRow, reads?: Set<string>): AnyRow {
  const seen = (name: string): void => {
    if (row[name] === undefined && !PROTOCOL.has(name)) throw new MissingColumnError(name);
    reads?.add(name);
  };
  return new Proxy(row, {
    get(columns, name) {
      if (typeof name === "string" && !(PROTOCOL.has(name) && columns[name] === undefined)) seen(name);
      return columns[name as string];
    },
    has(columns, name) {
      if (typeof name === "string" && (Object.hasOwn(columns, name) || isPart(row))) seen(name);
      return name in columns;
    },
    ownKeys(columns) {
      if (isPart(row)) throw new MissingColumnError("*");
      reads?.add("*");
      return Reflect.ownKeys(columns);
    },
  });
}
