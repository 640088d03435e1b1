import { ConfigurationError } from "@hotset/core";
import { ask, stateOf, type Fields, type FollowPool } from "./pool.ts";
import { missing, TABLES, UNBOUNDED } from "./requirements.ts";
import type { Settings } from "./settings.ts";
import { MissingColumnError, targetsOf, type AnyRow, type CheckedRules } from "./targets.ts";

/** A table that has rules. Its name is as the log has it: with its schema, unquoted. */
export interface FollowedTable extends CheckedRules {
  readonly oid: number;
}

/**
 * Asks whether the log will have all that the rules need.
 *
 * @throws {ConfigurationError} with the statement that mends it.
 */
export async function check({ pool, publication, tables, warn }: Settings): Promise<readonly FollowedTable[]> {
  const names = tables.map(({ name }) => name);
  const rows = await ask(pool, TABLES, [names, publication]);
  for await (const text of missing(pool, publication, rows))
    if (text === UNBOUNDED) warn("DISK", text);
    else refuse(text);
  const known = tables.map((rules) => ({ rules, row: rows.find(({ given }) => given === rules.name)! }));
  for (const { rules, row } of known) await probe(pool, rules, row);
  return known.map(({ rules, row }) => ({ ...rules, oid: Number(row["oid"]), name: String(row["name"]) }));
}

/** Calls the rule with a row of the table, and with what the log would have of it after a delete. */
async function probe(pool: FollowPool, rules: CheckedRules, table: Fields): Promise<void> {
  const name = String(table["quoted"]);
  const [row] = await ask<AnyRow>(pool, `select * from ${name} limit 1`).catch((error: unknown) => {
    // It may be followed by a role that may not read it.
    if (stateOf(error) === "42501") return [];
    throw error;
  });
  if (row === undefined) return;
  const kept = Object.fromEntries((table["identity"] as readonly string[]).map((column) => [column, row[column]]));
  try {
    targetsOf(rules, { kind: "update", row });
    targetsOf(rules, { kind: "delete", row: kept });
  } catch (error) {
    if (error instanceof MissingColumnError && error.column in row)
      refuse(
        `the rule of ${name} reads the column ${JSON.stringify(error.column)}, which the log does not have of a deleted row; run: ${String(table["mend"])}`,
      );
    refuse(`the rule of ${name} failed for a row of the table: ${String(error)}`, error);
  }
}

export function refuse(text: string, cause?: unknown): never {
  throw new ConfigurationError(`follow: ${text}`, { operation: "follow", cause });
}
