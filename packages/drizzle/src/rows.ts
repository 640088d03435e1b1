/**
 * The part of an answer that Drizzle reads, as plain data: drivers add functions, classes and descriptions of columns.
 *
 *   node-postgres, Neon, PGlite …   { rows, … }
 *   mysql2                          [rows, columns]
 *   postgres.js, libSQL, D1         rows
 */
export function rowsOf(answer: unknown): unknown {
  if (Array.isArray(answer)) return isOfMysql(answer) ? [answer[0]] : Array.from(answer, rowOf);
  const rows: unknown = (answer as { rows?: unknown } | null | undefined)?.rows;
  return Array.isArray(rows) ? { rows: Array.from(rows, rowOf) } : answer;
}

/** libSQL hides the values by position of its rows, which are what Drizzle reads. */
function rowOf(row: unknown): unknown {
  const isHidden = typeof row === "object" && row !== null && !Array.isArray(row) && isLength(row);
  return isHidden ? Array.from(row as ArrayLike<unknown>) : row;
}

const isLength = (row: object): boolean => Object.getOwnPropertyDescriptor(row, "length")?.enumerable === false;

function isOfMysql(answer: readonly unknown[]): boolean {
  const [, columns] = answer;
  return answer.length === 2 && Array.isArray(columns) && columns.length > 0 && columns.every(isColumn);
}

const isColumn = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  "columnType" in value &&
  Object.getPrototypeOf(value) !== Object.prototype;
