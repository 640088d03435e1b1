import { systemClock } from "@hotset/core";
import { ask } from "./pool.ts";
import type { Questions } from "./questions.ts";
import type { Progress } from "./records.ts";
import type { Settings } from "./settings.ts";
import { slotsOf } from "./slot.ts";

/** A follower writes its record every two seconds. */
const STRANGE_AFTER_MS = 10_000;
/** Until then it is a deployment in progress, or one that was taken back. */
const FORMER_AFTER_MS = 10 * 60_000;
const FORMER_LOOK_MS = 30_000;

/** What the processes of one slot know of each other: by PostgreSQL, as they need no other server. */
export class StandIns {
  readonly #questions: Questions;
  readonly #settings: Settings;
  #strange: { readonly processId: number; readonly since: number } | undefined;
  readonly #idleSince = new Map<string, number>();
  #lookedAt = -Infinity;

  constructor(questions: Questions, settings: Settings) {
    this.#questions = questions;
    this.#settings = settings;
  }

  /** Says, by the name of this connection, whether this process would follow and reaches its cache. */
  async isReady(slot: string | undefined, isReady: boolean): Promise<void> {
    const name = isReady ? nameOf(slot!) : "hotset follow questions";
    await ask(this.#questions, "select set_config('application_name', $1, false)", [name]).catch(() => undefined);
  }

  /** Whether another process is ready to follow. */
  async isAnother(slot: string): Promise<boolean> {
    const [row] = await ask(
      this.#questions,
      `select exists (select from pg_stat_activity
        where application_name = $1 and datname = current_database() and pid <> pg_backend_pid()) as is_there`,
      [nameOf(slot)],
    ).catch(() => []);
    return row?.["is_there"] === true;
  }

  /** Whether the process that follows has written no record to the backend of this cache for 10 s. */
  async isStrange(processId: number | null, progress: () => Promise<Progress | undefined>): Promise<boolean> {
    const isOther = processId !== null && (await progress())?.processId !== processId;
    if (!isOther) this.#strange = undefined;
    else if (this.#strange?.processId !== processId) this.#strange = { processId, since: systemClock.now() };
    if (this.#strange === undefined || systemClock.now() - this.#strange.since < STRANGE_AFTER_MS) return false;
    this.#strange = undefined;
    return true;
  }

  /**
   * Drops slots of the same cache for other tables that no process reads any more, as after a deployment: each keeps the
   * log from being removed. If its readers come back, they begin with a clear.
   */
  async dropFormer(beginning: string, own: string): Promise<void> {
    const now = systemClock.now();
    if (now - this.#lookedAt < FORMER_LOOK_MS) return;
    this.#lookedAt = now;
    const slots = await ask<{ name: string }>(
      this.#questions,
      `select slot_name::text as name from pg_replication_slots where slot_name ~ $1 and slot_name !~ $2
        and not active and not temporary and database = current_database()`,
      [`^${beginning}[a-z0-9]{5}_t[0-9]+$`, slotsOf(own)],
    );
    const names = new Set(slots.map(({ name }) => name));
    for (const name of this.#idleSince.keys()) if (!names.has(name)) this.#idleSince.delete(name);
    for (const name of names) {
      const since = this.#idleSince.get(name) ?? now;
      this.#idleSince.set(name, since);
      if (now - since < FORMER_AFTER_MS) continue;
      await ask(this.#questions, "select pg_drop_replication_slot($1)", [name]);
      this.#settings.warn("SLOT", `the slot ${name}, which no process has read for 10 minutes, was dropped`);
    }
  }

  /** Drops a slot that this process has left, if no other one reads it. */
  async drop(slot: string): Promise<void> {
    await ask(
      this.#questions,
      `select pg_drop_replication_slot(slot_name) from pg_replication_slots
        where slot_name ~ $1 and not active and database = current_database()`,
      [slotsOf(slot)],
    ).catch(() => undefined);
  }
}

/** At most 63 characters, as PostgreSQL keeps. */
const nameOf = (slot: string): string => `hotset for ${slot}`;
