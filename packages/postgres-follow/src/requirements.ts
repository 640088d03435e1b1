import { ask, type Asked, type Fields } from "./pool.ts";

const SERVER = `select current_setting('server_version_num')::int as version,
  current_setting('wal_level') as wal_level, current_setting('max_slot_wal_keep_size') as keeps`;

const PUBLICATION = `select pubviaroot as via_root, pubinsert and pubupdate and pubdelete and pubtruncate as is_whole
  from pg_publication where pubname = $1`;

/** The warning about a slot that can fill a disk, with the statement that bounds it. */
export const UNBOUNDED =
  "nothing bounds the log that is kept while no process follows; run: ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();";

/**
 * Of the names `$1`, with the tables that each is made of: itself, its partitions, and tables that inherit from it. Row
 * filters and column lists came with PostgreSQL 15. Takes no lock that a change of a table would hold up.
 *
 * `identity` are the columns that the log has of an older version, in each of these tables; `logged` those that it has
 * of a new one.
 */
export const TABLES = `
  with recursive given as (select name, to_regclass(name)::oid as oid from unnest($1::text[]) as name),
  tree as (
    select name, oid as root, oid from given where oid is not null
    union select tree.name, tree.root, i.inhrelid from pg_inherits i join tree on i.inhparent = tree.oid),
  member as (
    select tree.name, tree.root, c.oid, c.relreplident as identity, c.relpersistence = 'p' as is_logged,
      format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""')) as quoted,
      n.nspname as schema, c.relname as table
    from tree join pg_class c on c.oid = tree.oid join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'f')),
  kept as (
    select member.root, member.oid, a.attname from member join pg_attribute a on a.attrelid = member.oid
    where a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      and (member.identity = 'f' or exists (select from pg_index i
        where i.indrelid = member.oid and a.attnum = any(i.indkey)
          and (member.identity = 'd' and i.indisprimary or member.identity = 'i' and i.indisreplident)))),
  published as (
    select schemaname as schema, tablename as table, to_jsonb(p) ->> 'rowfilter' as filter, to_jsonb(p) -> 'attnames' as columns
    from pg_publication_tables p where pubname = $2)
  select given.name as given, c.oid::int8::float8 as oid, n.nspname || '.' || c.relname as name,
    format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""')) as quoted,
    c.relkind = 'p' as is_partitioned, c.relkind in ('r', 'p') as is_table,
    exists (select from published p where p.schema = n.nspname and p.table = c.relname) as is_published,
    exists (select from published p where p.schema = n.nspname and p.table = c.relname and p.filter is not null) as is_filtered,
    array(select m.oid::int8::float8 from member m where m.root = c.oid and m.name = given.name) as members,
    array(select m.quoted from member m where m.root = c.oid and m.name = given.name and not m.is_logged) as unlogged,
    array(select m.quoted from member m where m.root = c.oid and m.name = given.name and m.oid <> c.oid
      and c.relkind = 'r' and not exists (select from published p where p.schema = m.schema and p.table = m.table)) as unpublished,
    (select string_agg(distinct format('ALTER TABLE %s REPLICA IDENTITY FULL;', m.oid::regclass), ' ') from member m
      where m.root = c.oid and m.identity <> 'f') as mend,
    (select string_agg(distinct format('ALTER TABLE %s REPLICA IDENTITY FULL;', m.oid::regclass), ' ') from member m
      where m.root = c.oid and not exists (select from kept where kept.oid = m.oid)) as mend_without_identity,
    (select count(distinct m.identity) > 1 from member m where m.root = c.oid) as is_mixed,
    array(select kept.attname::text from kept where kept.root = c.oid group by kept.attname
      having count(distinct kept.oid) = (select count(distinct m.oid) from member m where m.root = c.oid)) as identity,
    array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      and (a.attgenerated = '' or current_setting('server_version_num')::int >= 180000)
      and coalesce((select p.columns ? a.attname from published p where p.schema = n.nspname and p.table = c.relname
        and jsonb_typeof(p.columns) = 'array'), true)) as logged
  from given left join pg_class c on c.oid = given.oid left join pg_namespace n on n.oid = c.relnamespace`;

/**
 * What the server, the publication and these tables lack for a log that says all: a sentence, and after `; ` the
 * remedy. Reads catalogues alone.
 */
export async function* missing(asked: Asked, publication: string, rows: readonly Fields[]): AsyncGenerator<string> {
  const [server] = await ask(asked, SERVER);
  if (Number(server!["version"]) < 140_000) yield "PostgreSQL is older than version 14; upgrade the server";
  if (server!["wal_level"] !== "logical")
    yield "wal_level is not logical; run: ALTER SYSTEM SET wal_level = 'logical'; and restart PostgreSQL";
  if (server!["keeps"] === "-1") yield UNBOUNDED;
  for (const { given, is_table } of rows)
    if (is_table !== true)
      yield `the table ${String(given)} does not exist in this database; create it, or correct its name in tables`;
  const [found] = await ask(asked, PUBLICATION, [publication]);
  const known = rows.filter((row) => row["is_table"] === true);
  if (found === undefined)
    yield `the publication ${publication} does not exist; run: CREATE PUBLICATION "${publication}" FOR TABLE ${known.map(({ quoted }) => quoted).join(", ") || "<tables>"}${known.some((row) => row["is_partitioned"]) ? " WITH (publish_via_partition_root = true)" : ""};`;
  if (found?.["is_whole"] === false)
    yield `the publication ${publication} leaves out some kinds of changes; run: ALTER PUBLICATION "${publication}" SET (publish = 'insert, update, delete, truncate');`;
  for (const row of known) yield* missingOf(row, publication, found?.["via_root"] === true);
}

/** What one table lacks. */
function* missingOf(row: Fields, publication: string, isViaRoot: boolean): Generator<string> {
  const name = String(row["quoted"]);
  const alter = `ALTER PUBLICATION "${publication}"`;
  const unlogged = row["unlogged"] as readonly string[];
  if (unlogged.length > 0)
    yield `${unlogged.join(", ")} is unlogged, so its changes are in no log; run: ${unlogged.map((each) => `ALTER TABLE ${each} SET LOGGED;`).join(" ")}`;
  else if (row["is_partitioned"] === true && !isViaRoot)
    yield `${name} is partitioned, and its changes are published under the names of partitions; run: ${alter} SET (publish_via_partition_root = true);`;
  else if (row["is_published"] !== true)
    yield `the publication ${publication} lacks ${name}; run: ${alter} ADD TABLE ${name};`;
  if (row["is_filtered"] === true)
    yield `the publication ${publication} has a row filter for ${name}, and rows outside of it are not in the log; run: ${alter} DROP TABLE ${name}; ${alter} ADD TABLE ${name};`;
  for (const child of row["unpublished"] as readonly string[])
    yield `the publication ${publication} lacks ${child}, which inherits from ${name}; run: ${alter} ADD TABLE ${child};`;
  if (row["mend_without_identity"] !== null)
    yield `${name} has no replica identity, so the log does not say which row was changed; run: ${String(row["mend_without_identity"])}`;
}
