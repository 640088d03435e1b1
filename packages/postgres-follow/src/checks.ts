import { ConfigurationError } from "@hotset/core";
import { ask, stateOf, type Asked, type Fields } from "./pool.ts";
import type { Questions } from "./questions.ts";
import { missing, TABLES, UNBOUNDED } from "./requirements.ts";
import { MissingColumnError, partOf, type AnyRow } from "./rows.ts";
import type { Settings } from "./settings.ts";
import { targetsOf, type CheckedRules } from "./targets.ts";

/** A table that has rules. Its name is as the log has it: with its schema, unquoted. */
export interface FollowedTable extends CheckedRules {
  /** Object ids (`pg_class.oid`) of the table, its partitions and the tables that inherit from it. */
  readonly oids: ReadonlySet<number>;
  /** Whether its partitions, or the tables that inherit from it, may have another replica identity. */
  readonly hasParts: boolean;
  /** The columns that the log has of an older version, in all of these tables. */
  readonly identity: readonly string[];
  /** Statements that give the log whole older versions; empty if it has them. */
  readonly mend: string;
}

/** What was found of the tables. */
export interface Checked {
  readonly tables: readonly FollowedTable[];
  /** What the log would lack, each a sentence with its remedy. The first one is the most important. */
  readonly lacks: readonly string[];
}

/** Asks whether the log will have all that the rules need. */
export async function check(questions: Questions, { publication, tables, warn }: Settings): Promise<Checked> {
  const names = tables.map(({ name }) => name);
  const rows = await ask(questions, TABLES, [names, publication]);
  const lacks: string[] = [];
  for await (const text of missing(questions, publication, rows))
    if (text === UNBOUNDED) warn("DISK", text);
    else lacks.push(text);
  const known = tables.flatMap((rules) => {
    const row = rows.find(({ given, is_table }) => given === rules.name && is_table === true);
    return row === undefined ? [] : [{ rules, row, table: followed(rules, row) }];
  });
  for (const { rules, row } of known) lacks.push(...(await probe(questions, rules, row)));
  for (const { rules, row } of known)
    for (const column of unknowable(rules, row))
      warn(
        "IDENTITY",
        `the rule of ${String(row["quoted"])} may read ${column}, which the log does not have of an older row: then a change of it clears everything; run: ${String(row["mend"])}`,
      );
  return { tables: known.map(({ table }) => table), lacks };
}

function followed(rules: CheckedRules, row: Fields): FollowedTable {
  const members = row["members"] as readonly number[];
  return {
    ...rules,
    name: String(row["name"]),
    oids: new Set([Number(row["oid"]), ...members.map(Number)]),
    hasParts: row["is_partitioned"] === true || members.length > 1,
    identity: row["identity"] as readonly string[],
    mend: String(row["mend"] ?? ""),
  };
}

/** Enough to see what a rule reads, as the first row may read less than others. */
const PROBED = 100;

/** Calls the rule with rows of the table, and with what the log would have of them after a change and a delete. */
async function probe(questions: Questions, rules: CheckedRules, table: Fields): Promise<readonly string[]> {
  const name = String(table["quoted"]);
  const rows = await questions.rowsOf<AnyRow>(`select * from ${name} limit ${PROBED}`).catch((error: unknown) => {
    // It may be followed by a role that may not read it, or be locked while it is altered.
    if (stateOf(error) === "42501" || stateOf(error) === "55P03") return [];
    throw error;
  });
  const [logged, identity] = [table["logged"], table["identity"]] as [readonly string[], readonly string[]];
  for (const row of rows) {
    const changed = picked(row, logged);
    const failure =
      failureOf(rules, { kind: "update", row: changed }) ??
      failureOf(rules, { kind: "delete", row: picked(row, identity) });
    if (failure === undefined) continue;
    if (!(failure instanceof MissingColumnError))
      return [`the rule of ${name} failed for a row of the table: ${String(failure)}`];
    const { column } = failure;
    if (column !== "*" && !(column in row))
      return [`the rule of ${name} failed for a row of the table: ${String(failure)}`];
    const what = column === "*" ? "all columns" : `the column ${JSON.stringify(column)}`;
    if (column !== "*" && !logged.includes(column))
      return [
        `the rule of ${name} reads ${what}, which the log does not have, as it is generated or not in the column list of the publication; let the rule read others, or publish all columns`,
      ];
    return [
      `the rule of ${name} reads ${what}, which the log does not have of a deleted row; run: ${String(table["mend"])}`,
    ];
  }
  return [];
}

/** Columns that a rule reads of a row of which nothing but the identity is known, whatever it does with them. */
function unknowable(rules: CheckedRules, table: Fields): readonly string[] {
  const identity = table["identity"] as readonly string[];
  if (table["mend"] === null || identity.length === 0) return [];
  const row = partOf(Object.fromEntries(identity.map((column) => [column, null])));
  const failure = failureOf(rules, { kind: "delete", row });
  if (!(failure instanceof MissingColumnError)) return [];
  return [failure.column === "*" ? "all columns" : `the column ${JSON.stringify(failure.column)}`];
}

function failureOf(rules: CheckedRules, change: { readonly kind: "update" | "delete"; readonly row: AnyRow }): unknown {
  try {
    targetsOf(rules, change);
  } catch (error) {
    return error;
  }
  return undefined;
}

const picked = (row: AnyRow, columns: readonly string[]): AnyRow => {
  const part = Object.fromEntries(columns.map((column) => [column, row[column]]));
  return Object.keys(part).length < Object.keys(row).length ? partOf(part) : part;
};

/** The encoding of the database: messages in the log are as they were written. */
export async function encodingOf(asked: Asked): Promise<string> {
  const [row] = await ask(asked, "select current_setting('server_encoding') as encoding");
  return String(row!["encoding"]);
}

export function refuse(text: string, cause?: unknown): never {
  throw new ConfigurationError(`follow: ${text}`, { operation: "follow", cause });
}
