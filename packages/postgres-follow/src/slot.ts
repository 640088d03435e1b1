import type { Client } from "pg";
import { refuse } from "./checks.ts";
import { ask, type Fields } from "./pool.ts";

export interface SlotOptions {
  /** Its beginning: the timeline of the server is its end. */
  readonly slot: string;
  /** Whether the log of the present one cannot be read any more, for a reason that its state does not show. */
  readonly isUnreadable: boolean;
}

/** Names of slots that belong together, as a pattern of PostgreSQL. */
export const slotsOf = (base: string): string => `^${base}_t[0-9]+$`;

/**
 * The slot of this server's timeline. If there is none, or its log is lost, changes may have been missed: a new one
 * begins, and everything is cleared before it can be seen, so that a crash in between repeats both.
 *
 *     none, lost, another timeline ──▶ temporary slot ──▶ clear, acknowledged ──▶ copied to the slot ──▶ followed
 *
 * The name has the timeline, since a slot that was carried over a failover (PostgreSQL 17) does not say so, and the
 * server that was promoted may lack transactions whose rows were cached.
 *
 * A lock of the connection, held until that ends, makes one process of all do this.
 *
 * @param clear ends all that the rules may concern; resolves once that is acknowledged.
 * @returns its name; `undefined` where another process follows it, or makes it.
 */
export async function openSlot(
  client: Client,
  { slot: base, isUnreadable }: SlotOptions,
  clear: (reason: string) => Promise<void>,
): Promise<string | undefined> {
  const [system] = await ask(client, "IDENTIFY_SYSTEM");
  const name = `${base}_t${Number(system!["timeline"])}`;
  const [own] = await ask(
    client,
    `select pg_try_advisory_lock(hashtext('hotset follow'), hashtext('${base}')) as is_locked, pg_backend_pid() as pid`,
  );
  if (own!["is_locked"] !== true) return undefined;
  const slots = await ask(
    client,
    `select slot_name as name, active, database, wal_status, database = current_database() as is_here
      from pg_replication_slots where slot_name ~ '${slotsOf(base)}'`,
  );
  const current = slots.find((slot) => slot["name"] === name);
  if (current?.["is_here"] === false)
    refuse(
      `the slot ${name} belongs to the database ${String(current["database"])}; give the option slot another name`,
    );
  if (slots.some(({ active }) => active)) return undefined;
  if (current === undefined || isUnreadable || current["wal_status"] === "lost") {
    const temporary = `${base}_${String(own!["pid"])}`;
    for (const slot of slots) await client.query(`select pg_drop_replication_slot('${String(slot["name"])}')`);
    await client.query(`select pg_create_logical_replication_slot('${temporary}', 'pgoutput', true)`);
    await clear(reasonOf(name, slots));
    await client.query(`select pg_copy_logical_replication_slot('${temporary}', '${name}', false)`);
    await client.query(`select pg_drop_replication_slot('${temporary}')`);
  }
  return name;
}

function reasonOf(name: string, slots: readonly Fields[]): string {
  if (slots.length === 0) return `the slot ${name} does not exist`;
  return slots.some((slot) => slot["name"] === name)
    ? `the log after the position of the slot ${name} is lost`
    : "the server is on another timeline, as after a failover";
}
