import { Column, entityKind, is, Name, Param, Placeholder, SQL, StringChunk, Subquery, Table, View } from "drizzle-orm";

/** Properties of tables and views, which Drizzle exports under no name. */
const BASE_NAME = Symbol.for("drizzle:BaseName");
const ORIGINAL_NAME = Symbol.for("drizzle:OriginalName");
const SCHEMA = Symbol.for("drizzle:Schema");
const VIEW_CONFIG = Symbol.for("drizzle:ViewBaseConfig");

/** As Drizzle names a table to its cache: as before a table creator changed it, and in PostgreSQL with its schema. */
export function namesOf(table: Table): readonly string[] {
  const { [BASE_NAME]: name, [SCHEMA]: schema } = table as { [BASE_NAME]?: string; [SCHEMA]?: string };
  return [name!, ...(schema === undefined ? [] : [`${schema}.${name}`])];
}

/** All tables that a select names, or why they are not all known. */
export type TablesOfSelect =
  | { readonly tables: readonly string[]; readonly why?: undefined }
  | { readonly tables?: undefined; readonly why: string };

/**
 * Reads them from Drizzle's tree of the statement, subqueries included. It becomes text in which each table, column,
 * parameter and identifier is a mark, so a table that raw SQL names is seen as a word behind `from`.
 */
export function tablesOf(sql: unknown, builderTables: readonly string[]): TablesOfSelect {
  const seen: Seen = { tables: new Set(), originals: new Set(), identifiers: [], why: undefined };
  for (const table of builderTables) addNamed(table, seen);
  const text = textOf(sql, seen);
  if (seen.why !== undefined) return { why: seen.why };
  if (CHANGES.test(text)) return { why: "it changes or locks rows" };
  for (const [, place] of text.matchAll(FROM)) {
    const identifier = /(\d+)\uE002$/.exec(place!)?.[1];
    // Drizzle writes joined tables and aliased ones as identifiers: their columns show which tables they are.
    if (identifier !== undefined && !seen.originals.has(seen.identifiers[Number(identifier)]!))
      return { why: "an identifier of it names a table" };
    if (identifier === undefined && !/^[\uE001\uE003?(]/.test(place!)) return { why: "raw SQL of it names a table" };
  }
  return WHOLE.test(text) || hasList(text) ? { why: "raw SQL of it names a table" } : { tables: [...seen.tables] };
}

/** Whether a comma stands between the tables of a `from`: what follows it may be a word. */
function hasList(text: string): boolean {
  for (const { index } of text.matchAll(/(?<!\bdistinct\s)\bfrom\b/gi)) {
    let depth = 0;
    for (const [part] of text.slice(index).matchAll(LIST_PARTS)) {
      if (depth === 0 && part === ",") return true;
      if (part === "(") depth += 1;
      else if (part === ")") depth -= 1;
      if (depth < 0 || (depth === 0 && /\w/.test(part))) break;
    }
  }
  return false;
}

interface Seen {
  readonly tables: Set<string>;
  /** Names of tables in the database, and of common table expressions. */
  readonly originals: Set<string>;
  readonly identifiers: string[];
  why: string | undefined;
}

const TABLE = "\uE001";
const IDENTIFIER = "\uE002";
const COLUMN = "\uE003";
/** What stands behind `from` and `join`: a mark, identifiers with a dot, or the beginning of anything else. */
const FROM =
  /(?<!\bdistinct\s)\b(?:from|join)\b\s*(?:(?:only|lateral)\b\s*)*((?:\uE002\d+\uE002\.)*\uE002\d+\uE002|[^\s])/gi;
/** `table posts` is short for `select * from posts`. */
const WHOLE = /(?<![\w.])table\b/i;
/** The end of a list of tables, and what may make it longer. */
const LIST_PARTS =
  /[(),]|\b(?:where|group|having|window|union|intersect|except|order|limit|offset|fetch|for|lock|select)\b/gi;
const CHANGES = /\b(?:insert|update|delete|merge)\b|\bfor\s+(?:key\s+)?share\b/i;

function textOf(chunk: unknown, seen: Seen): string {
  if (chunk === undefined || chunk === null) return "";
  if (is(chunk, StringChunk)) return chunk.value.join("");
  if (is(chunk, Name)) return mark(chunk.value, seen);
  if (Array.isArray(chunk)) return `(${chunk.map((each) => textOf(each, seen)).join(",")})`;
  if (is(chunk, SQL)) return chunk.queryChunks.map((each) => textOf(each, seen)).join("");
  if (is(chunk, Table)) return add(chunk, seen, TABLE);
  if (is(chunk, Column)) return is(chunk.table, Table) ? add(chunk.table, seen, COLUMN) : COLUMN;
  if (is(chunk, View)) return viewText(chunk, seen);
  if (is(chunk, Placeholder)) return "?";
  if (is(chunk, Param)) return is(chunk.value, SQL) ? textOf(chunk.value, seen) : "?";
  if (is(chunk, SQL.Aliased)) return chunk.fieldAlias === undefined ? textOf(chunk.sql, seen) : COLUMN;
  if (is(chunk, Subquery)) return subqueryText(chunk, seen);
  const { getSQL } = chunk as { readonly getSQL?: () => SQL };
  if (typeof getSQL !== "function") return "?";
  for (const table of (chunk as { readonly usedTables?: Iterable<string> }).usedTables ?? []) addNamed(table, seen);
  return `(${textOf(getSQL.call(chunk), seen)})`;
}

function mark(identifier: string, { identifiers }: Seen): string {
  return `${IDENTIFIER}${identifiers.push(identifier) - 1}${IDENTIFIER}`;
}

function add(table: Table, { tables, originals }: Seen, sign: string): string {
  for (const name of namesOf(table)) tables.add(name);
  originals.add((table as { [ORIGINAL_NAME]?: string })[ORIGINAL_NAME]!);
  return sign;
}

/** Adds a table by the name that a builder of Drizzle has for it, perhaps with its schema. */
function addNamed(table: string, { tables, originals }: Seen): void {
  tables.add(table);
  originals.add(table.slice(table.indexOf(".") + 1));
}

function subqueryText(subquery: Subquery, seen: Seen): string {
  const { sql, alias, isWith, usedTables = [] } = subquery._ as Subquery["_"] & { usedTables?: readonly string[] };
  for (const table of usedTables) addNamed(table, seen);
  if (isWith !== true) return `(${textOf(sql, seen)}) ${mark(alias, seen)}`;
  // Its SQL stands in front, behind `with`.
  seen.originals.add(alias);
  return TABLE;
}

/** A view of Drizzle has its SQL. One that exists in the database has none, and a materialized one keeps its rows. */
function viewText(view: View, seen: Seen): string {
  const { query } = (view as unknown as Record<symbol, { readonly query?: SQL }>)[VIEW_CONFIG]!;
  // A proxy: its own properties are those of its columns.
  const { constructor: kindOf } = Object.getPrototypeOf(view) as { constructor: Record<symbol, string> };
  const kind = kindOf[entityKind]!;
  const found: TablesOfSelect =
    query === undefined || kind.includes("Materialized")
      ? { why: "a view of it has tables that Drizzle does not know" }
      : tablesOf(query, [...seen.tables]);
  seen.why ??= found.why;
  for (const table of found.tables ?? []) seen.tables.add(table);
  return TABLE;
}
