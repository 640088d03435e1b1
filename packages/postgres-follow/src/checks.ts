import { ConfigurationError } from "@hotset/core";
import { ask, stateOf, type Fields, type FollowPool } from "./pool.ts";
import type { Settings } from "./settings.ts";
import { MissingColumnError, targetsOf, type AnyRow, type CheckedRules } from "./targets.ts";

/** A table that has rules. */
export interface FollowedTable {
  readonly oid: number;
  /** With its schema, unquoted: as the log names it. */
  readonly name: string;
  readonly rules: CheckedRules;
}

/** A row of `TABLES`, and the quoted name of its table. */
type Known = { readonly row: Fields; readonly rules: CheckedRules; readonly name: string };

const SERVER = `select current_setting('server_version_num')::int as version,
  current_setting('wal_level') as wal_level, current_setting('max_slot_wal_keep_size') as keeps`;

const PUBLICATION = `select pubviaroot as via_root, pubinsert and pubupdate and pubdelete and pubtruncate as is_whole
  from pg_publication where pubname = $1`;

/** The leaves of a table are its partitions, or itself; `kept` are the columns that the log has of an older version. */
const TABLES = `
  with given as (select name, to_regclass(name) as oid from unnest($1::text[]) as name),
  leaf as (
    select given.oid as root, c.oid, c.relreplident as identity
    from given join pg_class c on c.oid in (select relid from pg_partition_tree(given.oid) where isleaf)
      or c.oid = given.oid and c.relkind = 'r'),
  kept as (
    select leaf.root, leaf.oid, a.attname from leaf join pg_attribute a on a.attrelid = leaf.oid
    where a.attnum > 0 and not a.attisdropped and (leaf.identity = 'f' or exists (select from pg_index i
      where i.indrelid = leaf.oid and a.attnum = any(i.indkey)
        and (leaf.identity = 'd' and i.indisprimary or leaf.identity = 'i' and i.indisreplident))))
  select given.name as given, c.oid::int8::text as oid, n.nspname as schema, c.relname as name,
    c.relkind = 'p' as is_partitioned, c.relkind in ('r', 'p') as is_table,
    exists (select from pg_publication_tables p
      where p.pubname = $2 and p.schemaname = n.nspname and p.tablename = c.relname) as is_published,
    array(select leaf.oid::regclass::text from leaf where leaf.root = c.oid
      and not exists (select from kept where kept.oid = leaf.oid)) as without_identity,
    array(select leaf.oid::regclass::text from leaf where leaf.root = c.oid) as leaves,
    array(select kept.attname::text from kept where kept.root = c.oid group by kept.attname
      having count(*) = (select count(*) from leaf where leaf.root = c.oid)) as identity
  from given left join pg_class c on c.oid = given.oid left join pg_namespace n on n.oid = c.relnamespace`;

/**
 * Asks whether the log will have all that the rules need.
 *
 * @throws {ConfigurationError} with the statement that mends it.
 */
export async function check(pool: FollowPool, settings: Settings): Promise<readonly FollowedTable[]> {
  const { publication, tables, warn } = settings;
  const [server] = await ask(pool, SERVER);
  if (Number(server!["version"]) < 140_000) refuse("PostgreSQL must be of version 14 or later; upgrade the server");
  if (server!["wal_level"] !== "logical")
    refuse("wal_level is not logical; run: ALTER SYSTEM SET wal_level = 'logical'; and restart PostgreSQL");
  if (server!["keeps"] === "-1")
    warn(
      "DISK",
      "nothing bounds the log that is kept while no process follows; run: ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();",
    );
  const names = tables.map(({ name }) => name);
  const [found] = await ask(pool, PUBLICATION, [publication]);
  const rows = await ask(pool, TABLES, [names, publication]);
  const known = tables.map((rules) => {
    const row = rows.find(({ given }) => given === rules.name);
    if (row === undefined || row["is_table"] !== true)
      refuse(`the table ${rules.name} does not exist in this database; create it, or correct its name in tables`);
    return { row, rules, name: quoted(row) };
  });
  if (found === undefined)
    refuse(
      `the publication ${publication} does not exist; run: CREATE PUBLICATION "${publication}" FOR TABLE ${known.map(({ name }) => name).join(", ")}${known.some(({ row }) => row["is_partitioned"]) ? " WITH (publish_via_partition_root = true)" : ""};`,
    );
  if (found["is_whole"] !== true)
    refuse(
      `the publication ${publication} leaves out some kinds of changes; run: ALTER PUBLICATION "${publication}" SET (publish = 'insert, update, delete, truncate');`,
    );
  for (const table of known) checkTable(table, settings, found["via_root"]);
  for (const table of known) await probe(pool, table);
  return known.map(({ row, rules }) => ({
    oid: Number(row["oid"]),
    name: `${String(row["schema"])}.${String(row["name"])}`,
    rules,
  }));
}

function checkTable({ row, name }: Known, { publication }: Settings, viaRoot: unknown): void {
  if (row["is_partitioned"] === true && viaRoot !== true)
    refuse(
      `${name} is partitioned, and its changes are published under the names of partitions; run: ALTER PUBLICATION "${publication}" SET (publish_via_partition_root = true);`,
    );
  if (row["is_published"] !== true)
    refuse(`the publication ${publication} lacks ${name}; run: ALTER PUBLICATION "${publication}" ADD TABLE ${name};`);
  const without = row["without_identity"] as readonly string[];
  if (without.length > 0)
    refuse(`${name} has no replica identity, so the log does not say which row was changed; run: ${full(without)}`);
}

/** Calls the rule with a row of the table, and with what the log would have of it after a delete. */
async function probe(pool: FollowPool, { row: table, rules, name }: Known): Promise<void> {
  const [row] = await ask<AnyRow>(pool, `select * from ${name} limit 1`).catch((error: unknown) => {
    // It may be followed by a role that may not read it.
    if (stateOf(error) === "42501") return [];
    throw error;
  });
  if (row === undefined) return;
  const identity = table["identity"] as readonly string[];
  const kept = Object.fromEntries(identity.map((column) => [column, row[column]]));
  for (const kind of ["update", "delete"] as const)
    try {
      targetsOf(rules, { kind, row: kind === "update" ? row : kept });
    } catch (error) {
      if (error instanceof MissingColumnError && error.column in row)
        refuse(
          `the rule of ${name} reads the column ${JSON.stringify(error.column)}, which the log does not have of a deleted row; run: ${full(table["leaves"] as readonly string[])}`,
        );
      refuse(`the rule of ${name} failed for a row of the table: ${String(error)}`, error);
    }
}

const full = (names: readonly string[]): string =>
  names.map((name) => `ALTER TABLE ${name} REPLICA IDENTITY FULL;`).join(" ");

function quoted({ schema, name }: Fields): string {
  return [schema, name].map((each) => `"${String(each).replaceAll('"', '""')}"`).join(".");
}

export function refuse(text: string, cause?: unknown): never {
  throw new ConfigurationError(`follow: ${text}`, { operation: "follow", cause });
}
