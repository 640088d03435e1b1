import { BackendUnavailableError, CacheClosedError, systemClock } from "@hotset/core";
import { within } from "@hotset/core/internal";
import { check, encodingOf, refuse, type FollowedTable } from "./checks.ts";
import { conditionsOf, differenceOf, type Conditions } from "./conditions.ts";
import type { Follower, FollowerRole, FollowerStats } from "./figures.ts";
import { Following } from "./following.ts";
import { ask, stateOf } from "./pool.ts";
import { Questions } from "./questions.ts";
import { Records, slotOf, slotsOfBackend } from "./records.ts";
import type { Settings } from "./settings.ts";
import { slotsOf } from "./slot.ts";
import { StandIns } from "./stand-ins.ts";

/** The slot, and where the log ends. `$2` is a position that was on disk: the log of a server never ends before it. */
const STATE = `with here as (select
    case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as at,
    case when pg_is_in_recovery() then null else pg_current_wal_flush_lsn() end as flushed)
  select here.flushed::text as flushed, coalesce(here.flushed < $2::pg_lsn, false) as "isBack",
    s.slot_name::text as slot, coalesce(s.active, false) as "isActive", s.active_pid as "processId",
    pg_wal_lsn_diff(here.at, s.confirmed_flush_lsn)::float8 as lag
  from here left join pg_replication_slots s on s.slot_name ~ $1 order by s.active desc nulls last limit 1`;

interface State {
  readonly flushed: string | null;
  readonly isBack: boolean;
  readonly slot: string | null;
  readonly isActive: boolean;
  readonly processId: number | null;
  readonly lag: number | null;
}

const POLL_MS = 500;
/** How often conditions, and the records in the backend, are looked at. */
const LOOK_MS = 2_000;
/** A cache that has acknowledged nothing for so long: another process follows, if its cache answers. */
const HANDOVER_MS = 3_000;

const SET_BACK = "the log of the server ends before a position that was written, as if its files were set back";

/**
 * One process of those that share a slot.
 *
 *     connecting ──its cache and PostgreSQL answer──▶ waiting ──the slot is free──▶ opening ──▶ following
 *         ▲                                              │                             │            │
 *         └───────── an error, or a step that takes too long; a cache that does not answer ◀────────┘
 *
 * | step | ends after |
 * |---|---|
 * | a question | `silence`, 2 s at least; its connection is replaced |
 * | connecting | `silence`, 4 s at least |
 * | each statement of the log, the beginning of the stream | `silence` in which the server does not work on it |
 * | making a slot | with the transactions that are open; a process that is frozen meanwhile loses its lock after `silence` |
 * | following | `silence` in which the server neither sends nor works; 3 s without an acknowledgement, if another process is ready |
 *
 * In opening, a lock of the connection for questions makes one process of all do it. While following, the conditions of
 * the log are looked at every two seconds, and with each table that the log begins to speak of.
 */
export class SlotFollower implements Follower {
  readonly #settings: Settings;
  readonly #questions: Questions;
  readonly #records: Records | undefined;
  readonly #standIns: StandIns;
  /** No other process reaches the entries of this one. */
  readonly #isAlone: boolean;
  readonly #figures = {
    role: "connecting" as FollowerRole,
    slot: undefined as string | undefined,
    lagBytes: undefined as number | undefined,
    changes: 0,
    calls: 0,
    clears: 0,
    error: undefined as string | undefined,
  };
  readonly #followed: { tables: readonly FollowedTable[] } = { tables: [] };
  #isClosed = false;
  #hasStarted = false;
  /** Ends a pause early. */
  #wake: () => void = () => undefined;
  /** From the attempt to follow on. */
  #following: Following | undefined;
  #loop: Promise<void> | undefined;
  #isUnreadable = false;
  /** The slot without its timeline; `undefined` until the backend is known. */
  #slot: string | undefined;
  /** A position that was on disk. */
  #position: string | null = null;
  #gap: string | undefined;
  /** How far this process has confirmed the log. */
  #readTo = 0n;
  /** The conditions at the time when everything that was cached before had been cleared. */
  #conditions: Conditions | undefined;
  #lacks: readonly string[] = [];
  #lookedAt = -Infinity;
  #clearedAt = -Infinity;
  #visitedAt = -Infinity;

  constructor(settings: Settings) {
    const { pool, place, silenceMs } = settings;
    this.#settings = settings;
    this.#questions = new Questions(pool, silenceMs);
    this.#records = Records.of(place);
    this.#isAlone = place !== undefined && place.backend === undefined;
    this.#standIns = new StandIns(this.#questions, settings);
  }

  stats(): FollowerStats {
    return { ...this.#figures, lagMs: this.#following?.lagMs };
  }

  async start(): Promise<void> {
    const { lacks } = await check(this.#questions, this.#settings);
    if (lacks[0] !== undefined) refuse(lacks[0]);
    await this.#turn().catch((error: unknown) => {
      // Of the cache: PostgreSQL is asked with errors of other kinds.
      if (!(error instanceof BackendUnavailableError)) throw error;
      return this.#lost(error);
    });
    this.#hasStarted = true;
    this.#loop = this.#run();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    await this.#leave();
    this.#questions.close();
    await this.#loop;
  }

  readonly [Symbol.asyncDispose] = (): Promise<void> => this.close();

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      await this.#pause();
      await this.#turn().catch((error: unknown) => this.#lost(error));
    }
  }

  async #turn(): Promise<void> {
    if (this.#isClosed) return;
    if (this.#following !== undefined) return this.#guard(this.#following);
    await this.#visit();
    const state = await this.#state();
    if (this.#isClosed) return;
    const isHere = (this.#isAlone || !state.isActive) && (await this.#open());
    if (!isHere) {
      await this.#leave();
      await this.#wait(state);
    }
    Object.assign(this.#figures, { role: isHere ? "following" : "waiting", error: undefined });
  }

  /** Learns which backend the cache has, and so which slot. @throws {BackendUnavailableError} if it does not answer. */
  async #visit(): Promise<void> {
    const now = systemClock.now();
    if (this.#slot !== undefined && (this.#records === undefined || now - this.#visitedAt < LOOK_MS)) return;
    try {
      await this.#records?.look();
      this.#visitedAt = now;
    } catch (error) {
      await this.#standIns.isReady(this.#slot, false);
      throw error;
    }
    const former = this.#slot;
    this.#slot = slotOf(this.#settings, this.#records?.id);
    if (former !== undefined && former !== this.#slot) this.#conditions = undefined;
  }

  async #state(): Promise<State> {
    const isOwn = this.#isAlone && this.#figures.role === "following";
    const pattern = isOwn ? `^${this.#figures.slot}$` : slotsOf(this.#slot!);
    const [state] = await ask<State>(this.#questions, STATE, [pattern, this.#position]);
    Object.assign(this.#figures, {
      slot: state!.slot ?? undefined,
      lagBytes: state!.lag === null ? undefined : Number(state!.lag),
    });
    if (state!.isBack) this.#gap = SET_BACK;
    this.#position = state!.flushed;
    return state!;
  }

  /** Another process follows: this one may take over, if its cache answers and is the same. */
  async #wait({ processId, isActive }: State): Promise<void> {
    const records = this.#records;
    await this.#standIns.isReady(this.#slot, true);
    if (records === undefined || !isActive) return;
    if (await this.#standIns.isStrange(processId, () => records.progress(this.#slot!))) {
      await records.rename();
      this.#visitedAt = -Infinity;
      this.#settings.warn(
        "BACKEND",
        `the process that reads the slot ${String(this.#figures.slot)} does not reach the backend of this cache, which may be a copy of another one; it gets a slot of its own`,
      );
    }
  }

  /** @returns `false` where another process was faster. */
  async #open(): Promise<boolean> {
    const [slot, questions] = [this.#slot!, this.#questions];
    const lock = "(hashtext('hotset follow'), hashtext($1))";
    const [own] = await ask(questions, `select pg_try_advisory_lock${lock} as is_locked`, [slot]);
    if (own!["is_locked"] !== true) return false;
    try {
      const isHere = await this.#begin();
      if (isHere) await this.#standIns.isReady(slot, false);
      return isHere;
    } finally {
      await ask(questions, `select pg_advisory_unlock${lock}`, [slot]).catch(() => undefined);
    }
  }

  async #begin(): Promise<boolean> {
    const [slot, questions] = [this.#slot!, this.#questions];
    const conditions = await this.#conditionsNow();
    await this.#check();
    if (this.#lacks[0] !== undefined) await this.#refuse(this.#lacks[0]);
    const gap = await this.#gapBefore(conditions);
    if (this.#isClosed) return false;
    const following = new Following({
      ...this.#settings,
      ...{ slot, gap, questions, isUnreadable: this.#isUnreadable },
      readTo: this.#isAlone ? this.#readTo : undefined,
      encoding: await encodingOf(questions),
      followed: this.#followed,
      figures: this.#figures,
      onRelation: () => this.#lookNow(),
      onEnd: () => this.#wake(),
    });
    this.#following = following;
    if (!(await following.start())) return false;
    Object.assign(this.#figures, { role: "following", error: undefined });
    this.#isUnreadable = false;
    this.#gap = undefined;
    this.#conditions = conditions;
    this.#lookedAt = systemClock.now();
    await this.#report(following);
    return true;
  }

  /** Why changes may have been missed while no process looked; `undefined` if none was. */
  async #gapBefore(now: Conditions): Promise<string | undefined> {
    const progress = await this.#records?.progress(this.#slot!);
    if (progress !== undefined && this.#position !== null) {
      const [row] = await ask(this.#questions, "select $1::pg_lsn > $2::pg_lsn as is_back", [
        progress.position,
        this.#position,
      ]);
      if (row!["is_back"] === true) return SET_BACK;
    }
    if (this.#gap !== undefined) return this.#gap;
    const difference = this.#conditions && (await differenceOf(this.#questions, this.#conditions, now));
    if (difference !== undefined) return difference;
    return progress !== undefined && progress.conditions !== now.digest
      ? "tables or the publication were changed while no process followed"
      : undefined;
  }

  /** Follows on, or throws. */
  async #guard(following: Following): Promise<void> {
    following.throwIfEnded();
    await following.checkSilence();
    if (following.unacknowledgedMs > HANDOVER_MS && !this.#isAlone && (await this.#standIns.isAnother(this.#slot!))) {
      this.#visitedAt = -Infinity;
      throw new BackendUnavailableError("the cache acknowledged nothing for 3 s, and another process takes over");
    }
    try {
      await this.#state();
      if (systemClock.now() - this.#lookedAt >= LOOK_MS) await this.#look(following);
      this.#figures.error = this.#lacks[0];
    } catch (error) {
      following.throwIfEnded();
      if (error instanceof AnotherBackendError) throw error;
      // The log is read. A lock on a catalogue or a table is one of a change that has not committed.
      if (stateOf(error) === "55P03") return;
      this.#figures.error = String(error);
      this.#settings.warn("CONDITIONS", `the conditions of the log could not be looked at: ${String(error)}`);
    }
  }

  /** Any difference is a gap; what is lacking is one for as long as it lacks. */
  async #look(following: Following): Promise<void> {
    this.#lookedAt = systemClock.now();
    const conditions = await this.#conditionsNow();
    const difference = this.#conditions && (await differenceOf(this.#questions, this.#conditions, conditions));
    if (conditions.digest !== this.#conditions?.digest || this.#lacks.length > 0) await this.#check();
    const reason = this.#gap ?? difference ?? (this.#isClearDue() ? this.#lacks[0] : undefined);
    if (reason !== undefined) {
      this.#clearedAt = systemClock.now();
      await acknowledged(following.clear(reason));
    }
    this.#gap = undefined;
    this.#conditions = conditions;
    await this.#records?.look();
    if (!this.#isAlone && this.#slot !== slotOf(this.#settings, this.#records?.id)) throw new AnotherBackendError();
    await this.#report(following);
    await this.#standIns.dropFormer(slotsOfBackend(this.#settings, this.#records?.id), this.#slot!);
  }

  #lookNow(): void {
    this.#lookedAt = -Infinity;
    this.#wake();
  }

  #conditionsNow(): Promise<Conditions> {
    const { publication, tables } = this.#settings;
    return conditionsOf(this.#questions, { publication, names: tables.map(({ name }) => name) });
  }

  async #check(): Promise<void> {
    const { tables, lacks } = await check(this.#questions, this.#settings);
    // One that was renamed is still known by its number.
    const kept = this.#followed.tables.filter(({ changed }) => !tables.some((table) => table.changed === changed));
    this.#followed.tables = [...tables, ...kept];
    this.#lacks = lacks;
  }

  async #report({ processId }: Following): Promise<void> {
    if (this.#position === null || processId === undefined || this.#conditions === undefined) return;
    const progress = { processId, position: this.#position, conditions: this.#conditions.digest };
    await this.#records?.report(this.#slot!, progress).catch(() => undefined);
  }

  #isClearDue(): boolean {
    return systemClock.now() - this.#clearedAt >= this.#settings.silenceMs;
  }

  /** Changes are missed for as long as this lacks. @throws {ConfigurationError} */
  async #refuse(text: string): Promise<never> {
    if (this.#hasStarted && this.#isClearDue()) {
      this.#clearedAt = systemClock.now();
      this.#figures.clears += 1;
      this.#settings.warn("GAP", `everything is cleared, as changes may have been missed: ${text}`);
      await acknowledged(this.#settings.cache.clear());
    }
    return refuse(text);
  }

  async #lost(error: unknown): Promise<void> {
    const isAnother = error instanceof AnotherBackendError;
    await this.#leave();
    if (error instanceof CacheClosedError || this.#settings.place?.lifecycle.isOpen === false) this.#isClosed = true;
    if (this.#isClosed) return this.#questions.close();
    if (isAnother) await this.#standIns.drop(this.#slot!);
    // The publication was not there when the log was written: no later repair makes that readable.
    if (stateOf(error) === "42704") this.#isUnreadable = true;
    Object.assign(this.#figures, { role: "connecting", lagBytes: undefined, error: String(error) });
    this.#settings.warn("LOST", `the log is not followed by this process, which tries again: ${String(error)}`);
  }

  async #leave(): Promise<void> {
    const following = this.#following;
    this.#following = undefined;
    if (following !== undefined && following.confirmed > this.#readTo) this.#readTo = following.confirmed;
    await following?.end();
  }

  /** Spreads the questions of processes that wait. */
  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = systemClock.schedule(resolve, POLL_MS * (0.75 + Math.random() / 2));
      this.#wake = () => (cancel(), resolve());
    });
  }
}

class AnotherBackendError extends Error {
  constructor() {
    super("the cache has another backend than before, and so another slot");
  }
}

/** @throws {BackendUnavailableError} if a clear takes longer; it is made again at the next look. */
const acknowledged = (clear: Promise<unknown>): Promise<unknown> =>
  within(systemClock, HANDOVER_MS, clear, () => {
    throw new BackendUnavailableError(`the cache did not acknowledge a clear within ${HANDOVER_MS} ms`);
  });
