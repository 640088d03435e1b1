import type { Pool } from "pg";
import { shown, type Arguments } from "../arguments.ts";
import { timeoutOf } from "../connect.ts";
import { UnreachableError, UsageError } from "../errors.ts";
import type { Io } from "../io.ts";
import { fields } from "../output/table.ts";
import { bytesText } from "../output/text.ts";
import type { Finding } from "./finding.ts";
import type { Report } from "./report.ts";

/** The URL of a PostgreSQL whose log caches follow. */
export const postgresUrl = (given: Arguments): string | undefined => {
  const url = given.text("url");
  return url !== undefined && /^postgres(?:ql)?:\/\//i.test(url) ? url : undefined;
};

const PUBLICATION = "hotset";

/** @throws {UsageError} */
export function publicationOf(given: Arguments): string {
  const name = given.text("publication") ?? PUBLICATION;
  if (/^[\w$-]{1,63}$/.test(name)) return name;
  throw new UsageError(`--publication must be letters, digits, _, $ and -, 63 at most, got ${shown(name)}`);
}

/** A slot of followers. Sizes are in bytes; `null` where the log of a slot is lost. */
interface Slot {
  readonly name: string;
  readonly isActive: boolean;
  /** `reserved`, `extended`, `unreserved` or `lost`. */
  readonly wal: string;
  readonly lagBytes: number | null;
  readonly keptBytes: number | null;
  /** What may still be written before log is dropped; `null` without a bound. */
  readonly leftBytes: number | null;
  /** Whether its position lies after the end of the log: the files of the server were set back. */
  readonly isAhead: boolean;
}

/** What a new slot needs. */
interface Room {
  readonly slots: number;
  readonly mostSlots: number;
  readonly senders: number;
  readonly mostSenders: number;
  /** Age of the oldest transaction that has written, of those that the role may see; `null` for none. */
  readonly oldestSeconds: number | null;
}

const ROOM = `select (select count(*) from pg_replication_slots)::float8 as slots,
  current_setting('max_replication_slots')::float8 as "mostSlots",
  (select count(*) from pg_stat_activity where backend_type = 'walsender')::float8 as senders,
  current_setting('max_wal_senders')::float8 as "mostSenders",
  (select extract(epoch from now() - min(began)) from (
    select xact_start as began from pg_stat_activity where backend_xid is not null
    union all select prepared from pg_prepared_xacts) as open)::float8 as "oldestSeconds"`;

const SERVER = `select current_setting('server_version') as version, current_user as user,
  current_setting('wal_level') as wal, current_setting('max_slot_wal_keep_size') as keeps`;

const SLOTS = `
  with now as (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as at)
  select slot_name as name, active as "isActive", wal_status as wal, safe_wal_size::float8 as "leftBytes",
    pg_wal_lsn_diff(now.at, confirmed_flush_lsn)::float8 as "lagBytes",
    pg_wal_lsn_diff(now.at, restart_lsn)::float8 as "keptBytes",
    case when pg_is_in_recovery() then false else confirmed_flush_lsn > pg_current_wal_insert_lsn() end as "isAhead"
  from pg_replication_slots, now
  where plugin = 'pgoutput' and database = current_database() and slot_name ~ $1 order by slot_name`;

/** Tables of a publication: for a partition the table that it is part of, whose name a program knows. */
const PUBLISHED = `select distinct coalesce(pg_partition_root(published), published)::regclass::text as name
  from (select format('%I.%I', schemaname, tablename)::regclass as published
    from pg_publication_tables where pubname = $1) as tables order by name`;

/** So far behind is a follower that confirms within a second, or an invalidation that is not acknowledged. */
const BEHIND_BYTES = 64 * 2 ** 20;

/** Asks for all that a follower needs, and what its slots keep. Reads catalogues alone, one connection. */
export async function diagnosePostgres(url: string, given: Arguments, io: Io): Promise<Report> {
  const needed = [import("pg"), import("@hotset/postgres-follow/internal")] as const;
  const [{ default: pg }, follow] = await Promise.all(needed).catch((error: unknown) => {
    if (!String((error as { readonly code?: unknown }).code).endsWith("MODULE_NOT_FOUND")) throw error;
    throw new UsageError("a PostgreSQL is looked at with two more packages: npm install @hotset/postgres-follow pg");
  });
  const timeoutMs = timeoutOf(given);
  const pool = new pg.Pool({
    connectionString: withPassword(url, io),
    max: 1,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    application_name: "hotset-cli",
  });
  pool.on("error", () => undefined);
  const interrupt = (): void => void pool.end();
  io.signal.addEventListener("abort", interrupt);
  try {
    return await reportOf(pool, publicationOf(given), follow);
  } catch (error) {
    const { message, code } = error as { readonly message?: string; readonly code?: string };
    throw new UnreachableError(`PostgreSQL could not be looked at: ${message || (code ?? "no reason was given")}`);
  } finally {
    io.signal.removeEventListener("abort", interrupt);
    if (!pool.ending) await pool.end();
  }
}

/** A URL without a password has that of `PGPASSWORD`, as for `psql`. */
function withPassword(text: string, { variables }: Io): string {
  try {
    const url = new URL(text);
    if (url.password === "") url.password = encodeURIComponent(variables["PGPASSWORD"] ?? "");
    return url.href;
  } catch {
    throw new UsageError("--url is no URL of PostgreSQL; it must be like postgres://user@host:5432/database");
  }
}

async function reportOf(
  pool: Pool,
  publication: string,
  { missing, slotsOf, TABLES, UNBOUNDED }: typeof import("@hotset/postgres-follow/internal"),
): Promise<Report> {
  const { rows: servers } = await pool.query<{ version: string; user: string; wal: string; keeps: string }>(SERVER);
  const { version, user, wal, keeps } = servers[0]!;
  const { rows: slots } = await pool.query<Slot>(SLOTS, [slotsOf("[a-z0-9_]+")]);
  const { rows: published } = await pool.query<{ name: string }>(PUBLISHED, [publication]);
  const tables = published.map(({ name }) => name);
  const settings = { wal_level: wal, max_slot_wal_keep_size: keeps };
  const findings = slotFindings(slots, keeps);
  const { rows: rooms } = await pool.query<Room>(ROOM);
  findings.push(...roomFindings(rooms[0]!));
  const { rows } = await pool.query<Record<string, unknown>>(TABLES, [tables, publication]);
  findings.push(...identityFindings(rows));
  for await (const text of missing(pool, publication, rows)) {
    const [found, remedy] = text.split(/; (?:run: )?(.*)/s) as [string, string];
    const severity = text === UNBOUNDED ? "warning" : "error";
    const evidence = { version, ...settings, publication, tables };
    findings.push({ check: "publication", severity, found, evidence, fix: remedy });
  }
  if (rows.length === 0 && !findings.some(({ found }) => found.startsWith("the publication")))
    findings.push({
      ...{ check: "publication", severity: "error", found: `the publication ${publication} has no table` },
      evidence: { publication },
      fix: `ALTER PUBLICATION "${publication}" ADD TABLE <tables>;`,
    });
  return {
    findings,
    json: { servers: [{ name: "PostgreSQL", version, ...settings }], user, publication, tables, slots },
    about: fields([
      ["server", `PostgreSQL ${version}`],
      ["user", user],
      ["publication", publication],
      ["tables", tables.join(", ") || "none"],
      ...slots.map(
        ({ name, isActive, lagBytes, keptBytes }) =>
          [
            "slot",
            `${name}  ${isActive ? "followed" : "not followed"}, ${bytesText(lagBytes ?? 0)} behind, ${bytesText(keptBytes ?? 0)} of log kept`,
          ] as const,
      ),
    ]),
  };
}

function slotFindings(slots: readonly Slot[], keeps: string): Finding[] {
  const findings: Finding[] = [];
  const add = ({ name, wal, lagBytes, keptBytes, leftBytes }: Slot, finding: Omit<Finding, "check" | "evidence">) =>
    findings.push({
      ...finding,
      check: "slots",
      evidence: {
        ...{ slot: name, walStatus: wal, maxSlotWalKeepSize: keeps },
        ...(lagBytes === null ? undefined : { lagBytes }),
        ...(keptBytes === null ? undefined : { keptBytes }),
        ...(leftBytes === null ? undefined : { leftBytes }),
      },
    });
  for (const slot of slots) {
    const { name, isActive, isAhead, wal, lagBytes } = slot;
    const drop = `SELECT pg_drop_replication_slot('${name}');`;
    const more = "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();";
    if (wal === "lost")
      add(slot, {
        severity: "error",
        found: `the log of the slot ${name} is lost: the next process that follows clears the cache`,
        fix: `start a process that calls follow(), or, if none is to: ${drop} For longer outages: ${more}`,
      });
    else if (isAhead)
      add(slot, {
        severity: "error",
        found: `the position of the slot ${name} lies after the end of the log, as if the files of the server were set back: the next process that follows clears the cache`,
        fix: `start a process that calls follow(), or, if none is to: ${drop}`,
      });
    else if (!isActive)
      add(slot, {
        severity: "error",
        found: `no process follows the slot ${name}: changes of other programs are not seen, and their log is kept`,
        fix: `start a process that calls follow(), or, if none is to: ${drop}`,
      });
    else if ((lagBytes ?? 0) > BEHIND_BYTES)
      add(slot, {
        severity: "warning",
        found: `the process that follows the slot ${name} is ${bytesText(lagBytes!)} behind`,
        fix: "look at follower.stats() and the warnings HOTSET_FOLLOW_... of the process that follows",
      });
    if (wal === "unreserved")
      add(slot, {
        severity: "error",
        found: `the slot ${name} keeps more than max_slot_wal_keep_size: the next checkpoint drops its log`,
        fix: more,
      });
  }
  if (slots.length === 0)
    findings.push({
      ...{ check: "slots", severity: "warning", found: "no process has followed this database: there is no slot" },
      evidence: { slots: 0 },
      fix: "start a process that calls follow()",
    });
  return findings;
}

/** So old is a transaction that was forgotten. */
const FORGOTTEN_SECONDS = 600;

/** A slot that must be made needs a place, and waits for the transactions that are open. */
function roomFindings({ slots, mostSlots, senders, mostSenders, oldestSeconds }: Room): Finding[] {
  const findings: Finding[] = [];
  for (const [what, setting, used, most] of [
    ["replication slots", "max_replication_slots", slots, mostSlots],
    ["connections for logs", "max_wal_senders", senders, mostSenders],
  ] as const)
    if (used >= most)
      findings.push({
        ...{ check: "room", severity: "warning", found: `all ${what} are in use, so no further process can follow` },
        evidence: { [setting]: most },
        fix: `ALTER SYSTEM SET ${setting} = '${2 * most}'; and restart PostgreSQL`,
      });
  if (oldestSeconds !== null && oldestSeconds > FORGOTTEN_SECONDS)
    findings.push({
      check: "room",
      severity: "warning",
      found: `a transaction has been open for ${Math.round(oldestSeconds / 60)} minutes: a slot that must be made waits for it, and the cache is cleared every few seconds until then`,
      evidence: { seconds: Math.round(oldestSeconds) },
      fix: "end it: SELECT pid, state, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start; SELECT gid FROM pg_prepared_xacts;",
    });
  return findings;
}

/** An update of a partition of another identity clears the cache, where a rule reads beyond it. */
const identityFindings = (rows: readonly Record<string, unknown>[]): Finding[] =>
  rows.flatMap(({ quoted, mend, is_mixed }) =>
    is_mixed === true
      ? {
          ...{ check: "identity", severity: "warning" as const },
          found: `the partitions of ${String(quoted)}, or the tables that inherit from it, have different replica identities`,
          evidence: { table: String(quoted) },
          fix: String(mend),
        }
      : [],
  );
