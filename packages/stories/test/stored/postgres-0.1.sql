begin;
set local statement_timeout = '30s';
select pg_advisory_xact_lock(hashtext('stored_0_1'));
create schema if not exists stored_0_1;
create unlogged table if not exists stored_0_1.entries (
  key bytea primary key, data bytea not null, meta bytea not null, version text not null,
  stale_at float8 not null, expires_at float8 not null, reclaim_at float8 not null)
  with (fillfactor = 50, toast_tuple_target = 8000, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0, toast.autovacuum_vacuum_scale_factor = 0.05,
    toast.autovacuum_vacuum_cost_delay = 0);
create index if not exists entries_reclaim on stored_0_1.entries (reclaim_at);
do $$ begin
  if (select attstorage from pg_attribute where attrelid = 'stored_0_1.entries'::regclass and attname = 'data') <> 'e' then
    alter table stored_0_1.entries alter column data set storage external;
  end if;
end $$;
create unlogged table if not exists stored_0_1.leases (key bytea primary key, token text not null, ends_at float8 not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index if not exists leases_end on stored_0_1.leases (ends_at);
create unlogged table if not exists stored_0_1.tags (
  tag bytea primary key, hard text not null, soft text not null, n bigint not null, used_at float8 not null);
create index if not exists tags_use on stored_0_1.tags (used_at);
create unlogged table if not exists stored_0_1.issuer (one bool primary key check (one), id text not null, n bigint not null);

create unlogged table if not exists stored_0_1.log (
  xid xid8 not null, kind text not null, name bytea not null, version text not null, at float8 not null);
create index if not exists log_xid on stored_0_1.log (xid);
create index if not exists log_at on stored_0_1.log (at);
create unlogged table if not exists stored_0_1.polled (one bool primary key check (one), at float8 not null);

create or replace function stored_0_1.layout() returns int language sql immutable as $$ select 3 $$;

create or replace function stored_0_1.report(kind text, name bytea, version text) returns void language plpgsql as $$
begin
  perform pg_notify('stored_0_1', kind || case
    when length(name) <= 5000 then translate(encode(name, 'base64'), E'\n', '')
    else '#' || translate(encode(sha256(name), 'base64'), E'\n', '') end || ' ' || version);
  insert into stored_0_1.log select pg_current_xact_id(), kind, name, version, (date_part('epoch', clock_timestamp()) * 1000) from stored_0_1.polled;
end $$;

create or replace function stored_0_1.put(k bytea, seen text, d bytea, m bytea, s float8, e float8, v text) returns bool
language plpgsql as $$
declare t float8 := (date_part('epoch', clock_timestamp()) * 1000);
begin
  if seen is null or seen = '' then
    insert into stored_0_1.entries as x values (k, d, m, v, t + s, t + e, ceil((t + e) / power(2, floor(ln(greatest(8, least(e, 1e15))) / ln(2)) - 3)) * power(2, floor(ln(greatest(8, least(e, 1e15))) / ln(2)) - 3)) on conflict (key) do update set
      data = excluded.data, meta = excluded.meta, version = excluded.version,
      stale_at = excluded.stale_at, expires_at = excluded.expires_at, reclaim_at = excluded.reclaim_at
      where seen is null or x.expires_at - t < 1;
  else
    update stored_0_1.entries set data = d, meta = m, version = v, stale_at = t + s, expires_at = t + e, reclaim_at = ceil((t + e) / power(2, floor(ln(greatest(8, least(e, 1e15))) / ln(2)) - 3)) * power(2, floor(ln(greatest(8, least(e, 1e15))) / ln(2)) - 3)
      where key = k and version = seen and expires_at - t >= 1;
  end if;
  return found;
end $$;

create or replace function stored_0_1.write(name bytea, d bytea, m bytea, s float8, e float8, v text) returns bool
language plpgsql as $$
declare k bytea := sha256(name);
begin
  perform pg_advisory_xact_lock(('x' || encode(substr(k, 1, 8), 'hex'))::bit(64)::bigint);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction is %', current_setting('transaction_isolation') using errcode = '25001';
  end if;
  perform stored_0_1.put(k, null, d, m, s, e, v);
  delete from stored_0_1.leases where key = k;
  perform stored_0_1.report('e', name, v);
  return true;
end $$;

create or replace function stored_0_1.remove(name bytea) returns bool language plpgsql as $$
declare k bytea := sha256(name); was bool;
begin
  perform pg_advisory_xact_lock(('x' || encode(substr(k, 1, 8), 'hex'))::bit(64)::bigint);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction is %', current_setting('transaction_isolation') using errcode = '25001';
  end if;
  delete from stored_0_1.entries where key = k returning expires_at - (date_part('epoch', clock_timestamp()) * 1000) >= 1 into was;
  delete from stored_0_1.leases where key = k;
  perform stored_0_1.report('e', name, '');
  return coalesce(was, false);
end $$;

create or replace function stored_0_1.mark_stale(name bytea, v text) returns bool language plpgsql as $$
declare k bytea := sha256(name); t float8 := (date_part('epoch', clock_timestamp()) * 1000); was bool;
begin
  perform pg_advisory_xact_lock(('x' || encode(substr(k, 1, 8), 'hex'))::bit(64)::bigint);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction is %', current_setting('transaction_isolation') using errcode = '25001';
  end if;
  update stored_0_1.entries set version = v, stale_at = least(stale_at, t), expires_at = case
      when stale_at = 'Infinity' then t
      else least(expires_at, t + greatest(0, expires_at - stale_at)) end,
      reclaim_at = case when stale_at = 'Infinity' then t else reclaim_at end
    where key = k and expires_at - t >= 1;
  was := found;
  delete from stored_0_1.leases where key = k;
  perform stored_0_1.report('e', name, v);
  return was;
end $$;

create or replace function stored_0_1.touch(name bytea, seen text, s float8, e float8, m bytea, by text) returns bool
language plpgsql as $$
declare k bytea := sha256(name); t float8 := (date_part('epoch', clock_timestamp()) * 1000);
begin
  perform pg_advisory_xact_lock(('x' || encode(substr(k, 1, 8), 'hex'))::bit(64)::bigint);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction is %', current_setting('transaction_isolation') using errcode = '25001';
  end if;
  update stored_0_1.entries set stale_at = t + s, expires_at = t + e, reclaim_at = ceil((t + e) / power(2, floor(ln(greatest(8, least(e, 1e15))) / ln(2)) - 3)) * power(2, floor(ln(greatest(8, least(e, 1e15))) / ln(2)) - 3), meta = m
    where key = k and version = seen and expires_at - t >= 1;
  if not found then return false; end if;
  perform stored_0_1.report('e', name, by || seen);
  return true;
end $$;

create or replace function stored_0_1.reclaim(most int) returns int language plpgsql as $$
declare t float8 := (date_part('epoch', clock_timestamp()) * 1000); n int;
begin
  delete from stored_0_1.entries where key in
    (select key from stored_0_1.entries where reclaim_at < t order by reclaim_at limit most for update skip locked);
  get diagnostics n = row_count;
  delete from stored_0_1.log where ctid in
    (select ctid from stored_0_1.log where at < t - 60000 order by at limit 5 * most for update skip locked);
  delete from stored_0_1.polled where at < t - 3600000;
  delete from stored_0_1.leases where key in
    (select key from stored_0_1.leases where ends_at < t order by ends_at limit most for update skip locked);
  delete from stored_0_1.tags where tag in
    (select tag from stored_0_1.tags where used_at < t - 2592000000 order by used_at limit most for update skip locked);
  return n;
end $$;

create or replace function stored_0_1.acquire(
  name bytea, t text, ms float8, seen text, is_over bool,
  out state text, out held bigint,
  out data varchar, out meta varchar, out version text, out stale bigint, out expires bigint)
language plpgsql as $$
declare k bytea := sha256(name); at float8 := (date_part('epoch', clock_timestamp()) * 1000);
begin
  perform pg_advisory_xact_lock(('x' || encode(substr(k, 1, 8), 'hex'))::bit(64)::bigint);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction is %', current_setting('transaction_isolation') using errcode = '25001';
  end if;
  select x.version into version from stored_0_1.entries x where x.key = k and x.expires_at - at >= 1;
  version := coalesce(version, '');
  if seen <> '*' then
    if version <> '' and version <> seen then
      state := 'entry';
      select (case get_byte(x.data, 0) when 195 then convert_from(x.data, 'UTF8') else encode(x.data, 'base64') end)::varchar, (case get_byte(x.meta, 0) when 195 then convert_from(x.meta, 'UTF8') else encode(x.meta, 'base64') end)::varchar, least(floor(x.stale_at - at), 9007199254740991)::bigint, least(floor(x.expires_at - at), 9007199254740991)::bigint
        into data, meta, stale, expires from stored_0_1.entries x where x.key = k;
      return;
    end if;
  end if;
  insert into stored_0_1.leases as x values (k, t, at + ms) on conflict (key) do update
    set token = excluded.token, ends_at = excluded.ends_at where seen = '*' or x.ends_at <= at;
  if not found then
    select ceil(x.ends_at - at) into held from stored_0_1.leases x where x.key = k;
    state := 'held';
    return;
  end if;
  if is_over and version not in ('', '-') then
    delete from stored_0_1.entries x where x.key = k;
    version := '';
  end if;
  state := 'granted';
end $$;

create or replace function stored_0_1.renew(name bytea, t text, ms float8) returns bool language plpgsql as $$
declare k bytea := sha256(name); at float8 := (date_part('epoch', clock_timestamp()) * 1000);
begin
  perform pg_advisory_xact_lock(('x' || encode(substr(k, 1, 8), 'hex'))::bit(64)::bigint);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction is %', current_setting('transaction_isolation') using errcode = '25001';
  end if;
  update stored_0_1.leases set ends_at = at + ms where key = k and token = t and ends_at > at;
  return found;
end $$;

create or replace function stored_0_1.release(name bytea, t text) returns bool language plpgsql as $$
declare k bytea := sha256(name);
begin
  perform pg_advisory_xact_lock(('x' || encode(substr(k, 1, 8), 'hex'))::bit(64)::bigint);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction is %', current_setting('transaction_isolation') using errcode = '25001';
  end if;
  delete from stored_0_1.leases where key = k and token = t and ends_at > (date_part('epoch', clock_timestamp()) * 1000);
  if found then perform stored_0_1.report('l', name, ''); return true; end if;
  return false;
end $$;

create or replace function stored_0_1.store(
  name bytea, t text, seen text, d bytea, m bytea, s float8, e float8, v text) returns bool language plpgsql as $$
declare k bytea := sha256(name);
begin
  perform pg_advisory_xact_lock(('x' || encode(substr(k, 1, 8), 'hex'))::bit(64)::bigint);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'the transaction is %', current_setting('transaction_isolation') using errcode = '25001';
  end if;
  delete from stored_0_1.leases where key = k and token = t and ends_at > (date_part('epoch', clock_timestamp()) * 1000);
  if not found then return false; end if;
  if not stored_0_1.put(k, seen, d, m, s, e, v) then perform stored_0_1.report('l', name, ''); return false; end if;
  perform stored_0_1.report('s', name, v);
  return true;
end $$;

create or replace function stored_0_1.position() returns text language plpgsql as $$
declare r text;
begin
  select id || '.' || n into r from stored_0_1.issuer;
  if found then return r; end if;
  insert into stored_0_1.issuer values (true, replace(gen_random_uuid()::text, '-', ''), 0) on conflict do nothing;
  select id || '.' || n into r from stored_0_1.issuer;
  return r;
end $$;

create or replace function stored_0_1.tag_versions(names bytea[]) returns text[] language plpgsql as $$
begin
  return (select coalesce(array_agg(t.hard || '|' || t.soft order by o), '{}')
    from unnest((select names)) with ordinality as a(name, o) left join stored_0_1.tags t on t.tag = sha256(a.name));
end $$;

create or replace function stored_0_1.issue(names bytea[]) returns void language plpgsql as $$
declare p text; at float8 := (date_part('epoch', clock_timestamp()) * 1000); missing bytea[];
begin
  if exists (select from stored_0_1.issuer) and (select coalesce(bool_and(coalesce(t.used_at >= at - 86400000, false)), true)
    from unnest((select names)) as a(name) left join stored_0_1.tags t on t.tag = sha256(a.name)) then return; end if;
  p := stored_0_1.position();
  select array_agg(a.name) into missing from unnest((select names)) as a(name)
    left join stored_0_1.tags t on t.tag = sha256(a.name) where t.tag is null;
  if missing is not null then
    perform 1 from stored_0_1.issuer for update;
    p := stored_0_1.position();
    insert into stored_0_1.tags select distinct sha256(a.name), p, p, split_part(p, '.', 2)::bigint, at
      from unnest((select missing)) as a(name) order by 1 on conflict do nothing;
    perform stored_0_1.report('t', a.name, t.hard || ' ' || t.soft)
      from unnest((select missing)) as a(name) join stored_0_1.tags t on t.tag = sha256(a.name);
  end if;
  update stored_0_1.tags set used_at = at where tag in (select tag from stored_0_1.tags
    where tag in (select sha256(a.name) from unnest((select names)) as a(name)) and used_at < at - 86400000
    for update skip locked);
end $$;

create or replace function stored_0_1.pin(names bytea[]) returns text[] language plpgsql as $$
begin
  perform stored_0_1.issue(names);
  return (select array[id || '.' || n] || stored_0_1.tag_versions(names) from stored_0_1.issuer);
end $$;

create or replace function stored_0_1.unchanged_since(at text, names bytea[]) returns text[] language plpgsql as $$
begin
  perform stored_0_1.issue(names);
  return (select coalesce(array_agg(case
      when i.id = split_part(at, '.', 1) and t.n <= split_part(at, '.', 2)::bigint then t.hard || '|' || t.soft end
      order by o), '{}')
    from unnest((select names)) with ordinality as a(name, o) join stored_0_1.tags t on t.tag = sha256(a.name) cross join stored_0_1.issuer i);
end $$;

create or replace function stored_0_1.renew_tags(names bytea[], is_hard bool) returns bool language plpgsql as $$
declare p text := stored_0_1.position(); next bigint; at float8 := (date_part('epoch', clock_timestamp()) * 1000);
begin
  update stored_0_1.issuer set n = n + 1 returning id || '.' || n, n into p, next;
  insert into stored_0_1.tags as x select distinct sha256(a.name), p, p, next, at from unnest((select names)) as a(name) order by 1
    on conflict (tag) do update set n = excluded.n, used_at = excluded.used_at, soft = excluded.soft ||
        case when is_hard is null or (not is_hard and right(x.soft, 1) = '!') then '!' else '' end,
      hard = case when is_hard then excluded.hard else x.hard end;
  perform stored_0_1.report('t', a.name, t.hard || ' ' || t.soft)
    from unnest((select names)) as a(name) join stored_0_1.tags t on t.tag = sha256(a.name);
  return true;
end $$;

create or replace function stored_0_1.begin_log() returns bool language plpgsql as $$
begin
  lock table stored_0_1.polled in access exclusive mode;
  insert into stored_0_1.polled as x values (true, (date_part('epoch', clock_timestamp()) * 1000)) on conflict (one) do update set at = excluded.at;
  return true;
end $$;

create or replace function stored_0_1.changes_since(
  seen text, since float8, before text,
  out present text, out at bigint, out server text, out is_cut bool, out kinds text[], out names text[],
  out versions text[])
language plpgsql as $$
declare used float8;
begin
  at := floor((date_part('epoch', clock_timestamp()) * 1000));
  server := pg_postmaster_start_time()::text;
  select x.at into used from stored_0_1.polled x;
  is_cut := used is null or seen = '' or at - since > 30000 or before <> server;
  if used < at - 60000 then update stored_0_1.polled x set at = changes_since.at; end if;
  if is_cut then
    present := pg_current_snapshot()::text; kinds := '{}'; names := '{}'; versions := '{}';
  else
    select pg_current_snapshot()::text, coalesce(array_agg(x.kind), '{}'), coalesce(array_agg(encode(x.name, 'hex')), '{}'),
        coalesce(array_agg(x.version), '{}')
      into present, kinds, names, versions from stored_0_1.log x
      where x.xid >= pg_snapshot_xmin(seen::pg_snapshot) and not pg_visible_in_snapshot(x.xid, seen::pg_snapshot);
  end if;
end $$;

commit;
delete from stored_0_1.issuer;
insert into stored_0_1.entries select (r).* from (select '("\\x1092e9543f3d69d6b7cc013d11f827208c1747b41d025edd74266e5d2344708e","\\x0084a46e616d65a3416461a47461677393a161a2c39fa4f09f9982a66e657374656482a16ecb3ff8000000000000a76e6f7468696e67c0a561626f7574d9b441646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e20","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b226c223a333630303030307d5d",WeiEoeIj-JQOOzy5,4387887652020.618,4387887652020.618,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x177266a6b5ab1016350866f9ae400e6a6361b90da674e59a426ee470d7ee13f2","\\x0028b52ffd60080015030092051520b0278d010c734842c76290bc8e081648c6b11bcb5a6eae222900195b3d95e130cc07e50117839314cf2a880137662d456fa509c422ba0510e0d6973be526a95b6146a3796c378e0977a270b73109be5381fa12030022199a88c1033f284d","\\xc3a95b226a736f6e222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b2263223a227a737464222c226c223a333630303030307d5d",9cjYaQg-gcqiO--C,4387887652259.184,4387887652259.184,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x1853eb9402218a9863149b38c899c1e56d559fdfc8acc4cd6424ae3638a35dab","\\x001b070100049eaf4b49771e5f49a9df9622d0af374aba58e80c82929244c7100aee4ae9140182f61d0c7a27ea903d0e06bf1183fff8fd70342883ae0f7ce44a894cada54159f57152464839e4f9ddc071aba147d0bea39cd257bbd6f1024b69dfc11d","\\xc3a95b226a736f6e222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b2263223a2262726f746c69222c226c223a333630303030307d5d",OzLkwkefYmu8XOgT,4387887652220.0303,4387887652220.0303,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x21c3066912093f0e464c34cb856768a4e06819cdd56fef7f99da862994428293","\\x00ae776974686f757420616e20656e64","\\xc3a95b226d73677061636b222c6e756c6c2c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b226c223a333630303030307d5d",IGFR8JVr3gni7s72,Infinity,Infinity,Infinity)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x2a76e95109388bc32a0b3a2eb7b03e69cfa8a61386d97f8fa8794a7506816ae7","\\x00b06f66206120737472616e6765206b6579","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b226c223a333630303030307d5d",cGCXMw4SIKjNpYzp,4387887652346.729,4387887652346.729,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x2b28fe827110143e3bd23744a39b0d4f42373c94df25e53d2e01fb77a10d6ed9","\\x00af61667465722074686520636c656172","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30222c335d2c7b226c223a333630303030307d5d",yykR2a73IXl72X3x,4387953308815.1104,4387953308815.1104,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x4118f448352d91c38c571fd1ecdc7265e690ff94f9c77c0f91903906d1c6c626","\\x00b06265666f72652074686520636c656172","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30222c305d2c7b226c223a333630303030307d5d",fhJzLP5orXmIaA2a,4387953308800.443,4387953308800.443,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x43ed7b8d25dcac941b93e9ff50c1c251e5219014b16ade57c84ebd9580c4f916","\\x00a86279206120746167","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30222c305d2c7b226c223a333630303030302c2267223a5b227573657273225d2c2261223a225c22315c22227d5d",efs42FG7KJyIOXMM,4387887652351.912,4387887652351.912,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x482449c2e37dbb91f38af24bbb8e1787035f891bfdbbb8dfa71cf93b2d171b29","\\xc3a97b226e616d65223a22416461222c2274616773223a5b2261222c22c39f222c22f09f9982225d2c226e6573746564223a7b226e223a312e352c226e6f7468696e67223a6e756c6c7d2c2261626f7574223a2241646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e20227d","\\xc3a95b226a736f6e222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b226c223a333630303030307d5d",zlact3GN62prYf82,4387887651965.325,4387887651965.325,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x58759e0a1acc89aebba290e8dbd14c8bcd1b32babf789795ab5c2afbd6233bdc","\\x00b96265666f72652074686520656e64206f662069747320746167","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30222c305d2c7b226c223a333630303030302c2267223a5b22676f6e65225d7d5d",Lr1D3teGUhknYB3w,4387953308780.1504,4387953308780.1504,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x6edfd035c1908cf2d6547a4c43f845520dca707c3e145476a8ef3b254dcbf012","\\x00ff0f6f22046e616d65220341646122047461677341032201612201df63043dd842de24000322066e65737465646f22016e4e000000000000f83f22076e6f7468696e67307b02220561626f757422b40141646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e2041646120616e642047726163652e207b04","\\xc3a95b227638222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b226c223a333630303030307d5d",RN3ipJOcUetDYwIr,4387887652069.965,4387887652069.965,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x73222607152ee3f3eaa20320393e919cda3877a5bf91ae46afb31418bf4a1c39","\\x00af6265666f726520697473206d61726b","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c323539323030303030303030302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b226c223a333630303030307d5d",stale-B3I-ia3v0fOWRnpG,1795953308808.92,4387953308808.92,7146825580544)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x7d709a1749b69677dd45f744f80986bec424afae63415bbcd4882a78818be2e9","\\x00ba6265666f726520746865206d61726b206f662069747320746167","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c323539323030303030303030302c5b2239623261353231633765663534316136623265383863643137663661346262612e30222c305d2c7b226c223a333630303030302c2267223a5b226d61726b73225d7d5d",mKdzsM_i3_Zuk1Md,4387953308795.604,6979953308795.604,7146825580544)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\x87b91850f429c37de311a50e76b5f1937437d64d07a6bc63125886499a7dc7b2","\\x00b16f662061207374616c652077696e646f77","\\xc3a95b226d73677061636b222c3836343030303030303030302c302c313732383030303030303030302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b226c223a333630303030307d5d",AKU9TW2zpi3K9mxi,2659887652364.632,4387887652364.632,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\xa7fed15ac85be618a55b0a855ff27a47a2fda1c1b0a38569131568d02949a08c","\\x0001016b217399f55ae207e99d8032551059aae48376e89e7b47b04b1d6572c00f3af0b92ed687d1d65b94d8ce24a2d5f40c8ae804cf92804604ded16a86c77cb36a673a77a794381871110e557bd1636f57147d4066d80023c17863c734a4ad922d95e8eff7126c0d65190c0798bb98729cd92aab2c16cb9b2d23b5a93a5d622525c551ccf1bbe8e9f23a4f8bc0a4ade90d11e55f5901bb3fee015af299ebdcf88a52147a70604c75e940f2","\\xc3a9786165732d3235362d67636d3b",LznOl7u8PYt4mGF1,4387887652385.323,4387887652385.323,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\xc03d49f82b9323f398ed91cd0b8944ffa8e3a6feb057f6d5bee989f8f574b3d6","\\x00b861667465722074686520656e64206f662069747320746167","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30222c312c5b2d312c325d5d2c7b226c223a333630303030302c2267223a5b22676f6e65222c226d61726b73225d7d5d",PsbuepI2ukmb6tyD,4387953308811.726,4387953308811.726,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\xd6d8945553ed4672e7f671e86c78c258a95a756c6c355e74f46a9b0e3902ed05","\\x00c0","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b226c223a333630303030307d5d",5FmCvDrUplaAprB7,4387887652311.542,4387887652311.542,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\xd79697ab7c691721ecddd35e3ef59a01b7f1febbdd2adc71610e70a3e828550f","\\x001f8b0800000000000003ab56ca4bcc4d55b252724c4954d2512a494c2f56b28a5602b10fcf57d251fa307f669352ac8e525e6a71496a8a9255b5529e9295a19ea98e525e7e4946665eba92555e694e4ead8e5262527e6909c42085c4bc1405f7a2c4e4543d8521c155aa050082e4b19608010000","\\xc3a95b226a736f6e222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30225d2c7b2263223a22677a6970222c226c223a333630303030307d5d",L9dDDm7zXaLifCJF,4387887652173.2666,4387887652173.2666,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.entries select (r).* from (select '("\\xff86b5d9e59bc43eb334d0e3389fd056c7514be40c0097ce121e283f9d844093","\\x00ae696e2061206e616d657370616365","\\xc3a95b226d73677061636b222c323539323030303030303030302c302c302c5b2239623261353231633765663534316136623265383863643137663661346262612e30222c302c302c305d2c7b226c223a333630303030302c2267223a5b227573657273225d7d5d",pHAtMUkQ7GE1PaJJ,4387887652371.354,4387887652371.354,4398046511104)'::stored_0_1.entries r) x;
insert into stored_0_1.tags select (r).* from (select '("\\x1faacea48276fc457f0993d8f676391d9ad5a8e49380160e49922fd047293a74",9b2a521c7ef541a6b2e88cd17f6a4bba.0,9b2a521c7ef541a6b2e88cd17f6a4bba.0,0,4387000000000)'::stored_0_1.tags r) x;
insert into stored_0_1.tags select (r).* from (select '("\\x6a9b79e822d5ae93632fe9f3d6dcf5c56a6440c9e8ac9ca2a1b155e34b67c7db",9b2a521c7ef541a6b2e88cd17f6a4bba.0,9b2a521c7ef541a6b2e88cd17f6a4bba.0,0,4387000000000)'::stored_0_1.tags r) x;
insert into stored_0_1.tags select (r).* from (select '("\\x6d4eeafa41288bcf9f4c3e85bea2364c739bcd33139276c15059cfc1b18e923d",9b2a521c7ef541a6b2e88cd17f6a4bba.0,9b2a521c7ef541a6b2e88cd17f6a4bba.0,0,4387000000000)'::stored_0_1.tags r) x;
insert into stored_0_1.tags select (r).* from (select '("\\x884154ff904b16bf1fcc9ff1b97ca188804397814487b49f357458b07ba3d009",9b2a521c7ef541a6b2e88cd17f6a4bba.3,9b2a521c7ef541a6b2e88cd17f6a4bba.3,3,4387000000000)'::stored_0_1.tags r) x;
insert into stored_0_1.tags select (r).* from (select '("\\xac369886d58d925ba713e5b319b1f99381ad63e1f48d17dd8cafeaa91d2f7c17",9b2a521c7ef541a6b2e88cd17f6a4bba.0,9b2a521c7ef541a6b2e88cd17f6a4bba.2,2,4387000000000)'::stored_0_1.tags r) x;
insert into stored_0_1.tags select (r).* from (select '("\\xc18051adab0423badf1194fe5efcf3d21c9b3846f831d531509c9bdd707cc5c5",9b2a521c7ef541a6b2e88cd17f6a4bba.0,9b2a521c7ef541a6b2e88cd17f6a4bba.0,0,4387000000000)'::stored_0_1.tags r) x;
insert into stored_0_1.tags select (r).* from (select '("\\xfc0aeb20642a4e8f0ef91084a516d688e00f731a1de6f8f77d7f13e9da0053df",9b2a521c7ef541a6b2e88cd17f6a4bba.1,9b2a521c7ef541a6b2e88cd17f6a4bba.1,1,4387000000000)'::stored_0_1.tags r) x;
insert into stored_0_1.issuer select (r).* from (select '(t,9b2a521c7ef541a6b2e88cd17f6a4bba,3)'::stored_0_1.issuer r) x;
