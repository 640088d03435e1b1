import { once } from "node:events";
import { systemClock } from "@hotset/core";
import type { Client } from "pg";
import { PgoutputPlugin, type Pgoutput } from "pg-logical-replication";
import type { FollowedTable } from "./checks.ts";
import type { Settings } from "./settings.ts";
import { Outbox, type OutboxOptions } from "./outbox.ts";
import { ask, type FollowPool, type LogConnection } from "./pool.ts";
import { orAll, readMessage, targetsOf, type Resolved, type RowChange } from "./targets.ts";

export interface FollowingOptions extends Settings, Pick<OutboxOptions, "cache" | "onCall" | "onCacheClosed"> {
  readonly pool: FollowPool;
  readonly client: Client;
  readonly slot: string;
  readonly followed: readonly FollowedTable[];
  readonly onChange: () => void;
}

/** Targets that may wait here; beyond, the log waits in the server. */
const MOST_WAITING = 10_000;
/** So many of one transaction are sent before its end arrives: it has committed when its beginning arrives. */
const EARLY = 1_000;
/** From 1970 to 2000, where the instants of the protocol begin. */
const EPOCH_MS = 946_684_800_000;
const DATA = 0x77;
const KEEPALIVE = 0x6b;

/**
 * One connection to the log, from the position that the slot has confirmed. Each change is invalidated, then confirmed;
 * a change that was not confirmed arrives again at the next connection.
 *
 * @see https://www.postgresql.org/docs/current/protocol-replication.html
 */
export class Following {
  /** Rejects with what has ended it. */
  readonly ended: Promise<never>;
  readonly #options: FollowingOptions;
  readonly #plugin: PgoutputPlugin;
  readonly #connection: LogConnection;
  readonly #outbox: Outbox;
  #transaction: { readonly id: number; readonly since: number } | undefined;
  #received = 0n;
  #confirmed = 0n;
  #heardAt = systemClock.now();
  #isPaused = false;
  #cancel: () => void = () => undefined;

  private constructor(options: FollowingOptions) {
    const { client, pool, publication, slot } = options;
    this.#options = options;
    this.#outbox = new Outbox({
      ...options,
      isVisible: (ids) => isVisible(pool, ids),
      onDone: (at) => this.#report({ done: at }),
    });
    this.#connection = client.connection as unknown as LogConnection;
    this.#connection.on("copyData", ({ chunk }) => this.#take(chunk));
    this.#plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [`"${publication}"`], messages: true });
    this.ended = this.#plugin.start(client, slot, "0/0").then(() => {
      throw new Error("PostgreSQL has ended the connection");
    });
  }

  /** @throws the error of the server: 55006 where another process follows the slot. */
  static async start(options: FollowingOptions): Promise<Following> {
    const following = new Following(options);
    await Promise.race([once(following.#connection, "replicationStart"), following.ended]);
    following.#beat();
    return following;
  }

  /** Age of the oldest commit that is not invalidated. */
  get lagMs(): number {
    const since = this.#outbox.since ?? this.#transaction?.since ?? Infinity;
    return Math.max(0, systemClock.now() - since);
  }

  /** Closes the connection, which frees the slot. */
  async end(): Promise<void> {
    this.#outbox.close();
    this.#cancel();
    this.#connection.stream.resume();
    await this.#options.client.end().catch(() => undefined);
  }

  #take(chunk: Buffer): void {
    this.#heardAt = systemClock.now();
    const end = chunk.readBigUInt64BE(chunk[0] === DATA ? 9 : 1);
    if (end > this.#received) this.#received = end;
    try {
      if (chunk[0] === DATA) this.#message(this.#plugin.parse(chunk.subarray(25)), chunk.readBigInt64BE(17));
      if (chunk[0] !== KEEPALIVE) return;
      // The log of other tables: not confirmed, the server would keep it without an end.
      if (this.#outbox.since === undefined && this.#transaction === undefined) this.#confirmed = this.#received;
      if (chunk[17] === 1) this.#report();
    } catch (error) {
      this.#connection.stream.destroy(error as Error);
    }
  }

  #message(message: Pgoutput.Message, sentAt: bigint): void {
    if (message.tag === "begin") {
      // Both instants are of the server's clock.
      const ageMs = Number(sentAt) / 1_000 + EPOCH_MS - Number(message.commitTime) / 1_000;
      this.#transaction = { id: message.xid >>> 0, since: this.#heardAt - Math.max(0, ageMs) };
    } else if (message.tag === "commit") {
      const since = this.#transaction?.since ?? this.#heardAt;
      this.#transaction = undefined;
      void this.#outbox.flush({ position: positionOf(message.commitEndLsn!), since });
    } else {
      const found = targetsIn(message, this.#options);
      if (found.length > 0) this.#options.onChange();
      for (const targets of found) this.#outbox.add(targets, this.#transaction?.id);
      // A message outside of a transaction is followed by no commit.
      if (this.#outbox.size > (this.#transaction === undefined ? 0 : EARLY)) void this.#outbox.flush();
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

  #report({ asks = false, done = this.#confirmed } = {}): void {
    this.#confirmed = done;
    const status = Buffer.alloc(34);
    status[0] = 0x72;
    status.writeBigUInt64BE(this.#received, 1);
    for (const at of [9, 17]) status.writeBigUInt64BE(this.#confirmed, at);
    status.writeBigInt64BE(BigInt(Math.round((Date.now() - EPOCH_MS) * 1_000)), 25);
    status[33] = asks ? 1 : 0;
    this.#connection.sendCopyFromChunk(status);
  }
}

/** The targets of one message. */
export function targetsIn(
  message: Pgoutput.Message,
  { followed, prefix, warn }: FollowingOptions,
): readonly Resolved[] {
  /** A table that was renamed has its number, one that was made again its name. */
  const tableOf = ({ relationOid, schema, name }: Pgoutput.MessageRelation): FollowedTable | undefined =>
    followed.find(({ oid }) => oid === relationOid >>> 0) ??
    followed.find((table) => table.name === `${schema}.${name}`);
  const rowOf = (relation: Pgoutput.MessageRelation, change: RowChange): readonly Resolved[] => {
    const table = tableOf(relation);
    return table === undefined ? [] : orAll(warn, `the rule of ${table.name}`, () => targetsOf(table.rules, change));
  };
  switch (message.tag) {
    case "insert":
      return rowOf(message.relation, { kind: "insert", row: message.new });
    case "update": {
      const old = message.old ?? message.key ?? undefined;
      return rowOf(message.relation, { kind: "update", row: message.new, old });
    }
    case "delete":
      return rowOf(message.relation, { kind: "delete", row: message.old ?? message.key ?? {} });
    case "truncate":
      return message.relations.flatMap((relation) => tableOf(relation)?.rules.truncated ?? []);
    case "message":
      if (message.prefix !== prefix) return [];
      return orAll(warn, `a message with the prefix ${prefix}`, () => readMessage(message.content));
    default:
      return [];
  }
}

/** `16/B374D848` as a number. */
function positionOf(lsn: string): bigint {
  const [high = "0", low = "0"] = lsn.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** Whether a snapshot that is taken now has all of them: the log may show a commit a little before others see it. */
async function isVisible(pool: FollowPool, transactions: ReadonlySet<number>): Promise<boolean> {
  const [row] = await ask<{ readonly snapshot: string }>(pool, "select pg_current_snapshot()::text as snapshot");
  const [, next, ...running] = row!.snapshot.split(/[:,]/).map((id) => Number(BigInt.asUintN(32, BigInt(id))));
  // Numbers in the log are the lower half; the next one, and those after it, were not given out yet.
  return [...transactions].every((id) => (id - next!) >>> 0 >= 2 ** 31 && !running.includes(id));
}
