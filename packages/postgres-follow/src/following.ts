import { once } from "node:events";
import { systemClock } from "@hotset/core";
import type { Client } from "pg";
import { PgoutputPlugin, type Pgoutput } from "pg-logical-replication";
import { refuse, type FollowedTable } from "./checks.ts";
import { Outbox } from "./outbox.ts";
import { ask, bounded, logClient, stateOf, type FollowPool, type LogConnection } from "./pool.ts";
import type { Settings } from "./settings.ts";
import { openSlot, type SlotOptions } from "./slot.ts";
import { ALL, messageTargets, rowTargets, type Resolved } from "./targets.ts";

export interface FollowingOptions extends Settings, SlotOptions {
  readonly tables: readonly FollowedTable[];
  readonly figures: { slot: string | undefined; changes: number; calls: number; clears: number };
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

/**
 * One connection to the log, from the position that the slot has confirmed. Each change is invalidated, then confirmed;
 * a change that was not confirmed arrives again at the next connection.
 *
 *     connected ──slot opened, or cleared and made──▶ followed ──any error, end()──▶ ended
 *
 * @see https://www.postgresql.org/docs/current/protocol-replication.html
 */
export class Following {
  /** What has ended it. */
  failure: Error | undefined;
  readonly #options: FollowingOptions;
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
    const { pool, publication, silenceMs } = options;
    this.#options = options;
    this.#outbox = new Outbox({
      ...options,
      isVisible: (ids) => bounded(VISIBLE_WITHIN_MS, isVisible(pool, ids)),
      onCacheClosed: (error) => this.#connection.stream.destroy(error),
    });
    this.#plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [`"${publication}"`], messages: true });
    this.#client = logClient(pool, silenceMs);
    this.#client.on("error", this.#ended.reject);
    this.#connection = this.#client.connection as unknown as LogConnection;
    this.#connection.on("copyData", ({ chunk }) => this.#take(chunk));
    this.#ended.promise.catch((error: Error) => {
      this.failure = error;
      options.onEnd();
    });
  }

  /** @returns `false` where another process follows. @throws what has ended it. */
  async start(): Promise<boolean> {
    const { figures, pool } = this.#options;
    await this.#client.connect().catch((error: unknown) => refused(error, pool));
    const slot = await openSlot(this.#client, this.#options, (reason) => this.#clear(reason));
    if (slot === undefined) return false;
    this.#heardAt = systemClock.now();
    this.#plugin.start(this.#client, slot, "0/0").catch(this.#ended.reject);
    await Promise.race([once(this.#connection, "replicationStart"), this.#ended.promise]);
    this.#isFollowing = true;
    figures.slot = slot;
    this.#beat();
    return true;
  }

  /** Age of the oldest commit that is not invalidated; `undefined` before it follows. */
  get lagMs(): number | undefined {
    const since = this.#outbox.since ?? this.#transaction?.since ?? Infinity;
    return this.#isFollowing ? Math.max(0, systemClock.now() - since) : undefined;
  }

  /** Closes the connection, which frees the slot. */
  async end(): Promise<void> {
    this.#outbox.close();
    this.#cancel();
    this.#connection.stream.destroy(new Error("the follower has ended the connection"));
    await this.#client.end();
  }

  /** All that the rules may concern; ends once that is acknowledged. */
  async #clear(reason: string): Promise<void> {
    this.#options.warn("GAP", `everything is cleared, as changes may have been missed: ${reason}`);
    this.#options.figures.clears += 1;
    this.#outbox.add(ALL);
    await Promise.race([this.#outbox.sent(), this.#ended.promise]);
  }

  #take(chunk: Buffer): void {
    this.#heardAt = systemClock.now();
    const end = chunk.readBigUInt64BE(chunk[0] === DATA ? 9 : 1);
    if (end > this.#received) this.#received = end;
    try {
      if (chunk[0] === DATA) this.#message(this.#plugin.parse(chunk.subarray(25)), chunk);
      if (chunk[0] !== KEEPALIVE) return;
      // The log of other tables: not confirmed, the server would keep it without an end.
      if (this.#outbox.since === undefined && this.#transaction === undefined) this.#confirmed = this.#received;
      if (chunk[17] === 1) this.#report();
    } catch (error) {
      this.#connection.stream.destroy(error as Error);
    }
  }

  #message(message: Pgoutput.Message, chunk: Buffer): void {
    if (message.tag === "begin") {
      // Both instants are of the server's clock.
      const ageMs = Number(chunk.readBigInt64BE(17)) / 1_000 + EPOCH_MS - Number(message.commitTime) / 1_000;
      this.#transaction = { id: message.xid >>> 0, since: this.#heardAt - Math.max(0, ageMs) };
    } else if (message.tag === "commit") {
      const position = chunk.readBigUInt64BE(35);
      void this.#outbox.flush(this.#transaction?.since, () => {
        this.#confirmed = position;
        this.#report();
      });
      this.#transaction = undefined;
    } else {
      const found = targetsIn(message, this.#options);
      if (found.length > 0) this.#options.figures.changes += 1;
      for (const targets of found) this.#outbox.add(targets, this.#transaction?.id);
      // A message outside of a transaction is followed by no commit.
      if (this.#outbox.size > (this.#transaction === undefined ? 0 : EARLY))
        void this.#outbox.flush(this.#transaction?.since);
      if (this.#outbox.size > MOST_WAITING && !this.#isPaused) this.#pause();
    }
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
    const { silenceMs } = this.#options;
    if (!this.#isPaused && systemClock.now() - this.#heardAt > silenceMs)
      this.#connection.stream.destroy(new Error(`PostgreSQL was silent for ${silenceMs} ms`));
    this.#report({ asks: true });
    this.#cancel = systemClock.schedule(() => this.#beat(), Math.min(1_000, silenceMs / 4));
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

async function refused(error: unknown, pool: FollowPool): Promise<never> {
  if (stateOf(error) !== "42501") throw error;
  const [{ role } = {}] = await ask(pool, "select quote_ident(current_user) as role");
  refuse(`the role of the pool may not read the log; run: ALTER ROLE ${String(role)} REPLICATION;`, error);
}

/** The targets of one message. */
function targetsIn(message: Pgoutput.Message, source: FollowingOptions): readonly Resolved[] {
  /** A table that was renamed has its number, one that was made again its name. */
  const tableOf = ({ relationOid, schema, name }: Pgoutput.MessageRelation): FollowedTable | undefined =>
    source.tables.find(({ oid }) => oid === relationOid >>> 0) ??
    source.tables.find((table) => table.name === `${schema}.${name}`);
  switch (message.tag) {
    case "insert":
    case "update":
    case "delete": {
      const { tag: kind, relation } = message;
      const old = kind === "insert" ? undefined : (message.old ?? message.key ?? undefined);
      const change = kind === "delete" ? { kind, row: old ?? {} } : { kind, row: message.new, old };
      return rowTargets(source, tableOf(relation), () => change);
    }
    case "truncate":
      return message.relations.flatMap((relation) => tableOf(relation)?.truncated ?? []);
    case "message":
      return messageTargets(source, message.prefix, message.content);
    default:
      return [];
  }
}

/** Whether a snapshot that is taken now has all of them: the log may show a commit a little before others see it. */
async function isVisible(pool: FollowPool, transactions: ReadonlySet<number>): Promise<boolean> {
  const [row] = await ask<{ readonly snapshot: string }>(pool, "select pg_current_snapshot()::text as snapshot");
  const [, next, ...running] = row!.snapshot.split(/[:,]/).map((id) => Number(BigInt.asUintN(32, BigInt(id))));
  // Numbers in the log are the lower half; the next one, and those after it, were not given out yet.
  return [...transactions].every((id) => (id - next!) >>> 0 >= 2 ** 31 && !running.includes(id));
}
