import { refuse } from "./checks.ts";
import { ask, stateOf, type Asked, type Fields } from "./pool.ts";

/** What opens a slot: the connection of the log, whose steps have deadlines. */
export interface SlotLog extends Asked {
  /** Waits for a statement that may take as long as the transactions of others; `waiting` is called again and again. */
  patiently(text: string, waiting: () => void): Promise<unknown>;
  /** Ends all that the rules may concern; resolves once that is acknowledged. A reason is said in a warning. */
  clear(reason: string | undefined): Promise<void>;
}

export interface SlotOptions {
  /** The name of the slot without its end, which is the timeline of the server. */
  readonly slot: string;
  /**
   * For entries that no other process can end: how far this process has read the slot. Where another one reads it, this
   * one has a slot that ends with its connection. @default other processes stand in
   */
  readonly readTo: bigint | undefined;
  /** Whether the log of the present one cannot be read any more, for a reason that its state does not show. */
  readonly isUnreadable: boolean;
  /** Why changes may be missing although the slot is there. */
  readonly gap: string | undefined;
}

/** Names of slots that belong together, as a pattern of PostgreSQL. */
export const slotsOf = (base: string): string => `^${base}_t[0-9]+$`;

/**
 * The slot of this server's timeline. If there is none, or its log is lost, changes may have been missed: a new one
 * begins, and everything is cleared before it can be seen, so that a crash in between repeats both. It waits for the
 * transactions that are open; until it is there, nothing of the log is seen, and everything is cleared again and again.
 *
 *     none, lost, another timeline ──▶ temporary slot ──▶ clear, acknowledged ──▶ copied to the slot ──▶ followed
 *
 * The name has the timeline, since a slot that was carried over a failover (PostgreSQL 17) does not say so, and the
 * server that was promoted may lack transactions whose rows were cached.
 *
 * @returns its name; `undefined` where another process follows it.
 */
export async function openSlot(log: SlotLog, options: SlotOptions): Promise<string | undefined> {
  const { slot: base, readTo, isUnreadable, gap } = options;
  const [system] = await ask(log, "IDENTIFY_SYSTEM");
  const [own] = await ask(log, "select pg_backend_pid() as pid");
  const temporary = `${base}_${String(own!["pid"])}`;
  const name = `${base}_t${Number(system!["timeline"])}`;
  const slots = await ask(log, STATE(base));
  const current = slots.find((slot) => slot["name"] === name);
  if (current?.["is_here"] === false)
    refuse(
      `the slot ${name} belongs to the database ${String(current["database"])}; give the option slot another name`,
    );
  if (slots.some(({ active }) => active)) {
    if (readTo === undefined) return undefined;
    await made(log, temporary, `the slot ${temporary} does not exist, as it ends with its connection`);
    return temporary;
  }
  const reason = reasonOf(name, slots, isUnreadable);
  if (reason !== undefined) {
    for (const slot of slots) await log.query(`select pg_drop_replication_slot('${String(slot["name"])}')`);
    await made(log, temporary, reason);
    await log.query(`select pg_copy_logical_replication_slot('${temporary}', '${name}', false)`);
    await log.query(`select pg_drop_replication_slot('${temporary}')`);
  } else if (gap !== undefined) await log.clear(gap);
  else if (readTo !== undefined && BigInt(String(current!["confirmed"])) > readTo)
    await log.clear(readTo === 0n ? undefined : "another process has read the slot meanwhile");
  return name;
}

/** The log of a server whose files were set back ends before the position of a slot that was not. */
const STATE = (base: string): string => `select slot_name as name, active, database, wal_status,
  database = current_database() as is_here,
  (confirmed_flush_lsn - '0/0'::pg_lsn)::text as confirmed,
  case when pg_is_in_recovery() then false else confirmed_flush_lsn > pg_current_wal_insert_lsn() end as is_ahead
  from pg_replication_slots where slot_name ~ '${slotsOf(base)}'`;

/** Makes a temporary slot, and clears what was cached before it. */
async function made(log: SlotLog, name: string, reason: string): Promise<void> {
  const waits = `${reason}, and a new slot waits for the transactions that are open`;
  await log
    .patiently(
      `select pg_create_logical_replication_slot('${name}', 'pgoutput', true)`,
      // What it meets while it waits is repeated.
      () => void log.clear(waits).catch(() => undefined),
    )
    .catch((error: unknown) => {
      if (stateOf(error) === "53400")
        refuse(
          "all replication slots of the server are in use; run: ALTER SYSTEM SET max_replication_slots = 40; and restart PostgreSQL, or give the cache a backend, whose processes share one",
          error,
        );
      throw error;
    });
  await log.clear(reason);
}

function reasonOf(name: string, slots: readonly Fields[], isUnreadable: boolean): string | undefined {
  const current = slots.find((slot) => slot["name"] === name);
  if (slots.length === 0) return `the slot ${name} does not exist`;
  if (current === undefined) return "the server is on another timeline, as after a failover";
  if (current["is_ahead"] === true) return `the position of the slot ${name} is after the end of the log`;
  return isUnreadable || current["wal_status"] === "lost"
    ? `the log after the position of the slot ${name} is lost`
    : undefined;
}
