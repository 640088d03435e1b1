import { createHash } from "node:crypto";
import { ask, type Asked } from "./pool.ts";

/** What the catalogues say of a publication and its tables, by the name of each fact. */
export interface Conditions {
  readonly facts: ReadonlyMap<string, Fact>;
  /** A hash of the facts, the same in any process. */
  readonly digest: string;
}

interface Fact {
  readonly value: string;
  /** The fact as people know it: names may change while the fact does not. */
  readonly label: string;
  /** Begins without a change of what queries find. An end, or another value, always changes it. */
  readonly isHarmlessAtFirst: boolean;
}

/** Numbers and transactions of rows of catalogues show a change that was taken back, too. */
const OF_PUBLICATION = `
  select 4, 'publication', 'the publication',
    format('%s %s %s%s%s%s %s', p.oid, p.xmin, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot), false
  from pg_publication p where p.pubname = $2
  union all
  select 5, format('published %s %s', tree.name, tree.oid), format('the publication of %s', tree.oid::regclass),
    format('%s %s', r.oid, r.xmin), false
  from pg_publication_rel r join pg_publication p on p.oid = r.prpubid and p.pubname = $2
    join tree on tree.oid = r.prrelid`;

/** With PostgreSQL 15. */
const OF_SCHEMAS = `
  union all
  select 6, format('schema %s', n.pnnspid), format('the publication of the schema %s', n.pnnspid::regnamespace),
    format('%s %s', n.oid, n.xmin), false
  from pg_publication_namespace n join pg_publication p on p.oid = n.pnpubid and p.pubname = $2
  where n.pnnspid in (select c.relnamespace from tree join pg_class c on c.oid = tree.oid)`;

/**
 * Facts that rules and the log stand on. A partition, a child and a column with a default bring values that are in no
 * log; so does an enum value that is renamed, which changes no row. New partitions without a row are harmless.
 *
 * A column that gets other values without another type, by `USING`, shows in the transaction that wrote its row of the
 * catalogue; so does one with another default or statistics target, which costs a clear.
 *
 * Takes no lock: a table that is being altered has its former facts until that has committed.
 */
const FACTS = (ofVersion: string): string => `
  with recursive given as (select name, to_regclass(name)::oid as oid from unnest($1::text[]) as name),
  tree as (
    select name, oid as root, oid from given where oid is not null
    union select tree.name, tree.root, i.inhrelid from pg_inherits i join tree on i.inhparent = tree.oid),
  columns as (
    select tree.name, a.attnum, a.attname, a.atttypid, a.attgenerated, a.atthasmissing,
      a.xmin as written from tree
    join pg_attribute a on a.attrelid = tree.oid and a.attnum > 0 and not a.attisdropped where tree.oid = tree.root)
  select 0 as place, format('table %s', name) as fact, format('the table %s', name) as label,
    coalesce(oid::text, 'none') as value, false as harmless from given
  union all
  select 1, format('part %s %s', tree.oid, tree.name), format('the table %s of %s', tree.oid::regclass, tree.name),
    format('%s %s %s %s', c.relpersistence, c.relreplident, c.relispartition,
      (select string_agg(format('%s', x.indkey), ' ' order by x.indexrelid) from pg_index x where x.indrelid = c.oid
        and (c.relreplident = 'd' and x.indisprimary or c.relreplident = 'i' and x.indisreplident))),
    c.relkind <> 'r' or c.oid = tree.root
  from tree join pg_class c on c.oid = tree.oid
  union all
  select 2, format('column %s %s', attnum, name), format('the column %s of %s', attname, name),
    format('%s %s %s %s', attname, atttypid, attgenerated, written), not atthasmissing from columns
  union all
  select 3, format('enum %s', e.oid), format('the value %s of %s', e.enumlabel, e.enumtypid::regtype), e.enumlabel, true
  from pg_enum e where e.enumtypid in (
    select coalesce(nullif(t.typelem, 0), t.oid) from columns join pg_type t on t.oid = columns.atttypid)
  union all ${OF_PUBLICATION} ${ofVersion}
  order by place, fact`;

interface Row {
  readonly fact: string;
  readonly label: string;
  readonly value: string;
  readonly harmless: boolean;
}

/** @param names of tables, as `tables` has them. */
export async function conditionsOf(
  asked: Asked,
  { publication, names }: { readonly publication: string; readonly names: readonly string[] },
): Promise<Conditions> {
  const [server] = await ask(asked, "select current_setting('server_version_num')::int >= 150000 as has_schemas");
  const text = FACTS(server!["has_schemas"] === true ? OF_SCHEMAS : "");
  const rows = await ask<Row>(asked, text, [names, publication]);
  const facts = new Map(
    rows.map(({ fact, label, value, harmless }) => [fact, { label, value, isHarmlessAtFirst: harmless }] as const),
  );
  const hash = createHash("sha256");
  for (const [fact, { value }] of facts) hash.update(`${fact}=${value}\n`);
  return { facts, digest: hash.digest("base64url").slice(0, 22) };
}

const PART = /^part (\d+) /;

/** A table that is empty had no row that the log does not have: partitions are usually made ahead of their rows. */
const IS_EMPTY = "select pg_relation_size($1::oid) = 0 as is_empty";

/** @returns the first fact that differs, as a reason for a gap; `undefined` for none. */
export async function differenceOf(asked: Asked, before: Conditions, now: Conditions): Promise<string | undefined> {
  if (before.digest === now.digest) return undefined;
  for (const [fact, { label, value }] of before.facts) {
    const found = now.facts.get(fact);
    if (found === undefined) return `${label} is no longer there`;
    if (found.value !== value) return `${label} was changed`;
  }
  for (const [fact, { label, isHarmlessAtFirst }] of now.facts) {
    if (isHarmlessAtFirst || before.facts.has(fact)) continue;
    const part = PART.exec(fact)?.[1];
    const [row] = part === undefined ? [] : await ask(asked, IS_EMPTY, [part]);
    if (row?.["is_empty"] !== true) return `${label} is new`;
  }
  return undefined;
}
