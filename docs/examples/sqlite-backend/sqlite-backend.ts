// A backend with leases and tag versions, for the processes of one machine: one table of a SQLite file, in which one
// statement compares a record and sets it. `fromSwap` makes the rest. docs/guide/writing-a-backend.md explains it.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { type Backend, BackendUnavailableError } from "hotset";
import { fromSwap, type FromSwapOptions, type SwapStore } from "hotset/backend";

export interface SqliteBackendOptions extends Partial<FromSwapOptions> {
  /** Made on the first call. */
  readonly file: string;
}

export function sqliteBackend({ file, label = "sqlite", ...options }: SqliteBackendOptions): Backend {
  const nowMs = (): number => options.clock?.epochMs?.() ?? Date.now();
  return fromSwap(sqliteStore(file, label, nowMs), { ...options, label });
}

export function sqliteStore(file: string, label: string, nowMs: () => number = Date.now): SwapStore<number> {
  let database: DatabaseSync | undefined;
  let isClosed = false;
  let writes = 0;

  /** A statement is one atomic step: no other process comes in between. */
  async function run<T>(operation: string, sql: string, values: Record<string, SQLInputValue>): Promise<T | undefined> {
    try {
      if (isClosed) throw new Error("the backend was closed");
      database ??= open(file);
      return database.prepare(sql).get(values) as T | undefined;
    } catch (cause) {
      const message = `${label}: ${operation} failed; check that the file can be written`;
      throw new BackendUnavailableError(message, { tier: label, operation, cause });
    }
  }

  return {
    get: (name) => run("get", GET, { name, now: nowMs() }),

    async swap(name, bytes, expected, ttlMs) {
      const now = nowMs();
      writes += 1;
      if (writes % 100 === 0) await run("reclaim", RECLAIM, { now });
      const values = { name, bytes, endsAt: now + ttlMs, now, expected: expected ?? null };
      return (await run<{ readonly version: number }>("swap", SWAP, values))?.version;
    },

    delete: async (name, expected) => (await run("delete", DELETE, { name, expected })) !== undefined,

    close() {
      isClosed = true;
      database?.close();
      database = undefined;
    },
  };
}

function open(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  database.exec(`
    PRAGMA busy_timeout = 500;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS records (
      version INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, bytes BLOB NOT NULL, endsAt REAL NOT NULL
    );
    CREATE INDEX IF NOT EXISTS ends ON records (endsAt);
  `);
  return database;
}

const GET = "SELECT bytes, version FROM records WHERE name = :name AND endsAt > :now";
/** A new row has a new number, that no other row ever had. */
const SWAP = `
  INSERT OR REPLACE INTO records (name, bytes, endsAt) SELECT :name, :bytes, :endsAt
  WHERE (SELECT version FROM records WHERE name = :name AND endsAt > :now) IS :expected RETURNING version`;
const DELETE = "DELETE FROM records WHERE name = :name AND version = :expected RETURNING version";
/** Two ended records for each that is written, so the file does not grow. */
const RECLAIM = `
  DELETE FROM records WHERE version IN (SELECT version FROM records WHERE endsAt <= :now ORDER BY endsAt LIMIT 200)
  RETURNING version`;
