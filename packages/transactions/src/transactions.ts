import type { Cache, Namespace } from "@hotset/core";
import {
  checkCache,
  checkNames,
  ConfigurationError,
  InvalidArgumentError,
  optionsOf,
  type Clock,
} from "@hotset/core/internal";
import { make, Notes, placeOf, type Changes, type NotedChange } from "./changes.ts";
import { handleOf, isConflict, isRolledBack, type Handle, type TransactionOf } from "./databases.ts";
import { internalsOf, OpenChanges, type Hold } from "./open-changes.ts";
import { TRANSACTIONS_OPTIONS, type TransactionOptions, type TransactionsOptions } from "./options.ts";
import { followOutbox, RowOutbox, type Outbox } from "./outbox.ts";

/** What {@link transactions} gives. */
export interface CacheTransactions {
  /**
   * Runs `body` in a transaction of `db`. If it commits, the changes that `body` has noted are made, and acknowledged or
   * pending, before this resolves; if it is rolled back, none is.
   *
   * @returns what `body` returns.
   * @throws the error of `body`, or of the database. Where the database has not said whether it has committed, the
   *   changes are made all the same.
   * @throws {CacheClosedError} if it is committed, and the cache was closed meanwhile.
   */
  withTransaction<D extends object, T>(
    db: D,
    body: (tx: TransactionOf<D>, changes: Changes<TransactionOf<D>>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  /** Waits for transactions that run. `close` of the cache calls it. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Changes of `cache` that belong to a database transaction. Call it once in each process of the cache, also in one that
 * only reads: it is what keeps a process from storing what a transaction elsewhere is changing.
 *
 *     const { withTransaction } = transactions(cache);
 *     await withTransaction(pool, async (tx, changes) => {
 *       await tx.query("update products set cents = $2 where id = $1", [id, cents]);
 *       changes.delete(`product:${id}`);
 *     });
 *
 * @throws {ConfigurationError} for a bad option, and for a cache that has them already.
 */
export function transactions(cache: Cache, options: TransactionsOptions = {}): CacheTransactions {
  checkCache(cache, "transactions");
  const all = new AllTransactions(cache, options);
  return {
    withTransaction: (db, body, given) => all.run(db, body as never, given),
    close: () => all.close(),
    [Symbol.asyncDispose]: () => all.close(),
  };
}

/** One transaction of one attempt. */
interface Attempt {
  readonly hold: Hold;
  notes: Notes;
  /** Whether `body` has ended, so that a commit may have been sent. */
  isEnded: boolean;
  onDone: () => void;
}

class AllTransactions {
  readonly #root: Namespace;
  readonly #clock: Clock;
  readonly #open: OpenChanges;
  readonly #outbox: Outbox | undefined;
  readonly #holdMs: number;
  readonly #running = new Set<Promise<unknown>>();
  /** Transactions without an answer: their changes are made again when their hold ends. */
  readonly #unknown = new Set<() => Promise<void>>();
  readonly #leave: () => void;
  #closing: Promise<void> | undefined;

  constructor(cache: Cache, options: TransactionsOptions) {
    const { outbox } = options;
    const read = optionsOf("transactions", options, TRANSACTIONS_OPTIONS);
    const { context } = internalsOf(cache);
    if (context.barrier !== undefined)
      throw new ConfigurationError("transactions: the cache has transactions already; call it once for each cache");
    const { keySpace, clock } = placeOf(cache);
    this.#root = cache;
    this.#clock = clock;
    this.#holdMs = read.holdFor;
    this.#outbox =
      outbox === undefined
        ? undefined
        : outbox === "follow"
          ? followOutbox
          : new RowOutbox({
              database: handleOf(outbox),
              table: read.outboxTable,
              everyMs: read.outboxEvery,
              cache: keySpace.backendPrefix,
              clock,
              make: (changes) => make(cache, changes),
            });
    this.#open = new OpenChanges(cache, read.holdFor);
    context.barrier = this.#open;
    const farewell = (): Promise<void> => this.close();
    context.lifecycle.farewells.add(farewell);
    this.#leave = () => {
      context.lifecycle.farewells.delete(farewell);
      if (context.lifecycle.isOpen) context.barrier = undefined;
    };
  }

  async run<T>(db: object, body: Work<T>, given: TransactionOptions = {}): Promise<T> {
    checkNames(given, ["transaction", "retries", "outbox"], { place: "withTransaction" });
    const { retries = 0, outbox = this.#outbox !== undefined, transaction } = given;
    if (!Number.isInteger(retries) || retries < 0)
      throw new InvalidArgumentError("withTransaction: retries must be a whole number, 0 or more");
    if (typeof outbox !== "boolean")
      throw new InvalidArgumentError(
        "withTransaction: outbox must be true or false; the database is given to transactions()",
      );
    if (outbox && this.#outbox === undefined)
      throw new ConfigurationError("withTransaction: outbox needs one; write transactions(cache, { outbox: db })");
    if (this.#closing !== undefined) throw new ConfigurationError("withTransaction: transactions are closed");
    const database = handleOf(db);
    const running = (async () => {
      for (let attempt = 0; ; attempt += 1)
        try {
          return await this.#attempt(database, body, { transaction, outbox });
        } catch (error) {
          if (attempt >= retries || !isConflict(error)) throw error;
          await this.#pause(Math.random() * Math.min(RETRY_MS * 2 ** attempt, MOST_RETRY_MS));
        }
    })();
    const ended = running.then(ignore, ignore).finally(() => this.#running.delete(ended));
    this.#running.add(ended);
    return running;
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.all(this.#running);
      await Promise.all([...this.#unknown].map((again) => again()));
      await this.#outbox?.close();
      await this.#open.close().catch(ignore);
      this.#leave();
    })();
    return this.#closing;
  }

  async #attempt<T>(
    database: Handle,
    body: Work<T>,
    { transaction, outbox }: Pick<TransactionOptions, "transaction" | "outbox">,
  ): Promise<T> {
    const hold = this.#open.begin();
    const newNotes = (): Notes => new Notes(this.#root, (thing) => this.#open.add(hold, thing));
    const attempt: Attempt = { hold, notes: newNotes(), isEnded: false, onDone: ignore };
    const inTransaction = async (tx: unknown): Promise<T> => {
      // A library may run it again.
      attempt.notes.end();
      attempt.notes = newNotes();
      attempt.isEnded = false;
      const { notes } = attempt;
      const result = await body(tx, changesOf(database, notes, tx));
      notes.endOfBody();
      if (!notes.isEmpty) {
        if (outbox === true) attempt.onDone = await this.#outbox!.write((sql) => database.query(sql, tx), notes.all());
        // Where the backend does not answer the commit is not kept waiting for it: the changes will be pending.
        await this.#open.stands();
      }
      attempt.isEnded = true;
      return result;
    };
    let result: T;
    try {
      result = await database.run(inTransaction, transaction as Readonly<Record<string, unknown>> | undefined);
    } catch (error) {
      attempt.notes.end();
      if (attempt.isEnded && !isRolledBack(error)) await this.#committedPerhaps(attempt);
      else await this.#open.end(hold);
      throw error;
    }
    await this.#committed(attempt);
    return result;
  }

  async #committed({ hold, notes, onDone }: Attempt): Promise<void> {
    try {
      if (await make(this.#root, notes.all())) onDone();
    } finally {
      await this.#open.end(hold);
    }
  }

  /** The commit may have been made, or may come late: then what was loaded since is older. */
  async #committedPerhaps({ hold, notes }: Attempt): Promise<void> {
    const changes: readonly NotedChange[] = notes.all();
    if (changes.length === 0) return this.#open.end(hold);
    const again = async (): Promise<void> => {
      cancel();
      if (!this.#unknown.delete(again)) return;
      await make(this.#root, changes).catch(ignore);
      await this.#open.end(hold);
    };
    const cancel = this.#clock.schedule(() => void again(), this.#holdMs);
    this.#unknown.add(again);
    await make(this.#root, changes).catch(ignore);
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => void this.#clock.schedule(resolve, ms));
  }
}

type Work<T> = (tx: unknown, changes: Changes) => Promise<T>;

function changesOf(database: Handle, notes: Notes, tx: unknown): Changes {
  return {
    ...notes.of([]),
    savepoint: (body) =>
      notes.inside((inner) =>
        database.savepoint(tx, async (below) => {
          const result = await body(below, changesOf(database, inner, below));
          inner.endOfBody();
          return result;
        }),
      ),
  };
}

const RETRY_MS = 20;
const MOST_RETRY_MS = 1_000;
const ignore = (): undefined => undefined;
