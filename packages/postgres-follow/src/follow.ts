import type { Client } from "pg";
import { BackendUnavailableError, ConfigurationError, systemClock } from "@hotset/core";
import { within } from "@hotset/core/internal";
import { check, refuse, type FollowedTable } from "./checks.ts";
import { Following } from "./following.ts";
import type { FollowOptions } from "./options.ts";
import { settingsOf, type Settings } from "./settings.ts";
import { Outbox, type Followed } from "./outbox.ts";
import { ask, connect, stateOf, type FollowPool } from "./pool.ts";
import { openSlot, slotsOf } from "./slot.ts";
import { ALL, type AnyRow } from "./targets.ts";

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
  /** Calls of the cache that were made for them. */
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
  const settings = settingsOf(pool, cache, options as FollowOptions<never>);
  const follower = new SlotFollower(pool, cache, settings);
  try {
    await follower.start();
  } catch (error) {
    await follower.close();
    if (error instanceof ConfigurationError) throw error;
    const reason = stateOf(error) === undefined ? "could not be reached" : `refused: ${(error as Error).message}`;
    throw new BackendUnavailableError(`follow: PostgreSQL ${reason}`, { operation: "follow", cause: error });
  }
  return follower;
}

class SlotFollower implements Follower {
  readonly #pool: FollowPool;
  readonly #cache: Followed;
  readonly #settings: Settings;
  #isClosed = false;
  /** Ends a pause early. */
  #wake: () => void = () => undefined;
  #client: Client | undefined;
  #following: Following | undefined;
  #loop: Promise<void> | undefined;
  #isUnreadable = false;
  #stats: Omit<FollowerStats, "lagMs"> = {
    role: "connecting",
    slot: undefined,
    lagBytes: undefined,
    changes: 0,
    calls: 0,
    clears: 0,
    error: undefined,
  };

  constructor(pool: FollowPool, cache: Followed, settings: Settings) {
    this.#pool = pool;
    this.#cache = cache;
    this.#settings = settings;
  }

  stats(): FollowerStats {
    return { ...this.#stats, lagMs: this.#following?.lagMs };
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
      try {
        await Promise.race([this.#pause(), ...(this.#following === undefined ? [] : [this.#following.ended])]);
        await this.#turn();
      } catch (error) {
        await this.#leave();
        if (!this.#isClosed) this.#lost(error);
      }
    }
  }

  /** Follows, if no process does. */
  async #turn(): Promise<void> {
    const isFollowed = await this.#poll();
    if (this.#following !== undefined || this.#isClosed) return;
    if (!isFollowed) {
      const { silenceMs, slot: base } = this.#settings;
      const followed = await within(systemClock, 6 * silenceMs, check(this.#pool, this.#settings), () => {
        throw new Error(`PostgreSQL did not answer within ${6 * silenceMs} ms`);
      });
      this.#client = await connect(this.#pool, silenceMs).catch((error: unknown) => refused(error, this.#pool));
      const options = { base, isUnreadable: this.#isUnreadable, clear: (reason: string) => this.#clear(reason) };
      const slot = await openSlot(this.#client, options);
      if (slot !== undefined && (await this.#begins(this.#client, slot, followed))) return;
    }
    await this.#leave();
    this.#note({ role: "waiting", error: undefined });
  }

  /** @returns `false` where another process was faster. */
  async #begins(client: Client, slot: string, followed: readonly FollowedTable[]): Promise<boolean> {
    try {
      this.#following = await Following.start({
        ...this.#settings,
        cache: this.#cache,
        pool: this.#pool,
        client,
        slot,
        followed,
        onChange: () => this.#note({ changes: this.#stats.changes + 1 }),
        onCall: () => this.#note({ calls: this.#stats.calls + 1 }),
        onCacheClosed: () => void this.close(),
      });
    } catch (error) {
      if (stateOf(error) === "55006") return false;
      throw error;
    }
    this.#isUnreadable = false;
    this.#note({ role: "following", slot, error: undefined });
    if (this.#isClosed) await this.#leave();
    return true;
  }

  /** @returns whether a process follows. */
  async #poll(): Promise<boolean> {
    const { silenceMs, slot: base } = this.#settings;
    const asked = ask(this.#pool, STATE, [slotsOf(base)]);
    const [row] = await within(systemClock, silenceMs, asked, () => {
      throw new Error(`PostgreSQL did not answer within ${silenceMs} ms`);
    });
    this.#note({ slot: row?.["slot"] as string | undefined, lagBytes: row && Number(row["lag"]) });
    return row?.["active"] === true;
  }

  async #clear(reason: string): Promise<void> {
    const { warn } = this.#settings;
    warn("GAP", `everything is cleared, as changes may have been missed: ${reason}`);
    this.#note({ clears: this.#stats.clears + 1 });
    const outbox = new Outbox({ cache: this.#cache, warn });
    outbox.add(ALL);
    await Promise.race([outbox.flush(), new Promise<void>((resolve) => (this.#wake = resolve))]);
    outbox.close();
    if (this.#isClosed) throw new Error("closed before everything was cleared");
  }

  #lost(error: unknown): void {
    // The publication was not there when the log was written: no later repair makes that readable.
    if (stateOf(error) === "42704") this.#isUnreadable = true;
    this.#note({ role: "connecting", lagBytes: undefined, error: String(error) });
    this.#settings.warn("LOST", `the log is not followed by this process, which tries again: ${String(error)}`);
  }

  async #leave(): Promise<void> {
    const [following, client] = [this.#following, this.#client];
    this.#following = undefined;
    this.#client = undefined;
    await following?.end();
    await client?.end().catch(() => undefined);
  }

  /** Processes that wait do not ask all at once. */
  async #pause(): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const cancel = systemClock.schedule(resolve, POLL_MS * (0.75 + Math.random() / 2));
      this.#wake = () => (cancel(), resolve());
    });
  }

  #note(figures: Partial<FollowerStats>): void {
    this.#stats = { ...this.#stats, ...figures };
  }
}

async function refused(error: unknown, pool: FollowPool): Promise<never> {
  if (stateOf(error) !== "42501") throw error;
  const [{ role } = {}] = await ask(pool, "select quote_ident(current_user) as role");
  refuse(`the role of the pool may not read the log; run: ALTER ROLE ${String(role)} REPLICATION;`, error);
}
