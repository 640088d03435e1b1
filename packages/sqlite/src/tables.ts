import type { StoredEntry, TagVersion } from "@hotset/core";
import { newId } from "@hotset/core/internal";
import type { Changes } from "@hotset/core/stores";
import type { SqliteDatabase, SqliteStatement, SqliteValue } from "./driver.ts";

/**
 * The tables of one file. Instants are epoch milliseconds of this machine's clock, and text that may hold NUL is kept
 * as bytes: SQLite ends text there.
 *
 *     entries   by key; rowids only grow, so the lowest is the oldest write
 *     leases    by key
 *     tags      versions by tag, with the number of the issuer at which they were renewed
 *     issuer    one row: a random id, and a number that each renewal increments
 *     changes   the log, by number, with the version after the change: its last row is never deleted, so numbers are
 *               not used twice
 */
export const LAYOUT = `
  CREATE TABLE entries (
    key BLOB PRIMARY KEY NOT NULL, version TEXT NOT NULL, staleAt REAL NOT NULL, endsAt REAL NOT NULL,
    meta BLOB NOT NULL, data BLOB NOT NULL
  );
  CREATE INDEX entryEnds ON entries (endsAt);
  CREATE TABLE leases (key BLOB PRIMARY KEY NOT NULL, token TEXT NOT NULL, endsAt REAL NOT NULL) WITHOUT ROWID;
  CREATE TABLE tags (
    tag BLOB PRIMARY KEY NOT NULL, hard TEXT NOT NULL, soft TEXT NOT NULL, n INTEGER NOT NULL, usedAt REAL NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX tagUses ON tags (usedAt);
  CREATE TABLE issuer (id TEXT NOT NULL, n INTEGER NOT NULL);
  CREATE TABLE changes (n INTEGER PRIMARY KEY NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL, version TEXT);
`;

/** Kinds of rows of the log. */
const ENTRY = 0;
const LEASE = 1;
const TAG = 2;

interface EntryRow {
  readonly version: string;
  readonly staleAt: number;
  readonly endsAt: number;
  readonly meta: Uint8Array;
  readonly data: Uint8Array;
}

interface TagRow extends TagVersion {
  readonly n: number;
  readonly usedAt: number;
}

interface Lease {
  readonly token: string;
  readonly endsAt: number;
}

/** The statements of one open file. Each method is a part of a step: the caller makes the transaction. */
export class Tables {
  readonly #database: SqliteDatabase;
  readonly #prepared = new Map<string, SqliteStatement>();
  /** Before the version of an entry that was touched here. */
  readonly #touched = `${newId()} `;
  /** How many changes this process has logged, and what of that and of others was read last. */
  #logged = 0;
  #loggedBefore = -1;
  #dataVersion = -1;
  /** At, and since, the last sweep. */
  #sweptAt = 0;
  #sweeps = 0;
  #bytesWritten = 0;

  readonly #entry: SqliteStatement;
  readonly #version: SqliteStatement;

  constructor(database: SqliteDatabase) {
    this.#database = database;
    this.#entry = database.prepare(
      "SELECT version, staleAt, endsAt, meta, data FROM entries WHERE key = ? AND endsAt > ?",
    );
    this.#version = database.prepare("SELECT version FROM entries WHERE key = ? AND endsAt > ?");
  }

  /** Prepared with its first use. */
  #of(sql: string): SqliteStatement {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) this.#prepared.set(sql, (statement = this.#database.prepare(sql)));
    return statement;
  }

  rows<T>(sql: string, ...values: readonly SqliteValue[]): readonly T[] {
    return this.#of(sql).all(...values) as T[];
  }

  begin(): void {
    this.#of("BEGIN IMMEDIATE").run();
  }

  commit(): void {
    this.#of("COMMIT").run();
  }

  rollback(): void {
    this.#of("ROLLBACK").run();
  }

  close(): void {
    this.#database.close();
  }

  // ---- entries

  entry(key: string, nowMs: number): StoredEntry | undefined {
    const row = this.#entry.get(bytes(key), nowMs) as EntryRow | undefined;
    if (row === undefined) return undefined;
    const { version, staleAt, endsAt, meta, data } = row;
    return {
      data,
      staleInMs: Math.floor(staleAt - nowMs),
      expiresInMs: Math.max(1, Math.floor(endsAt - nowMs)),
      meta: text(meta),
      version,
    };
  }

  /** `""` if there is no entry. */
  version(key: string, nowMs: number): string {
    const row = this.#version.get(bytes(key), nowMs) as Pick<EntryRow, "version"> | undefined;
    return row?.version ?? "";
  }

  put(key: string, entry: StoredEntry, nowMs: number): void {
    this.#of(
      "INSERT OR REPLACE INTO entries (key, version, staleAt, endsAt, meta, data) VALUES (?, ?, ?, ?, ?, ?)",
    ).run(
      bytes(key),
      entry.version ?? NO_VERSION,
      nowMs + entry.staleInMs,
      nowMs + entry.expiresInMs,
      bytes(entry.meta),
      entry.data,
    );
    this.#bytesWritten += entry.data.length;
  }

  drop(key: string): void {
    this.#of("DELETE FROM entries WHERE key = ?").run(bytes(key));
  }

  /**
   * Ends its freshness. Its stale window begins now, unless it has begun; an entry without one is removed.
   *
   * @returns its new version, if there was an entry.
   */
  markStale(key: string, nowMs: number): string | undefined {
    const version = `stale-${newId()}`;
    // An entry without an end has no stale window: Infinity - Infinity is NULL.
    const { changes } = this.#of(
      `UPDATE entries SET version = ?, endsAt = min(endsAt, ? + max(0, coalesce(endsAt - staleAt, 0))),
         staleAt = min(staleAt, ?) WHERE key = ? AND endsAt > ?`,
    ).run(version, nowMs, nowMs, bytes(key), nowMs);
    this.#of("DELETE FROM entries WHERE key = ? AND endsAt <= ?").run(bytes(key), nowMs);
    return changes === 0 ? undefined : version;
  }

  touch(
    key: string,
    seen: string,
    { staleInMs, expiresInMs, meta }: Pick<StoredEntry, "staleInMs" | "expiresInMs" | "meta">,
    nowMs: number,
  ): boolean {
    const { changes } = this.#of(
      "UPDATE entries SET staleAt = ?, endsAt = ?, meta = ? WHERE key = ? AND version = ? AND endsAt > ?",
    ).run(nowMs + staleInMs, nowMs + expiresInMs, bytes(meta), bytes(key), seen, nowMs);
    return changes !== 0;
  }

  // ---- leases

  lease(key: string, nowMs: number): Lease | undefined {
    return this.#of("SELECT token, endsAt FROM leases WHERE key = ? AND endsAt > ?").get(bytes(key), nowMs) as
      | Lease
      | undefined;
  }

  hold(key: string, token: string, endsAt: number): void {
    this.#of("INSERT OR REPLACE INTO leases (key, token, endsAt) VALUES (?, ?, ?)").run(bytes(key), token, endsAt);
  }

  free(key: string): void {
    this.#of("DELETE FROM leases WHERE key = ?").run(bytes(key));
  }

  // ---- tags

  tag(tag: string): TagRow | undefined {
    return this.#of("SELECT hard, soft, n, usedAt FROM tags WHERE tag = ?").get(bytes(tag)) as TagRow | undefined;
  }

  setTag(tag: string, { hard, soft, n }: Omit<TagRow, "usedAt">, nowMs: number): void {
    this.#of("INSERT OR REPLACE INTO tags (tag, hard, soft, n, usedAt) VALUES (?, ?, ?, ?, ?)").run(
      bytes(tag),
      hard,
      soft,
      n,
      nowMs,
    );
    this.#log(TAG, tag, `${hard} ${soft}`);
  }

  /** Prolongs the life of a tag version that is used. */
  useTag(tag: string, nowMs: number): void {
    this.#of("UPDATE tags SET usedAt = ? WHERE tag = ?").run(nowMs, bytes(tag));
  }

  issuer(): { readonly id: string; readonly n: number } {
    return this.#of("SELECT id, n FROM issuer").get() as { readonly id: string; readonly n: number };
  }

  issueNext(): void {
    this.#of("UPDATE issuer SET n = n + 1").run();
  }

  // ---- the log of changes

  /** @param version that it has now; none if it was removed. */
  logEntry(key: string, version?: string): void {
    this.#log(ENTRY, key, version === NO_VERSION ? undefined : version);
  }

  /** Only copies of this process have the life that it gave. */
  logTouch(key: string, version: string): void {
    this.#log(ENTRY, key, this.#touched + version);
  }

  logLease(key: string): void {
    this.#log(LEASE, key);
  }

  #log(kind: number, key: string, version?: string): void {
    this.#of("INSERT INTO changes (kind, key, version) VALUES (?, ?, ?)").run(kind, bytes(key), version ?? null);
    this.#logged += 1;
  }

  /** How many changes this process has logged. */
  get logged(): number {
    return this.#logged;
  }

  changesSince(position: number | undefined): Changes<number> {
    // Changes by this connection do not count for data_version.
    const { data_version } = this.#of("PRAGMA data_version").get() as { readonly data_version: number };
    const isQuiet = data_version === this.#dataVersion && this.#logged === this.#loggedBefore;
    this.#dataVersion = data_version;
    this.#loggedBefore = this.#logged;
    if (position === undefined) return { position: this.#lastChange() };
    if (isQuiet) return { position };
    const rows = this.#of("SELECT n, kind, key, version FROM changes WHERE n > ? ORDER BY n").all(position) as {
      readonly n: number;
      readonly kind: number;
      readonly key: Uint8Array;
      readonly version: string | null;
    }[];
    if (rows.length === 0) return { position };
    const names: readonly Set<string>[] = [new Set(), new Set(), new Set()];
    const versions = new Map<string, string>();
    for (const { kind, key, version } of rows) {
      const name = text(key);
      names[kind]!.add(name);
      // The last change of each counts.
      if (kind !== LEASE) versions.set(name, version?.replace(this.#touched, "") ?? "");
    }
    const [keys, leases, tags] = names.map((of) => [...of]);
    return {
      position: rows.at(-1)!.n,
      keys,
      leases,
      tags,
      versions,
      isCut: rows[0]!.n !== position + 1,
    };
  }

  #lastChange(): number {
    return (this.#of("SELECT coalesce(max(n), 0) AS last FROM changes").get() as { readonly last: number }).last;
  }

  // ---- space

  /** Whether enough was written since the last sweep. */
  get isSweepDue(): boolean {
    return this.#logged - this.#sweptAt >= WRITES_PER_SWEEP || this.#bytesWritten >= BYTES_PER_SWEEP;
  }

  /**
   * Deletes rows that ended, `limit` entries at most, and what tags and the log have beyond their parts of `maxBytes`.
   *
   * @returns whether tag versions were deleted that had not ended: their entries are a miss, and never old.
   */
  sweep(nowMs: number, limit: number, maxBytes: number): boolean {
    this.#sweptAt = this.#logged;
    this.#bytesWritten = 0;
    this.#of(
      "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE endsAt <= ? ORDER BY endsAt LIMIT ?)",
    ).run(nowMs, limit);
    this.#of("DELETE FROM leases WHERE endsAt <= ?").run(nowMs);
    this.#dropTags(nowMs - TAG_LIFE_MS, limit);
    const last = this.#lastChange();
    this.#of("DELETE FROM changes WHERE n <= ?").run(last - this.#mostOf("changes", "key", "n", maxBytes / 8));
    this.#sweeps += 1;
    if (this.#sweeps % SWEEPS_PER_COUNT !== 0) return false;
    const { n } = this.#of("SELECT count(*) AS n FROM tags").get() as { readonly n: number };
    const surplus = n - this.#mostOf("tags", "tag", "usedAt", maxBytes / 4);
    if (surplus > 0) this.#dropTags(Infinity, Math.min(surplus, 2 * SWEEPS_PER_COUNT * WRITES_PER_SWEEP));
    return surplus > 0;
  }

  /** Drops the tags that were used longest ago, none after `until`. */
  #dropTags(until: number, limit: number): void {
    this.#of("DELETE FROM tags WHERE tag IN (SELECT tag FROM tags WHERE usedAt <= ? ORDER BY usedAt LIMIT ?)").run(
      until,
      limit,
    );
  }

  /** How many rows have so many bytes, if they are as those that were written last. */
  #mostOf(table: "changes" | "tags", name: string, order: string, bytes: number): number {
    const { length } = this.#of(
      `SELECT avg(length(${name})) AS length FROM (SELECT ${name} FROM ${table} ORDER BY ${order} DESC LIMIT ${SAMPLED})`,
    ).get() as { readonly length: number | null };
    const most = bytes / (table === "tags" ? 2 * (length ?? 0) + TAG_BYTES : (length ?? 0) + CHANGE_BYTES);
    return Math.floor(table === "changes" ? Math.min(MAX_CHANGES, most) : most);
  }

  /**
   * Deletes the entries that were written longest ago until no more than `maxBytes` are in use, some hundred at most.
   *
   * @returns whether there are more to delete.
   */
  evictTo(maxBytes: number): boolean {
    for (let round = 0; round < EVICTION_ROUNDS; round += 1) {
      if (this.usedBytes() <= maxBytes) return false;
      const { changes } = this.#of(
        "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries ORDER BY rowid LIMIT ?)",
      ).run(EVICTED_PER_ROUND);
      if (Number(changes) === 0) return false;
    }
    return true;
  }

  /** Bytes of the pages in use. Pages that were freed are used again, and the file does not get smaller. */
  usedBytes(): number {
    return this.fileBytes() - this.#pragma("freelist_count") * this.#pragma("page_size");
  }

  fileBytes(): number {
    return this.#pragma("page_count") * this.#pragma("page_size");
  }

  #pragma(name: "page_count" | "freelist_count" | "page_size"): number {
    return Number(Object.values(this.#of(`PRAGMA ${name}`).get() as Record<string, number>)[0]);
  }

  /** Writes the log of SQLite into the file, and cuts it, as far as no reader needs it. */
  checkpoint(): void {
    this.#of("PRAGMA wal_checkpoint(TRUNCATE)").get();
  }
}

/** The version of an entry that was written without one. */
export const NO_VERSION = "-";
/** How long a tag version lives after its last use, as in Redis. */
const TAG_LIFE_MS = 30 * 86_400_000;
/** A process that missed more treats everything as changed. */
const MAX_CHANGES = 10_000;
/** Bytes of a row without its name, and rows by which names are measured. A tag is in an index, too. */
const CHANGE_BYTES = 60;
const TAG_BYTES = 110;
const SAMPLED = 100;
/** Counting some hundred thousand tags takes milliseconds. */
const SWEEPS_PER_COUNT = 16;
const WRITES_PER_SWEEP = 100;
const BYTES_PER_SWEEP = 2 ** 19;
/** Few, since one may be large. */
const EVICTED_PER_ROUND = 16;
const EVICTION_ROUNDS = 32;
/** So a pin writes once a day. */
export const TAG_USE_MS = 86_400_000;

const bytes = (given: string): Uint8Array => Buffer.from(given);
const text = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString();
