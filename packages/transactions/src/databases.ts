import { InvalidArgumentError } from "@hotset/core/internal";

/**
 * What the body of a transaction of `D` gets: the client of a pool of `pg`, or what Drizzle, Kysely, Prisma and MikroORM
 * give to theirs.
 */
export type TransactionOf<D> = D extends { readonly $transaction: unknown }
  ? Omit<D, "$transaction" | "$connect" | "$disconnect" | "$on" | "$extends">
  : D extends { readonly transactional: unknown }
    ? D
    : D extends { transaction(): { execute(body: (tx: infer Tx) => never): unknown } }
      ? Tx
      : D extends { transaction(body: (tx: infer Tx) => never, ...rest: never[]): unknown }
        ? Tx
        : D extends { connect(done: (error: never, client: infer C, release: never) => void): void }
          ? NonNullable<C>
          : D;

type Rows = readonly Readonly<Record<string, unknown>>[];
type Body<T> = (tx: unknown) => Promise<T>;
type Settings = Readonly<Record<string, unknown>> | undefined;

/** A kind of database: how it runs a transaction, and a statement in it. */
interface Adapter {
  matches(db: Database): boolean;
  run<T>(db: never, body: Body<T>, settings: Settings): Promise<T>;
  /** @param tx a transaction, or the database itself. */
  query(tx: never, sql: string): Promise<unknown>;
  /** By the transaction itself, where it keeps a record of what was done; otherwise by statements. */
  savepoint?: <T>(tx: never, body: Body<T>) => Promise<T>;
}

type Database = Readonly<Record<string, unknown>>;

const ADAPTERS: Readonly<Record<string, Adapter>> = {
  prisma: {
    matches: (db) => isFunction(db["$transaction"]) && isFunction(db["$executeRawUnsafe"]),
    run: (db: Prisma, body, settings) => db.$transaction(body, settings),
    query: (tx: Prisma, sql) => (/^select/i.test(sql) ? tx.$queryRawUnsafe(sql) : tx.$executeRawUnsafe(sql)),
  },
  "mikro-orm": {
    matches: (db) => isFunction(db["transactional"]) && isFunction(db["getConnection"]),
    run: (em: Mikro, body, settings) => em.transactional(body, settings),
    query: (em: Mikro, sql) => em.getConnection().execute(sql, [], "all", em.getTransactionContext()),
    savepoint: (em: Mikro, body) => em.transactional(body),
  },
  kysely: {
    matches: (db) => isFunction(db["transaction"]) && isFunction(db["getExecutor"]),
    run: (db: Kysely, body, { isolationLevel } = {}) => {
      const transaction = db.transaction();
      return (isolationLevel === undefined ? transaction : transaction.setIsolationLevel(isolationLevel)).execute(body);
    },
    query: (tx: Kysely, sql) =>
      tx.executeQuery({
        sql,
        parameters: [],
        query: { kind: "RawNode", sqlFragments: [sql], parameters: [] },
        queryId: { queryId: "hotset" },
      }),
  },
  drizzle: {
    matches: (db) => isFunction(db["transaction"]) && (isFunction(db["execute"]) || isFunction(db["run"])),
    run: (db: Drizzle, body, settings) => db.transaction(body, settings),
    query: (tx: Drizzle, sql) => (tx.execute ? tx.execute(sql) : /^select/i.test(sql) ? tx.all!(sql) : tx.run!(sql)),
    savepoint: (tx: Drizzle, body) => tx.transaction(body),
  },
  pg: {
    matches: (db) => isFunction(db["query"]) && isFunction(db["connect"]),
    run: runPg,
    query: (tx: PgClient, sql) => tx.query(sql),
  },
};

/** A database as `withTransaction` uses it. */
export interface Handle {
  run<T>(body: Body<T>, settings: Settings): Promise<T>;
  query(sql: string, tx?: unknown): Promise<Rows>;
  savepoint<T>(tx: unknown, body: Body<T>): Promise<T>;
}

/** @throws {InvalidArgumentError} for anything else. */
export function handleOf(db: unknown): Handle {
  const adapter = Object.values(ADAPTERS).find(({ matches }) => matches(Object(db) as Database));
  if (adapter === undefined)
    throw new InvalidArgumentError(
      "db must be a pool of pg, or a database of Drizzle, Kysely or Prisma, or an EntityManager of MikroORM (SQL)",
    );
  const query = async (sql: string, tx: unknown = db): Promise<Rows> => {
    const found = await adapter.query(tx as never, sql);
    return (Array.isArray(found) ? found : ((found as { readonly rows?: Rows } | undefined)?.rows ?? [])) as Rows;
  };
  let count = 0;
  return {
    run: (body, settings) => adapter.run(db as never, body, settings),
    query,
    savepoint: async (tx, body) => {
      if (adapter.savepoint !== undefined) return adapter.savepoint(tx as never, body);
      const name = `hotset_${(count += 1)}`;
      await query(`savepoint ${name}`, tx);
      try {
        const result = await body(tx);
        await query(`release savepoint ${name}`, tx);
        return result;
      } catch (error) {
        // If this fails too, so does the commit.
        await query(`rollback to savepoint ${name}`, tx).catch(() => undefined);
        throw error;
      }
    },
  };
}

/** A client that is not of a pool runs the transaction itself. */
async function runPg<T>(db: PgPool | PgClient, body: Body<T>, settings: Settings): Promise<T> {
  const { isolationLevel, readOnly } = settings ?? {};
  const isPool = "totalCount" in db;
  const client = isPool ? await db.connect() : db;
  let broken: Error | undefined;
  // A pool listens only to clients that are idle.
  const lost = (error: Error): void => void (broken = error);
  client.on?.("error", lost);
  try {
    const level = isolationLevel === undefined ? "" : ` isolation level ${levelOf(isolationLevel)}`;
    let result: T;
    try {
      await client.query(`begin${level}${readOnly === true ? " read only" : ""}`);
      result = await body(client);
    } catch (error) {
      // Also after a begin that was not answered in time: the server may have begun.
      await client.query("rollback").catch((failure: Error) => (broken ??= failure));
      throw error;
    }
    const { command } = await client.query("commit").catch((error: Error) => {
      // The connection may be in any state.
      if (!isRolledBack(error)) broken ??= error;
      throw error;
    });
    if (command === "ROLLBACK") throw new RolledBack();
    return result;
  } finally {
    client.off?.("error", lost);
    if (isPool) client.release?.(broken);
  }
}

/** A statement failed, its error was caught, and PostgreSQL answers the commit with a rollback. */
class RolledBack extends Error {
  readonly code = "25P02";

  constructor() {
    super("the transaction was rolled back, because one of its statements had failed; use a savepoint around it");
  }
}

function levelOf(given: unknown): string {
  const level = String(given).toLowerCase();
  if (["serializable", "repeatable read", "read committed"].includes(level)) return level;
  throw new InvalidArgumentError(
    "isolationLevel must be serializable, repeatable read or read committed, got another one",
  );
}

/** Whether the error of a commit says that nothing was committed. Any other one may have come after the commit. */
export const isRolledBack = (error: unknown): boolean =>
  codesOf(error).some((code) => /^(40(?!003)|23|25P02)[0-9A-Z]*$/.test(code) || ROLLED_BACK.has(code));

/** Whether the same transaction may succeed: a conflict with another one. */
export const isConflict = (error: unknown): boolean => codesOf(error).some((code) => CONFLICTS.has(code));

/** Of Prisma, MySQL and SQLite, besides the classes of SQLSTATE. */
const ROLLED_BACK: ReadonlySet<string> = new Set(["P2034", "ER_LOCK_DEADLOCK", "SQLITE_BUSY"]);
const CONFLICTS: ReadonlySet<string> = new Set(["40001", "40P01", ...ROLLED_BACK]);

/** Libraries wrap the error of the driver. */
function codesOf(error: unknown): readonly string[] {
  const codes: string[] = [];
  for (let each = error as Wrapped | undefined, depth = 0; each && depth < 5; each = each.cause, depth += 1)
    for (const code of [each.code, each.originalCode]) if (typeof code === "string") codes.push(code);
  return codes;
}

interface Wrapped {
  readonly code?: unknown;
  readonly originalCode?: unknown;
  readonly cause?: Wrapped;
}

interface Prisma {
  $transaction<T>(body: Body<T>, settings: Settings): Promise<T>;
  $queryRawUnsafe(sql: string): Promise<unknown>;
  $executeRawUnsafe(sql: string): Promise<unknown>;
}

interface Mikro {
  transactional<T>(body: Body<T>, settings?: Settings): Promise<T>;
  getConnection(): { execute(sql: string, values: unknown[], method: string, context: unknown): Promise<unknown> };
  getTransactionContext(): unknown;
}

interface KyselyTransaction {
  setIsolationLevel(level: unknown): KyselyTransaction;
  execute<T>(body: Body<T>): Promise<T>;
}

interface Kysely {
  transaction(): KyselyTransaction;
  executeQuery(query: object): Promise<unknown>;
}

interface Drizzle {
  transaction<T>(body: Body<T>, settings?: Settings): Promise<T>;
  execute?(sql: string): Promise<unknown>;
  all?(sql: string): Promise<unknown>;
  run?(sql: string): Promise<unknown>;
}

interface PgClient {
  query(text: string): Promise<{ readonly command?: string; readonly rows: Rows }>;
  release?(error?: Error): void;
  on?(event: "error", listener: (error: Error) => void): unknown;
  off?(event: "error", listener: (error: Error) => void): unknown;
}

interface PgPool {
  readonly totalCount: number;
  connect(): Promise<PgClient>;
}

const isFunction = (value: unknown): boolean => typeof value === "function";
