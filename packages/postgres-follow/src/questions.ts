import type { Client } from "pg";
import {
  ask,
  bounded,
  connectingMs,
  patienceMs,
  questionClient,
  stateOf,
  typesOf,
  type Asked,
  type Fields,
  type FollowPool,
} from "./pool.ts";

/** Whether a server process works. One that waits for its client, or for something to do, does not. */
const WORKS = `select state = 'active' and coalesce(wait_event_type not in ('Client', 'Activity'), true) as works
  from pg_stat_activity where pid = $1`;

/**
 * A connection for questions about the server: the pool of the program may be busy, and the log may be silent for good
 * reasons. One question at a time, each with a deadline; a connection that misses it is replaced at the next question.
 */
export class Questions implements Asked {
  readonly #pool: FollowPool;
  readonly #silenceMs: number;
  readonly #patienceMs: number;
  #client: Client | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(pool: FollowPool, silenceMs: number) {
    this.#pool = pool;
    this.#silenceMs = silenceMs;
    this.#patienceMs = patienceMs(silenceMs);
  }

  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }> {
    return this.#inTurn(() => this.#query(text, values));
  }

  /** As {@link query}; columns are parsed as the pool of the program does. */
  rowsOf<T>(text: string): Promise<readonly T[]> {
    return this.#inTurn(async () => (await this.#query(text, undefined, true)).rows as readonly T[]);
  }

  /** Whether the server process of another connection works. @returns `false` if it is unknown. */
  async isWorking(processId: number | undefined): Promise<boolean> {
    const [row] = await ask<Fields>(this, WORKS, [processId]).catch(() => []);
    return row?.["works"] === true;
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  #inTurn<T>(question: () => Promise<T>): Promise<T> {
    const answer = this.#last.then(question, question);
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #query(text: string, values?: unknown[], isOfProgram = false): Promise<{ readonly rows: readonly unknown[] }> {
    try {
      const client = await this.#connected();
      const types = isOfProgram ? { types: typesOf(this.#pool) } : undefined;
      return await bounded(this.#patienceMs, client.query({ text, ...(values && { values }), ...types }));
    } catch (error) {
      if (stateOf(error) === undefined) this.#drop();
      throw error;
    }
  }

  async #connected(): Promise<Client> {
    if (this.#isClosed) throw new Error("the follower is closed");
    if (this.#client !== undefined) return this.#client;
    const client = questionClient(this.#pool, this.#silenceMs);
    this.#client = client;
    const isGone = (): void => void (this.#client === client && this.#drop());
    client.on("error", isGone);
    client.on("end", isGone);
    await bounded(connectingMs(this.#silenceMs), client.connect());
    return client;
  }

  #drop(): void {
    const client = this.#client;
    this.#client = undefined;
    client?.connection.stream.destroy();
    void client?.end().catch(() => undefined);
  }
}
