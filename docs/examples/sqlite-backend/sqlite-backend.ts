// A backend with every capability, for the processes of one machine: entries, leases, tag versions and a log of changes
// are in one SQLite file, and each step is one transaction. `pollChanges` reads the log for changes by other processes.
// docs/guide/writing-a-backend.md explains it.

import { randomBytes } from "node:crypto";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import {
  BackendUnavailableError,
  json,
  packEntry,
  passthrough,
  pollChanges,
  unpackEntry,
  type Backend,
  type Changes,
  type Clock,
  type Compressor,
  type Format,
  type Leases,
  type StoredEntry,
  type TagVersion,
  type TagVersions,
} from "@hotset/core";

export interface SqliteBackendOptions {
  /** Made on the first call. */
  readonly file: string;
  /** @default json() */
  readonly format?: Format;
  /** @default passthrough() */
  readonly compressor?: Compressor;
  /** Interval of reading the log while the backend is used. @default 20 */
  readonly pollMs?: number;
  /**
   * How many changes the log keeps. A process that missed older ones is notified that everything changed. @default
   * 10_000
   */
  readonly maxChanges?: number;
  /** The clock by which entries and leases end: one for all processes. @default the machine's, in epoch milliseconds */
  readonly clock?: Clock;
}

export function sqliteBackend(options: SqliteBackendOptions): Backend {
  const {
    file,
    format = json(),
    compressor = passthrough(),
    pollMs = 20,
    maxChanges = 10_000,
    clock = WALL_CLOCK,
  } = options;
  const label = "sqlite";
  let database: DatabaseSync | undefined;
  let isClosed = false;

  /** One atomic step: no other process comes in between. */
  async function transaction<T>(operation: string, work: (tables: Tables) => T): Promise<T> {
    try {
      if (isClosed) throw new Error("the backend was closed");
      database ??= open(file);
      database.exec("BEGIN IMMEDIATE");
      try {
        const answer = work(new Tables(database, clock.now(), maxChanges));
        database.exec("COMMIT");
        return answer;
      } catch (error) {
        database.exec("ROLLBACK");
        throw error;
      }
    } catch (cause) {
      throw new BackendUnavailableError(`${label}: ${operation} failed; check that the file can be written`, {
        tier: label,
        operation,
        cause,
        maybeExecuted: false,
      });
    }
  }

  const step = <T>(operation: string, work: (tables: Tables) => T): Promise<T> => {
    changes.wake();
    return transaction(operation, work);
  };

  const leases: Leases = {
    acquire: (key, token, leaseMs, seen) =>
      step("acquire", (tables) => {
        const entry = tables.entry(key);
        const version = entry?.version ?? "";
        if (seen !== "*") {
          if (entry !== undefined && version !== seen) return { granted: false, entry };
          const held = tables.lease(key);
          if (held !== undefined) return { granted: false, heldForMs: held.leftMs };
        }
        tables.hold(key, token, leaseMs);
        return { granted: true, version };
      }),
    renew: (key, token, leaseMs) =>
      step("renew", (tables) => {
        if (tables.lease(key)?.token !== token) return false;
        tables.hold(key, token, leaseMs);
        return true;
      }),
    release: (key, token) =>
      step("release", (tables) => {
        if (tables.lease(key)?.token === token) tables.free(key);
      }),
    store: (key, token, seen, entry) =>
      step("store", (tables) => {
        if (tables.lease(key)?.token !== token) return false;
        tables.free(key); // reports the key, stored or not: others wait for it
        if ((tables.entry(key)?.version ?? "") !== seen) return false;
        tables.put(key, entry);
        return true;
      }),
    touch: (key, seen, life) =>
      step("touch", (tables) => {
        const entry = tables.entry(key);
        if (entry?.version !== seen) return false;
        tables.put(key, { ...entry, ...life });
        return true;
      }),
    confirm: async (key) => {
      // Every write acknowledged before is in the log: once the log has been read, it has been reported.
      await changes.catchUp();
      return step("confirm", (tables) => tables.entry(key)?.version ?? "");
    },
  };

  const tagVersions: TagVersions = {
    read: (tags) => step("read tags", (tables) => tags.map((tag) => tables.tag(tag))),
    pin: (tags) =>
      step("pin tags", (tables) => ({ at: tables.issuer(), versions: tags.map((tag) => tables.pin(tag)) })),
    unchangedSince: (at, tags) =>
      step("pin tags", (tables) => {
        // Only that some tag was renewed is known, not which: a load that meets one is not stored, which is rare.
        const isUnchanged = tables.issuer() === at;
        const versions = tags.map((tag) => tables.pin(tag));
        return versions.map((version) => (isUnchanged ? version : undefined));
      }),
    renew: (tags, mode) =>
      step("renew tags", (tables) => {
        const version = tables.issueNext();
        for (const tag of tags)
          tables.setTag(
            tag,
            mode === "soft"
              ? { hard: tables.tag(tag)?.hard ?? version, soft: version }
              : { hard: version, soft: version },
          );
      }),
  };

  // The log may keep less than a process has missed.
  const changes = pollChanges(
    (position: number | undefined) =>
      transaction("read changes", (tables): Changes<number> => {
        const newest = tables.lastChange();
        const rows = tables.changesSince(position ?? newest);
        const namesOf = (isTag: 0 | 1) =>
          rows.filter((row) => row.isTag === isTag).map(({ key }) => String(Buffer.from(key)));
        return {
          position: newest,
          keys: namesOf(0),
          tags: namesOf(1),
          isCut: rows.length < newest - (position ?? newest),
        };
      }),
    { clock, busyMs: pollMs },
  );

  return {
    label,
    format,
    compressor,
    leases,
    tagVersions,
    coherence: changes.coherence,
    read: (key) => step("read", (tables) => tables.entry(key)),
    write: (key, entry) =>
      step("write", (tables) => {
        tables.free(key);
        tables.put(key, entry);
      }),
    remove: (key) =>
      step("remove", (tables) => {
        const status = tables.entry(key) === undefined ? "missing" : "deleted";
        tables.free(key); // also without an entry: another process may be loading it
        tables.drop(key);
        return status;
      }),
    markStale: (key) =>
      step("markStale", (tables) => {
        tables.free(key);
        const entry = tables.entry(key);
        if (entry === undefined) return "missing";
        const windowMs = Math.max(0, entry.expiresInMs - entry.staleInMs);
        const expiresInMs = Math.min(entry.expiresInMs, Number.isNaN(windowMs) ? 0 : windowMs);
        if (expiresInMs < 1) tables.drop(key);
        // Another version: the process that has just written the entry must not take it for its own write.
        else
          tables.put(key, {
            ...entry,
            staleInMs: Math.min(0, entry.staleInMs),
            expiresInMs,
            version: randomBytes(12).toString("base64url"),
          });
        return "stale";
      }),
    async close() {
      isClosed = true;
      changes.stop();
      database?.close();
      database = undefined;
    },
  };
}

/** The tables of the file, within one step. */
class Tables {
  readonly #database: DatabaseSync;
  readonly #nowMs: number;
  readonly #maxChanges: number;

  constructor(database: DatabaseSync, nowMs: number, maxChanges: number) {
    this.#database = database;
    this.#nowMs = nowMs;
    this.#maxChanges = maxChanges;
  }

  entry(key: string): StoredEntry | undefined {
    const row = this.#get("SELECT entry, version FROM entries WHERE key = ?", bytes(key)) as
      | { readonly entry: Uint8Array; readonly version: string }
      | undefined;
    const entry = row && unpackEntry(row.entry, this.#nowMs);
    return entry && { ...entry, version: row.version };
  }

  put(key: string, entry: StoredEntry): void {
    this.#run(
      "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)",
      bytes(key),
      packEntry(entry, this.#nowMs),
      entry.version ?? "-",
    );
  }

  drop(key: string): void {
    this.#run("DELETE FROM entries WHERE key = ?", bytes(key));
  }

  lease(key: string): { readonly token: string; readonly leftMs: number } | undefined {
    return this.#get(
      "SELECT token, endsAt - ? AS leftMs FROM leases WHERE key = ? AND endsAt > ?",
      this.#nowMs,
      bytes(key),
      this.#nowMs,
    ) as ReturnType<Tables["lease"]>;
  }

  hold(key: string, token: string, leaseMs: number): void {
    this.#run("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", bytes(key), token, this.#nowMs + leaseMs);
  }

  /** Ends the lease on `key`, and reports that something about it changed. */
  free(key: string): void {
    this.#run("DELETE FROM leases WHERE key = ?", bytes(key));
    this.#log(key, 0);
  }

  tag(tag: string): TagVersion | undefined {
    return this.#get("SELECT hard, soft FROM tags WHERE tag = ?", bytes(tag)) as TagVersion | undefined;
  }

  setTag(tag: string, { hard, soft }: TagVersion): void {
    this.#run("INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", bytes(tag), hard, soft);
    this.#log(tag, 1);
  }

  pin(tag: string): TagVersion {
    const version = this.tag(tag) ?? { hard: this.issuer(), soft: this.issuer() };
    if (this.tag(tag) === undefined) this.setTag(tag, version);
    return version;
  }

  issuer(): string {
    return (this.#get("SELECT id || '.' || n AS at FROM issuer") as { readonly at: string }).at;
  }

  issueNext(): string {
    this.#run("UPDATE issuer SET n = n + 1");
    return this.issuer();
  }

  lastChange(): number {
    return (
      this.#get("SELECT coalesce(max(seq), 0) AS last FROM sqlite_sequence WHERE name = 'changes'") as {
        readonly last: number;
      }
    ).last;
  }

  changesSince(last: number): readonly { readonly key: Uint8Array; readonly isTag: 0 | 1 }[] {
    return this.#database
      .prepare("SELECT key, isTag FROM changes WHERE n > ? ORDER BY n")
      .all(last) as unknown as ReturnType<Tables["changesSince"]>;
  }

  #log(key: string, isTag: 0 | 1): void {
    this.#run("INSERT INTO changes (key, isTag) VALUES (?, ?)", bytes(key), isTag);
    this.#run("DELETE FROM changes WHERE n <= ?", this.lastChange() - this.#maxChanges);
  }

  #get(sql: string, ...values: SQLInputValue[]): unknown {
    return this.#database.prepare(sql).get(...values);
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#database.prepare(sql).run(...values);
  }
}

function open(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  database.exec(`
    PRAGMA busy_timeout = 500;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, entry BLOB NOT NULL, version TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS leases (key BLOB PRIMARY KEY, token TEXT NOT NULL, endsAt REAL NOT NULL);
    CREATE TABLE IF NOT EXISTS tags (tag BLOB PRIMARY KEY, hard TEXT NOT NULL, soft TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS changes (n INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, isTag INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS issuer (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL, n INTEGER NOT NULL);
  `);
  // Random, so that a file that was lost and created anew repeats no version.
  database.prepare("INSERT OR IGNORE INTO issuer VALUES (1, ?, 0)").run(randomBytes(12).toString("base64url"));
  return database;
}

/** SQLite ends text at the first NUL, but not bytes. */
const bytes = (key: string): Uint8Array => Buffer.from(key);

const WALL_CLOCK: Clock = {
  now: () => Date.now(),
  schedule(callback, delayMs) {
    const timer = setTimeout(callback, delayMs).unref();
    return () => clearTimeout(timer);
  },
};
