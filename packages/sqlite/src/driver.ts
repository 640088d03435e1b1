/** The part of a SQLite driver that the backend uses: `node:sqlite` has it, and so has `better-sqlite3`. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  close(): unknown;
}

/** The part of a prepared statement that is used of each driver, like {@link SqliteDatabase}. */
export interface SqliteStatement {
  get(...values: SqliteValue[]): unknown;
  all(...values: SqliteValue[]): unknown[];
  run(...values: SqliteValue[]): { readonly changes: number | bigint };
}

/** A value for a `?` of a statement. */
export type SqliteValue = string | number | Uint8Array | null;

/** Loaded when a file is opened: Node 22 warns that the module is experimental. */
export function openWithNode(file: string): SqliteDatabase {
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  return new DatabaseSync(file);
}

/** Primary result codes of SQLite that decide what happens next. https://www.sqlite.org/rescode.html */
const FAILURES = {
  5: "busy",
  6: "busy",
  8: "readonly",
  10: "io",
  11: "damaged",
  13: "full",
  14: "cannot open",
  26: "damaged",
} as const;
const NAMES: Readonly<Record<string, Failure>> = {
  BUSY: "busy",
  LOCKED: "busy",
  READONLY: "readonly",
  IOERR: "io",
  CORRUPT: "damaged",
  FULL: "full",
  CANTOPEN: "cannot open",
  NOTADB: "damaged",
};

export type Failure = (typeof FAILURES)[keyof typeof FAILURES] | "other";

/** The kind of failure, by the error of either driver. */
export function failureOf(error: unknown): Failure {
  const { code, errcode } = Object(error) as { readonly code?: unknown; readonly errcode?: unknown };
  if (typeof errcode === "number") return FAILURES[(errcode & 0xff) as keyof typeof FAILURES] ?? "other";
  return (typeof code === "string" && NAMES[/^SQLITE_([A-Z]+)/u.exec(code)?.[1] ?? ""]) || "other";
}
