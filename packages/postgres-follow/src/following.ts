import { once } from "node:events";
import { systemClock } from "@hotset/core";
import type { Client } from "pg";
import { PgoutputPlugin, type Pgoutput } from "pg-logical-replication";
import { refuse } from "./checks.ts";
import { changesIn, type LogSource } from "./log-changes.ts";
import { Outbox } from "./outbox.ts";
import { ask, bounded, connectingMs, logClient, patienceMs, stateOf, typesOf, type LogConnection } from "./pool.ts";
import type { Questions } from "./questions.ts";
import type { Settings } from "./settings.ts";
import { openSlot, type SlotLog, type SlotOptions } from "./slot.ts";
import { ALL } from "./targets.ts";

export interface FollowingOptions extends Settings, SlotOptions, Pick<LogSource, "encoding" | "followed"> {
  readonly questions: Questions;
  readonly figures: { slot: string | undefined; changes: number; calls: number; clears: number };
  /** Called where the log says that a table may be another one than before. */
  readonly onRelation: () => void;
  /** Called with any end. */
  readonly onEnd: () => void;
}

/** Targets that may wait here; beyond, the log waits in the server. */
const MOST_WAITING = 10_000;
/** So many of one transaction are sent before its end arrives: it has committed when its beginning arrives. */
const EARLY = 1_000;
/** From 1970 to 2000, where the instants of the protocol begin. */
const EPOCH_MS = 946_684_800_000;
const DATA = 0x77;
const KEEPALIVE = 0x6b;
/** Longer is "not known", and asked again. */
const VISIBLE_WITHIN_MS = 1_000;
/** How often a step that takes time is looked at. */
const TICK_MS = 1_000;

/**
 * One connection to the log, from the position that the slot has confirmed. Each change is invalidated, then confirmed;
 * a change that was not confirmed arrives again at the next connection.
 *
 *     connected ──▶ slot opened, or made and cleared ──▶ followed ──any error, a step that takes too long, end()──▶ ended
 *
 * A step takes too long if nothing arrives for `silence`, and the server process of this connection does not work on
 * it: PostgreSQL sends nothing while it decodes a large transaction of other tables, or waits for those of others.
 *
 * @see https://www.postgresql.org/docs/current/protocol-replication.html
 */
export class Following implements SlotLog {
  #failure: Error | undefined;
  readonly #options: FollowingOptions;
  readonly #source: LogSource;
  readonly #plugin: PgoutputPlugin;
  readonly #client: Client;
  readonly #connection: LogConnection;
  readonly #outbox: Outbox;
  readonly #ended = Promise.withResolvers<never>();
  #isFollowing = false;
  #transaction: { readonly id: number; readonly since: number } | undefined;
  #received = 0n;
  #confirmed = 0n;
  #heardAt = 0;
  #isPaused = false;
  #cancel: () => void = () => undefined;

  constructor(options: FollowingOptions) {
    const { pool, publication, questions, silenceMs } = options;
    this.#options = options;
    this.#source = options;
    this.#outbox = new Outbox({
      ...options,
      isVisible: (ids) => bounded(VISIBLE_WITHIN_MS, isVisible(questions, ids)),
      onCacheClosed: (error) => this.#connection.stream.destroy(error),
    });
    this.#plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [`"${publication}"`], messages: true });
    this.#client = logClient(pool, silenceMs);
    this.#client.on("error", this.#ended.reject);
    this.#connection = this.#client.connection as unknown as LogConnection;
    this.#connection.on("copyData", ({ chunk }) => this.#take(chunk));
    this.#ended.promise.catch((error: Error) => {
      this.#failure = error;
      options.onEnd();
    });
  }

  /** @returns `false` where another process follows. @throws what has ended it. */
  async start(): Promise<boolean> {
    const { figures, questions, silenceMs } = this.#options;
    await bounded(connectingMs(silenceMs), this.#client.connect()).catch((error: unknown) => refused(error, questions));
    const slot = await openSlot(this, this.#options);
    if (slot === undefined) return false;
    this.#heardAt = systemClock.now();
    this.#plugin.start(this.#client, slot, "0/0").catch(this.#ended.reject);
    await this.#step(once(this.#connection, "replicationStart"));
    this.#isFollowing = true;
    figures.slot = slot;
    this.#beat();
    return true;
  }

  /** Process id of the server process that sends the log. */
  get processId(): number | undefined {
    return (this.#client as unknown as { readonly processID?: number }).processID;
  }

  /** Age of the oldest commit that is not invalidated; `undefined` before it follows. */
  get lagMs(): number | undefined {
    const since = this.#outbox.since ?? this.#transaction?.since ?? Infinity;
    return this.#isFollowing ? Math.max(0, systemClock.now() - since) : undefined;
  }

  /** How far it was confirmed, where it was. */
  get confirmed(): bigint {
    return this.#confirmed;
  }

  /** For how long the cache has not acknowledged an invalidation. */
  get unacknowledgedMs(): number {
    return this.#outbox.unacknowledgedMs;
  }

  /** @throws {Error} what has ended it. */
  throwIfEnded(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** @throws {Error} if the log is silent, and PostgreSQL does not work on it. */
  async checkSilence(): Promise<void> {
    const { questions, silenceMs } = this.#options;
    const isSilent = (): boolean => !this.#isPaused && systemClock.now() - this.#heardAt > silenceMs;
    if (isSilent() && !(await questions.isWorking(this.processId)) && isSilent()) throw silent(silenceMs);
  }

  /** All that the rules may concern, as changes may have been missed; ends once that is acknowledged. */
  async clear(reason: string | undefined): Promise<void> {
    if (reason !== undefined)
      this.#options.warn("GAP", `everything is cleared, as changes may have been missed: ${reason}`);
    this.#options.figures.clears += 1;
    this.#outbox.add(ALL);
    await Promise.race([this.#outbox.sent(), this.#ended.promise]);
  }

  query(text: string): Promise<{ readonly rows: readonly unknown[] }> {
    return this.#step(this.#client.query(text));
  }

  patiently(text: string, waiting: () => void): Promise<unknown> {
    return this.#step(this.#client.query(text), waiting);
  }

  /** Closes the connection, which frees the slot. */
  async end(): Promise<void> {
    this.#outbox.close();
    this.#cancel();
    this.#connection.stream.destroy(new Error("the follower has ended the connection"));
    await this.#client.end();
  }

  /** Waits for an answer while PostgreSQL works on it. `waiting` is called after a second, then once in `silence`. */
  async #step<T>(answer: Promise<T>, waiting?: () => void): Promise<T> {
    const { questions } = this.#options;
    const silenceMs = patienceMs(this.#options.silenceMs);
    const began = systemClock.now();
    const settled = Promise.race([answer, this.#ended.promise]);
    settled.catch(() => undefined);
    let [idleSince, nextAt] = [began, began + TICK_MS];
    for (;;) {
      const tick = Promise.withResolvers<typeof TICK>();
      const cancel = systemClock.schedule(() => tick.resolve(TICK), TICK_MS);
      const first = await Promise.race([settled, tick.promise]);
      cancel();
      if (first !== TICK) return first;
      const now = systemClock.now();
      if (await questions.isWorking(this.processId)) idleSince = systemClock.now();
      if (now - idleSince > silenceMs) throw silent(silenceMs);
      if (now < nextAt) continue;
      nextAt = now + silenceMs;
      waiting?.();
    }
  }

  #take(chunk: Buffer): void {
    this.#heardAt = systemClock.now();
    const end = chunk.readBigUInt64BE(chunk[0] === DATA ? 9 : 1);
    if (end > this.#received) this.#received = end;
    try {
      if (chunk[0] === DATA) this.#message(chunk);
      if (chunk[0] !== KEEPALIVE) return;
      // The log of other tables: not confirmed, the server would keep it without an end.
      if (this.#outbox.since === undefined && this.#transaction === undefined) this.#confirmed = this.#received;
      if (chunk[17] === 1) this.#report();
    } catch (error) {
      this.#connection.stream.destroy(error as Error);
    }
  }

  #message(chunk: Buffer): void {
    const message = this.#parsed(chunk.subarray(25));
    if (message?.tag === "begin") {
      // Both instants are of the server's clock.
      const ageMs = Number(chunk.readBigInt64BE(17)) / 1_000 + EPOCH_MS - Number(message.commitTime) / 1_000;
      this.#transaction = { id: message.xid >>> 0, since: this.#heardAt - Math.max(0, ageMs) };
    } else if (message?.tag === "commit") {
      const position = chunk.readBigUInt64BE(35);
      void this.#outbox.flush(this.#transaction?.since, () => {
        this.#confirmed = position;
        this.#report();
      });
      this.#transaction = undefined;
    } else {
      if (message?.tag === "relation") this.#relation(message);
      const found = message === undefined ? [ALL] : changesIn(message, this.#source);
      if (found.length > 0) this.#options.figures.changes += 1;
      for (const targets of found) this.#outbox.add(targets, this.#transaction?.id);
      // A message outside of a transaction is followed by no commit.
      if (this.#outbox.size > (this.#transaction === undefined ? 0 : EARLY))
        void this.#outbox.flush(this.#transaction?.since);
      if (this.#outbox.size > MOST_WAITING && !this.#isPaused) this.#pause();
    }
  }

  /** @returns `undefined` for a row that a parser of the program refuses: it would arrive again and again. */
  #parsed(data: Buffer): Pgoutput.Message | undefined {
    try {
      return this.#plugin.parse(data);
    } catch (error) {
      if (!ROWS.includes(data[0]!)) throw error;
      const name = error instanceof Error ? error.name : typeof error;
      this.#options.warn("RULE", `a row could not be parsed, so everything is cleared: ${name}`);
      return undefined;
    }
  }

  /** The parsers of the program's pool, so that rules get what its queries do. */
  #relation(relation: Pgoutput.MessageRelation): void {
    const types = typesOf(this.#options.pool);
    for (const column of relation.columns)
      (column as { parser: (raw: string) => unknown }).parser = types.getTypeParser(column.typeOid, "text");
    this.#options.onRelation();
  }

  #pause(): void {
    this.#isPaused = true;
    this.#connection.stream.pause();
    void this.#outbox.sent().then(() => {
      this.#isPaused = false;
      this.#heardAt = systemClock.now();
      this.#connection.stream.resume();
    });
  }

  /** Asks for an answer: a server that gets reports sends nothing on its own. */
  #beat(): void {
    this.#report({ asks: true });
    this.#cancel = systemClock.schedule(() => this.#beat(), Math.min(1_000, this.#options.silenceMs / 4));
  }

  #report({ asks = false } = {}): void {
    const status = Buffer.alloc(34);
    status[0] = 0x72;
    status.writeBigUInt64BE(this.#received, 1);
    for (const at of [9, 17]) status.writeBigUInt64BE(this.#confirmed, at);
    status.writeBigInt64BE(BigInt(Math.round((Date.now() - EPOCH_MS) * 1_000)), 25);
    status[33] = asks ? 1 : 0;
    this.#connection.sendCopyFromChunk(status);
  }
}

const TICK = Symbol("tick");
/** Insert, update and delete. */
const ROWS: readonly number[] = [0x49, 0x55, 0x44];

const silent = (silenceMs: number): Error => new Error(`PostgreSQL was silent for ${silenceMs} ms`);

async function refused(error: unknown, questions: Questions): Promise<never> {
  if (stateOf(error) === "53300")
    refuse(
      "all connections for logs are in use; run: ALTER SYSTEM SET max_wal_senders = 40; and restart PostgreSQL",
      error,
    );
  if (stateOf(error) !== "42501") throw error;
  const [{ role } = {}] = await ask(questions, "select quote_ident(current_user) as role");
  refuse(`the role of the pool may not read the log; run: ALTER ROLE ${String(role)} REPLICATION;`, error);
}

/** Whether a snapshot that is taken now has all of them: the log may show a commit a little before others see it. */
async function isVisible(questions: Questions, transactions: ReadonlySet<number>): Promise<boolean> {
  const [row] = await ask<{ readonly snapshot: string }>(questions, "select pg_current_snapshot()::text as snapshot");
  const [, next, ...running] = row!.snapshot.split(/[:,]/).map((id) => Number(BigInt.asUintN(32, BigInt(id))));
  // Numbers in the log are the lower half; the next one, and those after it, were not given out yet.
  return [...transactions].every((id) => (id - next!) >>> 0 >= 2 ** 31 && !running.includes(id));
}
