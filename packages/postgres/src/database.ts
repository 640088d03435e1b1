import { BackendUnavailableError, ConfigurationError, type Clock } from "@hotset/core";
import { inNoCall, within } from "@hotset/core/internal";
import { Calls, type Row, type Sent } from "./calls.ts";
import { Lent } from "./lent.ts";
import {
  faultOf,
  isInTransaction,
  isOfSession,
  isUsable,
  processOf,
  stateOf,
  type PostgresClient,
  type PostgresPool,
} from "./pool.ts";
import { LAYOUT, schema } from "./schema.ts";
import { ANSWER, queryOf, type Statement } from "./statements.ts";

export interface DatabaseSettings {
  readonly label: string;
  readonly schema: string;
  readonly tables: "unlogged" | "logged";
  /** Whether the backend makes tables and functions that are missing. */
  readonly createsSchema: boolean;
  readonly deadlineMs: number;
  readonly connections: number;
  readonly clock: Clock;
}

/** How PostgreSQL is reached: found out with the first connection. */
export interface Reach {
  /** Whether a pooler lends a connection for each statement: nothing that belongs to a session works. */
  readonly isPooled: boolean;
}

/** One connection, as the server names it. */
interface Session {
  readonly process: number;
  /** When it began, by the server's clock: microseconds, in digits. */
  readonly begun: string;
}

/** Statements over the connections of a pool. */
export class Database {
  readonly label: string;
  readonly #settings: DatabaseSettings;
  readonly #openPool: () => Promise<PostgresPool>;
  readonly #calls: Calls;
  #pool: Promise<PostgresPool> | undefined;
  #reach: Promise<Reach> | undefined;
  /** Sessions of the server that may still carry out a statement which was abandoned. */
  readonly #abandoned = new Set<Session>();
  readonly #lent: Lent;
  readonly #sessions = new WeakMap<PostgresClient, Session>();
  #ending: Promise<void> | undefined;
  #isClosed = false;

  constructor(settings: DatabaseSettings, openPool: () => Promise<PostgresPool>) {
    this.label = settings.label;
    this.#settings = settings;
    this.#openPool = openPool;
    this.#lent = new Lent(settings.clock);
    this.#calls = new Calls(settings, settings.clock, (sent) => this.#send(sent));
  }

  /** Calls a statement. @param order keys in the order in which all processes lock them. */
  call(statement: Statement, values: Row, order?: Buffer): Promise<Row> {
    return this.callAll(statement, [values], order).then(first);
  }

  /** Calls a statement once for each row, at most 100 times. */
  callAll(statement: Statement, rows: readonly Row[], order?: Buffer): Promise<readonly Row[]> {
    if (this.#isClosed) return Promise.reject(this.#closed(statement.operation));
    return this.#calls.make(statement, rows, order);
  }

  /** Connects, and makes the schema where it is missing. */
  reach(): Promise<Reach> {
    return (this.#reach ??= inNoCall(() => this.#explore()).catch((error: unknown) => {
      this.#reach = undefined;
      throw faultOf(this.label, "connect", error);
    }));
  }

  /** @param kind `lent` until it is given back or destroyed, or `kept` by the caller. */
  async borrow(kind: "lent" | "kept" = "lent"): Promise<PostgresClient> {
    const pool = await this.#poolOf();
    for (;;) {
      const client = await this.#connect(pool);
      // Without a listener an error of a connection ends the process; each statement reports its own.
      client.on("error", ignore);
      if (isInTransaction(client)) {
        // A program has left it open: what is done in it could be undone.
        this.destroy(client);
        continue;
      }
      if (kind === "kept") this.#lent.end();
      return client;
    }
  }

  /** Gives back a connection that was borrowed. */
  giveBack(client: PostgresClient): void {
    client.off("error", ignore);
    client.release();
    this.#lent.end();
  }

  /** Closes a connection that was borrowed. */
  destroy(client: PostgresClient): void {
    client.release(true);
    this.#lent.end();
  }

  async #connect(pool: PostgresPool): Promise<PostgresClient> {
    for (;;) {
      const ended = await this.#lent.begin();
      const connecting = pool.connect();
      try {
        return await this.#within(connecting, MOST_EXPLORING_MS);
      } catch (error) {
        connecting.then((late) => late.release(), ignore);
        this.#lent.end();
        // The server has no connection left for this role, but others of the pool come back.
        if (stateOf(error) !== "53300" || !this.#lent.limit(ended)) throw error;
      }
    }
  }

  /** @param endPool whether the pool is this backend's. */
  async close(endPool: boolean): Promise<void> {
    this.#isClosed = true;
    await this.#calls.end();
    const pool = await this.#pool?.catch(() => undefined);
    if (endPool) await pool?.end();
  }

  #poolOf(): Promise<PostgresPool> {
    return (this.#pool ??= this.#openPool().catch((error: unknown) => {
      this.#pool = undefined;
      throw error;
    }));
  }

  async #send(sent: Sent): Promise<readonly Row[]> {
    const sending = new Sending(this);
    sent.onStart(() => {
      if (sending.session !== undefined) this.#abandoned.add(sending.session);
      sending.abandon();
    });
    for (let attempt = 1; ; attempt += 1)
      try {
        return await this.#attempt(sending, sent, attempt);
      } catch (error) {
        if (sending.session !== undefined && stateOf(error) === undefined) this.#abandoned.add(sending.session);
        sending.end(isUsable(error) ? "back" : "away");
        // Dropped: it is made again.
        if (isMissing(error)) this.#reach = undefined;
        if (!isOfSession(error) || sending.isAbandoned || attempt === MOST_ATTEMPTS)
          throw faultOf(this.label, sent.statement.operation, error);
      }
  }

  async #attempt(sending: Sending, { statement, rows, check }: Sent, attempt: number): Promise<readonly Row[]> {
    const { isPooled } = await this.reach();
    if (statement.isChange) await this.#endAbandoned();
    const client = await this.borrow();
    sending.begin(client);
    // The number that a pooler gives is none of the server's, or that of another process.
    const session = statement.isChange && !isPooled ? await this.#sessionOf(client) : undefined;
    if (sending.isAbandoned) {
      sending.end("back");
      return [];
    }
    check();
    sending.session = session;
    // Not prepared after a refusal: other sessions may have lost their statements too.
    const answer = await client.query(queryOf(statement, rows, !isPooled && attempt === 1));
    sending.end("back");
    // A read of one key has no row where it has no entry.
    return answer.rows.length === 0 ? rows.map(() => []) : (answer.rows as readonly Row[]);
  }

  /** Asked once for each connection. A number is used again once its process has ended, the instant is not. */
  async #sessionOf(client: PostgresClient): Promise<Session | undefined> {
    const process = processOf(client);
    let session = this.#sessions.get(client);
    if (process === undefined || session !== undefined) return session;
    const { rows } = await client.query({ text: BEGUN, ...ANSWER });
    session = { process, begun: (rows[0] as [string])[0] };
    this.#sessions.set(client, session);
    return session;
  }

  /**
   * A write that was given up may still be under way: in a server that stands still, or behind a lock. It must not come
   * after a later one, so its session is ended first.
   */
  #endAbandoned(): Promise<void> | undefined {
    if (this.#abandoned.size === 0) return undefined;
    return (this.#ending ??= inNoCall(async () => {
      try {
        const sessions = [...this.#abandoned];
        const values = [sessions.map(({ process }) => process), sessions.map(({ begun }) => begun)];
        const client = await this.borrow();
        try {
          for (;;) {
            const ended = client.query({ text: END_SESSIONS, values, ...ANSWER });
            const { rows } = await this.#within(ended, this.#settings.deadlineMs);
            if (rows.length === 0) break;
          }
          this.giveBack(client);
        } catch (error) {
          this.destroy(client);
          throw error;
        }
        for (const each of sessions) this.#abandoned.delete(each);
      } finally {
        this.#ending = undefined;
      }
    }));
  }

  /** For a server that is silent: a connection of the pool of a program may have no timeout. */
  #within<T>(answer: Promise<T>, ms: number): Promise<T> {
    return within(this.#settings.clock, ms, answer, () => {
      throw new Error(`PostgreSQL did not answer within ${ms} ms`);
    });
  }

  async #explore(): Promise<Reach> {
    const { label, createsSchema, tables } = this.#settings;
    const client = await this.borrow();
    try {
      const { rows } = await this.#within(client.query({ text: EXPLORE, ...ANSWER }), MOST_EXPLORING_MS);
      const [pid, encoding, isolation] = rows[0] as [number, string, string];
      if (isolation !== "read committed")
        throw new ConfigurationError(
          `${label}: connections begin transactions as "${isolation}", in which a statement does not see what others have ` +
            'committed; give a pool with default_transaction_isolation "read committed"',
          { tier: label, operation: "connect" },
        );
      if (encoding !== "UTF8")
        throw new ConfigurationError(`${label}: the database has the encoding ${encoding}; use one with UTF8`, {
          tier: label,
          operation: "connect",
        });
      const layout = await this.#layoutOf(client);
      if (layout === undefined && createsSchema)
        await this.#within(
          client.query({ text: schema({ schema: this.#settings.schema, tables }) }),
          MOST_EXPLORING_MS,
        );
      else if (layout !== LAYOUT) throw this.#wrongLayout(layout);
      this.giveBack(client);
      return { isPooled: processOf(client) !== undefined && processOf(client) !== pid };
    } catch (error) {
      this.destroy(client);
      throw error;
    }
  }

  async #layoutOf(client: PostgresClient): Promise<number | undefined> {
    try {
      const asked = client.query({ text: `select ${this.#settings.schema}.layout()`, ...ANSWER });
      const { rows } = await this.#within(asked, MOST_EXPLORING_MS);
      return (rows[0] as [number])[0];
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  #wrongLayout(layout: number | undefined): Error {
    const { label, schema: name } = this.#settings;
    return new ConfigurationError(
      layout === undefined
        ? `${label}: the schema "${name}" is missing; run the SQL of schema() of @hotset/postgres, or set createSchema: true`
        : `${label}: the schema "${name}" has layout ${layout}, and this version needs ${LAYOUT}; use another schema`,
      { tier: label, operation: "connect" },
    );
  }

  #closed(operation: string): Error {
    return new BackendUnavailableError(`${this.label}: ${operation} was called after close()`, {
      tier: this.label,
      operation,
      maybeExecuted: false,
      retryable: false,
    });
  }
}

/** One statement on its way, over a connection at a time. */
class Sending {
  readonly #database: Database;
  #client: PostgresClient | undefined;
  /** Set while the statement may be executed. */
  session: Session | undefined;
  isAbandoned = false;

  constructor(database: Database) {
    this.#database = database;
  }

  begin(client: PostgresClient): void {
    this.#client = client;
  }

  end(how: "back" | "away"): void {
    const client = this.#client;
    this.#client = this.session = undefined;
    if (client === undefined) return;
    if (how === "back") this.#database.giveBack(client);
    else this.#database.destroy(client);
  }

  abandon(): void {
    this.isAbandoned = true;
    this.end("away");
  }
}

/** A statement that sessions refuse for what a program has made of them. */
const MOST_ATTEMPTS = 3;

/** A step of connecting, and making the schema. */
const MOST_EXPLORING_MS = 15_000;

const EXPLORE = "select pg_backend_pid(), current_setting('server_encoding'), current_setting('transaction_isolation')";

/** A number: text follows the style of dates of a session, and may be read back as another instant. */
const BEGINNING = "(extract(epoch from backend_start) * 1000000)::bigint";

const BEGUN = `select ${BEGINNING}::text from pg_catalog.pg_stat_activity where pid = pg_backend_pid()`;

/** Ends those that are still there, and returns them. */
const END_SESSIONS = `select pid, pg_terminate_backend(pid), pg_sleep(0.01) from pg_catalog.pg_stat_activity
  join unnest($1::int[], $2::bigint[]) as given (process, begun) on pid = process and ${BEGINNING} = begun
  where usename = current_user and pid <> pg_backend_pid()`;

/** A schema, table or function that is not there. */
const isMissing = (error: unknown): boolean => ["3F000", "42P01", "42883"].includes(stateOf(error) ?? "");

const first = (rows: readonly Row[]): Row => rows[0]!;

const ignore = (): void => undefined;
