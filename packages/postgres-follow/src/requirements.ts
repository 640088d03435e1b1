import { ask, type Fields, type FollowPool } from "./pool.ts";

const SERVER = `select current_setting('server_version_num')::int as version,
  current_setting('wal_level') as wal_level, current_setting('max_slot_wal_keep_size') as keeps`;

const PUBLICATION = `select pubviaroot as via_root, pubinsert and pubupdate and pubdelete and pubtruncate as is_whole
  from pg_publication where pubname = $1`;

/** Its slot fills a disk. */
export const UNBOUNDED =
  "nothing bounds the log that is kept while no process follows; run: ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();";

/**
 * Of the names `$1`. The leaves of a table are its partitions, or itself; `kept` are the columns that the log has of an
 * older version.
 */
export const TABLES = `
  with given as (select name, to_regclass(name) as oid from unnest($1::text[]) as name),
  leaf as (
    select given.oid as root, c.oid, c.relreplident as identity,
      format('ALTER TABLE %s REPLICA IDENTITY FULL;', c.oid::regclass) as mend
    from given join pg_class c on c.oid in (select relid from pg_partition_tree(given.oid) where isleaf)
      or c.oid = given.oid and c.relkind = 'r'),
  kept as (
    select leaf.root, leaf.oid, a.attname from leaf join pg_attribute a on a.attrelid = leaf.oid
    where a.attnum > 0 and not a.attisdropped and (leaf.identity = 'f' or exists (select from pg_index i
      where i.indrelid = leaf.oid and a.attnum = any(i.indkey)
        and (leaf.identity = 'd' and i.indisprimary or leaf.identity = 'i' and i.indisreplident))))
  select given.name as given, c.oid::int8::float8 as oid, n.nspname || '.' || c.relname as name,
    format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""')) as quoted,
    c.relkind = 'p' as is_partitioned, c.relkind in ('r', 'p') as is_table,
    exists (select from pg_publication_tables p
      where p.pubname = $2 and p.schemaname = n.nspname and p.tablename = c.relname) as is_published,
    (select string_agg(mend, ' ') from leaf where root = c.oid) as mend,
    (select string_agg(mend, ' ') from leaf where root = c.oid
      and not exists (select from kept where kept.oid = leaf.oid)) as mend_without_identity,
    array(select kept.attname::text from kept where kept.root = c.oid group by kept.attname
      having count(*) = (select count(*) from leaf where leaf.root = c.oid)) as identity
  from given left join pg_class c on c.oid = given.oid left join pg_namespace n on n.oid = c.relnamespace`;

/**
 * What the server, the publication and these tables lack for a log that says all: a sentence, and after `; ` the
 * remedy. Reads catalogues alone.
 */
export async function* missing(pool: FollowPool, publication: string, rows: readonly Fields[]): AsyncGenerator<string> {
  const [server] = await ask(pool, SERVER);
  if (Number(server!["version"]) < 140_000) yield "PostgreSQL is older than version 14; upgrade the server";
  if (server!["wal_level"] !== "logical")
    yield "wal_level is not logical; run: ALTER SYSTEM SET wal_level = 'logical'; and restart PostgreSQL";
  if (server!["keeps"] === "-1") yield UNBOUNDED;
  for (const { given, is_table } of rows)
    if (is_table !== true)
      yield `the table ${String(given)} does not exist in this database; create it, or correct its name in tables`;
  const [found] = await ask(pool, PUBLICATION, [publication]);
  const alter = `ALTER PUBLICATION "${publication}"`;
  if (found === undefined)
    yield `the publication ${publication} does not exist; run: CREATE PUBLICATION "${publication}" FOR TABLE ${rows.map(({ quoted }) => quoted).join(", ") || "<tables>"}${rows.some((row) => row["is_partitioned"]) ? " WITH (publish_via_partition_root = true)" : ""};`;
  if (found?.["is_whole"] === false)
    yield `the publication ${publication} leaves out some kinds of changes; run: ${alter} SET (publish = 'insert, update, delete, truncate');`;
  for (const { quoted, is_partitioned, is_published, mend_without_identity: mend } of rows) {
    const name = String(quoted);
    if (is_partitioned === true && found?.["via_root"] !== true)
      yield `${name} is partitioned, and its changes are published under the names of partitions; run: ${alter} SET (publish_via_partition_root = true);`;
    else if (is_published !== true)
      yield `the publication ${publication} lacks ${name}; run: ${alter} ADD TABLE ${name};`;
    if (mend !== null)
      yield `${name} has no replica identity, so the log does not say which row was changed; run: ${String(mend)}`;
  }
}
