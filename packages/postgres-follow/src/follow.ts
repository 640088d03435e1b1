import { CacheClosedError, CacheError, BackendUnavailableError, systemClock } from "@hotset/core";
import { check } from "./checks.ts";
import { Following } from "./following.ts";
import type { FollowOptions } from "./options.ts";
import type { Followed } from "./outbox.ts";
import { ask, bounded, stateOf, type FollowPool } from "./pool.ts";
import { settingsOf, type Settings } from "./settings.ts";
import { slotsOf } from "./slot.ts";
import type { AnyRow } from "./targets.ts";

/** Whether this process reads the log, or another one does, or PostgreSQL cannot be reached. */
export type FollowerRole = "following" | "waiting" | "connecting";

/** Figures of a follower. */
export interface FollowerStats {
  /** `following` in one process of all that share the slot. */
  readonly role: FollowerRole;
  /** Name of the slot; `undefined` before one was found. */
  readonly slot: string | undefined;
  /** Bytes of the log that are not confirmed: of the server, so in every process. `undefined` while unknown. */
  readonly lagBytes: number | undefined;
  /** Age of the oldest commit that is not invalidated yet, 0 for none; `undefined` where another process follows. */
  readonly lagMs: number | undefined;
  /** Rows, truncated tables and messages that this process has read. */
  readonly changes: number;
  /** Calls of the cache that were made for them, and to clear. */
  readonly calls: number;
  /** Times that everything was cleared, since changes may have been missed. */
  readonly clears: number;
  /** The last reason for not following; `undefined` while all is well. */
  readonly error: string | undefined;
}

/** Follows until it is closed. */
export interface Follower extends AsyncDisposable {
  /** Its figures now. Never throws. */
  stats(): FollowerStats;
  /** Frees the slot: another process follows. Neither the pool nor the cache is closed. Idempotent; never rejects. */
  close(): Promise<void>;
}

const STATE = `select s.slot_name as slot, s.active, (pg_wal_lsn_diff(case when pg_is_in_recovery()
    then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, s.confirmed_flush_lsn))::float8 as lag
  from pg_replication_slots s where s.slot_name ~ $1 order by s.active desc limit 1`;

const POLL_MS = 500;

/**
 * Reads the log of PostgreSQL, and ends the entries of `cache` that are made of changed rows. Each process calls it;
 * one of them follows, and another takes over if that ends.
 *
 * Resolves once this process follows, or another one does.
 *
 * @param pool the Pool of `pg` that your queries use. Two of its connections are used, and one more for the log.
 * @param cache the cache, or the namespace, that the rules are about.
 * @throws {ConfigurationError} where the log would lack something, with the statement that mends it.
 * @throws {InvalidArgumentError} for an option that can never work.
 * @throws {BackendUnavailableError} if PostgreSQL does not answer at the start. Later it is waited for.
 */
export async function follow<R extends object = Readonly<Record<string, AnyRow>>>(
  pool: FollowPool,
  cache: Followed,
  options: FollowOptions<R>,
): Promise<Follower> {
  const follower = new SlotFollower(settingsOf(pool, cache, options as FollowOptions<never>));
  try {
    await follower.start();
  } catch (error) {
    await follower.close();
    if (error instanceof CacheError) throw error;
    const reason = stateOf(error) === undefined ? "could not be reached" : `refused: ${(error as Error).message}`;
    throw new BackendUnavailableError(`follow: PostgreSQL ${reason}`, { operation: "follow", cause: error });
  }
  return follower;
}

class SlotFollower implements Follower {
  readonly #settings: Settings;
  readonly #figures = {
    role: "connecting" as FollowerRole,
    slot: undefined as string | undefined,
    lagBytes: undefined as number | undefined,
    changes: 0,
    calls: 0,
    clears: 0,
    error: undefined as string | undefined,
  };
  #isClosed = false;
  /** Ends a pause early. */
  #wake: () => void = () => undefined;
  /** From the attempt to follow on. */
  #following: Following | undefined;
  #loop: Promise<void> | undefined;
  #isUnreadable = false;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  stats(): FollowerStats {
    return { ...this.#figures, lagMs: this.#following?.lagMs };
  }

  async start(): Promise<void> {
    await this.#turn();
    this.#loop = this.#run();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    await this.#leave();
    await this.#loop;
  }

  readonly [Symbol.asyncDispose] = (): Promise<void> => this.close();

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      await this.#pause();
      await this.#turn().catch((error: unknown) => this.#lost(error));
    }
  }

  /** Follows, if no process does. */
  async #turn(): Promise<void> {
    if (this.#following?.failure !== undefined) throw this.#following.failure;
    const { pool, silenceMs, slot } = this.#settings;
    const [row] = await bounded(silenceMs, ask(pool, STATE, [slotsOf(slot)]));
    Object.assign(this.#figures, { slot: row?.["slot"], lagBytes: row && Number(row["lag"]) });
    if (this.#following !== undefined || this.#isClosed) return;
    const isHere = row?.["active"] !== true && (await this.#begin());
    if (isHere) this.#isUnreadable = false;
    else await this.#leave();
    Object.assign(this.#figures, { role: isHere ? "following" : "waiting", error: undefined });
  }

  /** @returns `false` where another process was faster. */
  async #begin(): Promise<boolean> {
    const tables = await bounded(6 * this.#settings.silenceMs, check(this.#settings));
    if (this.#isClosed) return false;
    this.#following = new Following({
      ...this.#settings,
      tables,
      isUnreadable: this.#isUnreadable,
      figures: this.#figures,
      onEnd: () => this.#wake(),
    });
    return this.#following.start();
  }

  async #lost(error: unknown): Promise<void> {
    await this.#leave();
    if (error instanceof CacheClosedError) this.#isClosed = true;
    if (this.#isClosed) return;
    // The publication was not there when the log was written: no later repair makes that readable.
    if (stateOf(error) === "42704") this.#isUnreadable = true;
    Object.assign(this.#figures, { role: "connecting", lagBytes: undefined, error: String(error) });
    this.#settings.warn("LOST", `the log is not followed by this process, which tries again: ${String(error)}`);
  }

  async #leave(): Promise<void> {
    const following = this.#following;
    this.#following = undefined;
    await following?.end();
  }

  /** Processes that wait do not ask all at once. */
  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = systemClock.schedule(resolve, POLL_MS * (0.75 + Math.random() / 2));
      this.#wake = () => (cancel(), resolve());
    });
  }
}
