import { InvalidArgumentError } from "@hotset/core";
import { TEXT_MARK } from "./bytes.ts";

/** Raised with each change of what the tables and functions are or do. */
export const LAYOUT = 3;

/** Options of {@link schema}. */
export interface SchemaOptions {
  /** Name of the schema that holds the tables and functions, and of the channel. @default 'hotset' */
  readonly schema?: string | undefined;
  /**
   * `unlogged` tables are not written to the log of the database: several times faster, not replicated, and empty after
   * a crash of the server. @default 'unlogged'
   */
  readonly tables?: "unlogged" | "logged" | undefined;
  /** A role that gets the rights that a cache needs, and no others. It must exist. @default none */
  readonly role?: string | undefined;
}

/**
 * The SQL that makes the tables and functions: for your own migrations, run as a role that may create schemas. It may
 * be run again, and does nothing then.
 *
 * @throws {InvalidArgumentError}
 */
export function schema(options: SchemaOptions = {}): string {
  const { tables = "unlogged", role } = options;
  const name = schemaName(options.schema);
  if (tables !== "unlogged" && tables !== "logged")
    throw new InvalidArgumentError(`schema: tables must be "unlogged" or "logged"`);
  const text = [
    TABLES,
    ENTRY_STEPS,
    LEASE_STEPS,
    TAG_STEPS,
    LOG_STEPS,
    role === undefined ? "" : RIGHTS,
    "commit;",
  ].join("\n");
  return text
    .replaceAll(/\$MS\((.*?)\)\$/g, (_, end: string) => msOf(end))
    .replaceAll(/\$SHOWN\((.*?)\)/g, (_, column: string) => shown(column))
    .replaceAll("$S", name)
    .replaceAll("$TABLE", tables === "logged" ? "table" : "unlogged table")
    .replaceAll("$LOCK", LOCK)
    .replaceAll("$VACUUM", VACUUM)
    .replaceAll("$RECLAIM_AT", RECLAIM_AT)
    .replaceAll("$NOW", NOW)
    .replaceAll("$ROLE", `"${(role ?? "").replaceAll('"', '""')}"`)
    .trimStart();
}

/** Milliseconds by the server's clock. `extract` would compute with `numeric` first: a tenth of the time of a read. */
export const NOW = "(date_part('epoch', clock_timestamp()) * 1000)";

// A step needs what was committed while it waited. A session of another isolation may be that of a program.
const LOCK = `perform pg_advisory_xact_lock(('x' || encode(substr(k, 1, 8), 'hex'))::bit(64)::bigint);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction is %', current_setting('transaction_isolation') using errcode = '25001';
  end if`;

/** For rows that are rewritten all the time: vacuum soon, and without pauses. */
const VACUUM = "autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0";

/** From now (`t`) and the life (`e`): a multiple of a power of two that is an eighth to a sixteenth of the life. */
const STEP = "power(2, floor(ln(greatest(8, least(e, 1e15))) / ln(2)) - 3)";
const RECLAIM_AT = `ceil((t + e) / ${STEP}) * ${STEP}`;

/**
 * The milliseconds to an instant as a whole number, whose text does not depend on the session; forever is the largest
 * safe integer.
 */
export const msOf = (end: string): string => `least(floor(${end}), ${Number.MAX_SAFE_INTEGER})::bigint`;

/**
 * A column of {@link packed} bytes as text, because `pg` reads text alone; hex would be twice their number. No other
 * column is a varchar.
 */
export const shown = (column: string): string =>
  `(case get_byte(${column}, 0) when ${TEXT_MARK[0]} then convert_from(${column}, 'UTF8')` +
  ` else encode(${column}, 'base64') end)::varchar`;

/** Checks the name of the schema: it is part of statements, so it must be a plain word. @throws {InvalidArgumentError} */
export function schemaName(name = "hotset"): string {
  if (typeof name !== "string" || !/^[a-z_][a-z0-9_]{0,40}$/.test(name))
    throw new InvalidArgumentError(
      'postgres: schema must be a name of lower case letters, digits and "_", at most 41 of them',
    );
  return name;
}

// An update is cheap (HOT) where it changes no indexed column and its page has room: so the index has an end rounded up
// by an eighth of the life at most, which is the same for many writes of an entry, and pages are half full. Values of
// up to 8 kB stay in the page, and larger ones are not compressed: a compressor of the cache does it in less time.
//
// A key is hashed by the server: an index takes at most 2,700 bytes, and text no NUL. A report has the key as base64,
// after one letter, or the hash of a key that is too long for a notification.
const TABLES = `
begin;
set local statement_timeout = '30s';
select pg_advisory_xact_lock(hashtext('$S'));
create schema if not exists $S;
create $TABLE if not exists $S.entries (
  key bytea primary key, data bytea not null, meta bytea not null, version text not null,
  stale_at float8 not null, expires_at float8 not null, reclaim_at float8 not null)
  with (fillfactor = 50, toast_tuple_target = 8000, $VACUUM, toast.autovacuum_vacuum_scale_factor = 0.05,
    toast.autovacuum_vacuum_cost_delay = 0);
create index if not exists entries_reclaim on $S.entries (reclaim_at);
do $$ begin
  if (select attstorage from pg_attribute where attrelid = '$S.entries'::regclass and attname = 'data') <> 'e' then
    alter table $S.entries alter column data set storage external;
  end if;
end $$;
create $TABLE if not exists $S.leases (key bytea primary key, token text not null, ends_at float8 not null)
  with ($VACUUM);
create index if not exists leases_end on $S.leases (ends_at);
create $TABLE if not exists $S.tags (
  tag bytea primary key, hard text not null, soft text not null, n bigint not null, used_at float8 not null);
create index if not exists tags_use on $S.tags (used_at);
create $TABLE if not exists $S.issuer (one bool primary key check (one), id text not null, n bigint not null);

create $TABLE if not exists $S.log (
  xid xid8 not null, kind text not null, name bytea not null, version text not null, at float8 not null);
create index if not exists log_xid on $S.log (xid);
create index if not exists log_at on $S.log (at);
create $TABLE if not exists $S.polled (one bool primary key check (one), at float8 not null);

create or replace function $S.layout() returns int language sql immutable as $$ select ${LAYOUT} $$;

create or replace function $S.report(kind text, name bytea, version text) returns void language plpgsql as $$
begin
  perform pg_notify('$S', kind || case
    when length(name) <= 5000 then translate(encode(name, 'base64'), E'\\n', '')
    else '#' || translate(encode(sha256(name), 'base64'), E'\\n', '') end || ' ' || version);
  insert into $S.log select pg_current_xact_id(), kind, name, version, $NOW from $S.polled;
end $$;`;

const ENTRY_STEPS = `
create or replace function $S.put(k bytea, seen text, d bytea, m bytea, s float8, e float8, v text) returns bool
language plpgsql as $$
declare t float8 := $NOW;
begin
  if seen is null or seen = '' then
    insert into $S.entries as x values (k, d, m, v, t + s, t + e, $RECLAIM_AT) on conflict (key) do update set
      data = excluded.data, meta = excluded.meta, version = excluded.version,
      stale_at = excluded.stale_at, expires_at = excluded.expires_at, reclaim_at = excluded.reclaim_at
      where seen is null or x.expires_at - t < 1;
  else
    update $S.entries set data = d, meta = m, version = v, stale_at = t + s, expires_at = t + e, reclaim_at = $RECLAIM_AT
      where key = k and version = seen and expires_at - t >= 1;
  end if;
  return found;
end $$;

create or replace function $S.write(name bytea, d bytea, m bytea, s float8, e float8, v text) returns bool
language plpgsql as $$
declare k bytea := sha256(name);
begin
  $LOCK;
  perform $S.put(k, null, d, m, s, e, v);
  delete from $S.leases where key = k;
  perform $S.report('e', name, v);
  return true;
end $$;

create or replace function $S.remove(name bytea) returns bool language plpgsql as $$
declare k bytea := sha256(name); was bool;
begin
  $LOCK;
  delete from $S.entries where key = k returning expires_at - $NOW >= 1 into was;
  delete from $S.leases where key = k;
  perform $S.report('e', name, '');
  return coalesce(was, false);
end $$;

create or replace function $S.mark_stale(name bytea, v text) returns bool language plpgsql as $$
declare k bytea := sha256(name); t float8 := $NOW; was bool;
begin
  $LOCK;
  update $S.entries set version = v, stale_at = least(stale_at, t), expires_at = case
      when stale_at = 'Infinity' then t
      else least(expires_at, t + greatest(0, expires_at - stale_at)) end,
      reclaim_at = case when stale_at = 'Infinity' then t else reclaim_at end
    where key = k and expires_at - t >= 1;
  was := found;
  delete from $S.leases where key = k;
  perform $S.report('e', name, v);
  return was;
end $$;

create or replace function $S.touch(name bytea, seen text, s float8, e float8, m bytea, by text) returns bool
language plpgsql as $$
declare k bytea := sha256(name); t float8 := $NOW;
begin
  $LOCK;
  update $S.entries set stale_at = t + s, expires_at = t + e, reclaim_at = $RECLAIM_AT, meta = m
    where key = k and version = seen and expires_at - t >= 1;
  if not found then return false; end if;
  perform $S.report('e', name, by || seen);
  return true;
end $$;

create or replace function $S.reclaim(most int) returns int language plpgsql as $$
declare t float8 := $NOW; n int;
begin
  delete from $S.entries where key in
    (select key from $S.entries where reclaim_at < t order by reclaim_at limit most for update skip locked);
  get diagnostics n = row_count;
  delete from $S.log where ctid in
    (select ctid from $S.log where at < t - 60000 order by at limit 5 * most for update skip locked);
  delete from $S.polled where at < t - 3600000;
  delete from $S.leases where key in
    (select key from $S.leases where ends_at < t order by ends_at limit most for update skip locked);
  delete from $S.tags where tag in
    (select tag from $S.tags where used_at < t - 2592000000 order by used_at limit most for update skip locked);
  return n;
end $$;`;

const LEASE_STEPS = `
create or replace function $S.acquire(
  name bytea, t text, ms float8, seen text, is_over bool,
  out state text, out held bigint,
  out data varchar, out meta varchar, out version text, out stale bigint, out expires bigint)
language plpgsql as $$
declare k bytea := sha256(name); at float8 := $NOW;
begin
  $LOCK;
  select x.version into version from $S.entries x where x.key = k and x.expires_at - at >= 1;
  version := coalesce(version, '');
  if seen <> '*' then
    if version <> '' and version <> seen then
      state := 'entry';
      select $SHOWN(x.data), $SHOWN(x.meta), $MS(x.stale_at - at)$, $MS(x.expires_at - at)$
        into data, meta, stale, expires from $S.entries x where x.key = k;
      return;
    end if;
  end if;
  insert into $S.leases as x values (k, t, at + ms) on conflict (key) do update
    set token = excluded.token, ends_at = excluded.ends_at where seen = '*' or x.ends_at <= at;
  if not found then
    select ceil(x.ends_at - at) into held from $S.leases x where x.key = k;
    state := 'held';
    return;
  end if;
  if is_over and version not in ('', '-') then
    delete from $S.entries x where x.key = k;
    version := '';
  end if;
  state := 'granted';
end $$;

create or replace function $S.renew(name bytea, t text, ms float8) returns bool language plpgsql as $$
declare k bytea := sha256(name); at float8 := $NOW;
begin
  $LOCK;
  update $S.leases set ends_at = at + ms where key = k and token = t and ends_at > at;
  return found;
end $$;

create or replace function $S.release(name bytea, t text) returns bool language plpgsql as $$
declare k bytea := sha256(name);
begin
  $LOCK;
  delete from $S.leases where key = k and token = t and ends_at > $NOW;
  if found then perform $S.report('l', name, ''); return true; end if;
  return false;
end $$;

create or replace function $S.store(
  name bytea, t text, seen text, d bytea, m bytea, s float8, e float8, v text) returns bool language plpgsql as $$
declare k bytea := sha256(name);
begin
  $LOCK;
  delete from $S.leases where key = k and token = t and ends_at > $NOW;
  if not found then return false; end if;
  if not $S.put(k, seen, d, m, s, e, v) then perform $S.report('l', name, ''); return false; end if;
  perform $S.report('s', name, v);
  return true;
end $$;`;

// A list is read through a subquery: the planner would count its elements, and make another plan for each call.
//
// The row of the issuer is locked by each renewal until it is committed: so a position that a pin reads is never that
// of a renewal which it cannot see, as the last value of a sequence may be.
const TAG_STEPS = `
create or replace function $S.position() returns text language plpgsql as $$
declare r text;
begin
  select id || '.' || n into r from $S.issuer;
  if found then return r; end if;
  insert into $S.issuer values (true, replace(gen_random_uuid()::text, '-', ''), 0) on conflict do nothing;
  select id || '.' || n into r from $S.issuer;
  return r;
end $$;

create or replace function $S.tag_versions(names bytea[]) returns text[] language plpgsql as $$
begin
  return (select coalesce(array_agg(t.hard || '|' || t.soft order by o), '{}')
    from unnest((select names)) with ordinality as a(name, o) left join $S.tags t on t.tag = sha256(a.name));
end $$;

create or replace function $S.issue(names bytea[]) returns void language plpgsql as $$
declare p text; at float8 := $NOW; missing bytea[];
begin
  if exists (select from $S.issuer) and (select coalesce(bool_and(coalesce(t.used_at >= at - 86400000, false)), true)
    from unnest((select names)) as a(name) left join $S.tags t on t.tag = sha256(a.name)) then return; end if;
  p := $S.position();
  select array_agg(a.name) into missing from unnest((select names)) as a(name)
    left join $S.tags t on t.tag = sha256(a.name) where t.tag is null;
  if missing is not null then
    perform 1 from $S.issuer for update;
    p := $S.position();
    insert into $S.tags select distinct sha256(a.name), p, p, split_part(p, '.', 2)::bigint, at
      from unnest((select missing)) as a(name) order by 1 on conflict do nothing;
    perform $S.report('t', a.name, t.hard || ' ' || t.soft)
      from unnest((select missing)) as a(name) join $S.tags t on t.tag = sha256(a.name);
  end if;
  update $S.tags set used_at = at where tag in (select tag from $S.tags
    where tag in (select sha256(a.name) from unnest((select names)) as a(name)) and used_at < at - 86400000
    for update skip locked);
end $$;

create or replace function $S.pin(names bytea[]) returns text[] language plpgsql as $$
begin
  perform $S.issue(names);
  return (select array[id || '.' || n] || $S.tag_versions(names) from $S.issuer);
end $$;

create or replace function $S.unchanged_since(at text, names bytea[]) returns text[] language plpgsql as $$
begin
  perform $S.issue(names);
  return (select coalesce(array_agg(case
      when i.id = split_part(at, '.', 1) and t.n <= split_part(at, '.', 2)::bigint then t.hard || '|' || t.soft end
      order by o), '{}')
    from unnest((select names)) with ordinality as a(name, o) join $S.tags t on t.tag = sha256(a.name) cross join $S.issuer i);
end $$;

create or replace function $S.renew_tags(names bytea[], is_hard bool) returns bool language plpgsql as $$
declare p text := $S.position(); next bigint; at float8 := $NOW;
begin
  update $S.issuer set n = n + 1 returning id || '.' || n, n into p, next;
  insert into $S.tags as x select distinct sha256(a.name), p, p, next, at from unnest((select names)) as a(name) order by 1
    on conflict (tag) do update set n = excluded.n, used_at = excluded.used_at, soft = excluded.soft ||
        case when is_hard is null or (not is_hard and right(x.soft, 1) = '!') then '!' else '' end,
      hard = case when is_hard then excluded.hard else x.hard end;
  perform $S.report('t', a.name, t.hard || ' ' || t.soft)
    from unnest((select names)) as a(name) join $S.tags t on t.tag = sha256(a.name);
  return true;
end $$;`;

// The log is kept while a process polls. Transactions commit in another order than they begin, so a position is the
// set of those that were seen. Each writer reads the table of pollers, so the lock on it waits for earlier writers.
const LOG_STEPS = `
create or replace function $S.begin_log() returns bool language plpgsql as $$
begin
  lock table $S.polled in access exclusive mode;
  insert into $S.polled as x values (true, $NOW) on conflict (one) do update set at = excluded.at;
  return true;
end $$;

create or replace function $S.changes_since(
  seen text, since float8, before text,
  out present text, out at bigint, out server text, out is_cut bool, out kinds text[], out names text[],
  out versions text[])
language plpgsql as $$
declare used float8;
begin
  at := floor($NOW);
  server := pg_postmaster_start_time()::text;
  select x.at into used from $S.polled x;
  is_cut := used is null or seen = '' or at - since > 30000 or before <> server;
  if used < at - 60000 then update $S.polled x set at = changes_since.at; end if;
  if is_cut then
    present := pg_current_snapshot()::text; kinds := '{}'; names := '{}'; versions := '{}';
  else
    select pg_current_snapshot()::text, coalesce(array_agg(x.kind), '{}'), coalesce(array_agg(encode(x.name, 'hex')), '{}'),
        coalesce(array_agg(x.version), '{}')
      into present, kinds, names, versions from $S.log x
      where x.xid >= pg_snapshot_xmin(seen::pg_snapshot) and not pg_visible_in_snapshot(x.xid, seen::pg_snapshot);
  end if;
end $$;`;

const RIGHTS = `
grant usage on schema $S to $ROLE;
grant select, insert, update, delete on all tables in schema $S to $ROLE;
grant execute on all functions in schema $S to $ROLE;
revoke execute on all functions in schema $S from public;`;
