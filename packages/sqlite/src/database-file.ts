import { mkdirSync, renameSync, rmSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { newId } from "@hotset/core/internal";
import { failureOf, type SqliteDatabase } from "./driver.ts";
import { LAYOUT, Tables } from "./tables.ts";

/** A file that cannot be used, with a sentence that says what to do. */
export class UnusableFileError extends Error {
  override readonly name = "UnusableFileError";
}

/** One that was written by a newer version, and may be moved aside. */
class NewerFileError extends UnusableFileError {}

export interface DatabaseFileOptions {
  readonly file: string;
  readonly open: (file: string) => SqliteDatabase;
  /** Whether a file that is damaged, or of a newer layout, is renamed, and a new one made. */
  readonly movesAside: boolean;
  readonly isDurable: boolean;
}

/** One file, opened with its first use, and again when another file has taken its place. */
export class DatabaseFile {
  readonly #options: DatabaseFileOptions;
  #tables: Tables | undefined;
  /** Which file is open, not by its name: it may have been renamed since. */
  #identity = "";
  #isReadOnly = false;
  #lookedAt = 0;
  #isClosed = false;
  /** How many files were opened: a position in the log of one says nothing of another. */
  opened = 0;

  constructor(options: DatabaseFileOptions) {
    this.#options = options;
  }

  /**
   * Opens the file if it is not open, or if another one has taken its place some milliseconds ago.
   *
   * @throws {UnusableFileError}, or an error of the driver.
   */
  tables(): Tables {
    const now = performance.now();
    if (now - this.#lookedAt >= LOOK_EACH_MS) {
      this.#lookedAt = now;
      if (this.isReplaced) this.release();
    }
    if (this.#tables !== undefined) return this.#tables;
    if (this.#isClosed) throw new UnusableFileError("the backend was closed");
    try {
      return this.#open();
    } catch (error) {
      if (!this.#options.movesAside || !isUnusable(error)) throw error;
      this.#moveAside(identityOf(this.#options.file));
      return this.#open();
    }
  }

  /** Whether the name of the open file leads to another one, or to none. */
  get isReplaced(): boolean {
    return this.#tables !== undefined && this.#identityNow() !== this.#identity;
  }

  #identityNow(): string {
    const { file } = this.#options;
    return this.#isReadOnly ? stateOf(file) : identityOf(file);
  }

  /** Bytes that the disk has left, those of the file that are kept by the log of SQLite, and whether that is little. */
  space(): { readonly walBytes: number; readonly isShort: boolean; readonly freeBytes: number } {
    const { file } = this.#options;
    const { bavail, bsize } = statfsSync(dirname(file));
    const walBytes = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    return { walBytes, freeBytes: bavail * bsize, isShort: bavail * bsize < 2 * WAL_BYTES };
  }

  /**
   * Removes the file, since nothing can be written to it, not even a removal. No other process writes meanwhile: all
   * notice before they acknowledge anything. The files that SQLite keeps next to it go first.
   */
  startAnew(): void {
    const tables = this.tables();
    tables.begin();
    const { file } = this.#options;
    if (!this.isReplaced) for (const suffix of ["-wal", "-shm", ""]) rmSync(file + suffix, { force: true });
    this.release();
  }

  /** The next use opens the file again. */
  release(): void {
    const tables = this.#tables;
    this.#tables = undefined;
    tables?.close();
  }

  /** After damage was found in the open file. @returns whether it was moved, here or by another process. */
  moveAside(): boolean {
    if (!this.#options.movesAside && !this.isReplaced) return false;
    const identity = this.#identity;
    try {
      this.release();
    } catch {
      // A damaged file may not close.
    }
    this.#moveAside(identity);
    return true;
  }

  close(): void {
    this.#isClosed = true;
    this.release();
  }

  #open(): Tables {
    const { file } = this.#options;
    try {
      this.#isReadOnly = false;
      mkdirSync(dirname(file), { recursive: true });
      return this.#openAs(file);
    } catch (error) {
      // A log next to it would not be read.
      if (!isUnwritable(error) || !stateOf(file).endsWith(" alone")) throw error;
      this.#isReadOnly = true;
      return this.#openAs(`${pathToFileURL(file).href}?immutable=1`);
    }
  }

  #openAs(name: string): Tables {
    const { file, open, isDurable } = this.#options;
    const database = open(name);
    try {
      // Never blocks the event loop: a step that finds the file locked is tried again later.
      database.exec(`PRAGMA busy_timeout = 0; PRAGMA synchronous = ${isDurable ? "FULL" : "NORMAL"}`);
      prepare(database, file);
      database.exec(`PRAGMA journal_size_limit = ${WAL_BYTES}`);
      this.#tables = new Tables(database);
      this.#identity = this.#identityNow();
      this.opened += 1;
      return this.#tables;
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** Renames the file, unless another process has done so, after the files that SQLite keeps next to it. */
  #moveAside(identity: string): void {
    const { file } = this.#options;
    if (identityOf(file) !== identity) return;
    const aside = `${file}.damaged-${new Date().toISOString().replaceAll(/[:.]/gu, "-")}`;
    for (const suffix of ["-wal", "-shm", ""]) {
      try {
        renameSync(file + suffix, aside + suffix);
      } catch (error) {
        if ((error as { readonly code?: string }).code !== "ENOENT") throw error;
      }
    }
  }
}

/** Checks whose file it is, and makes the tables of a new one. */
function prepare(database: SqliteDatabase, file: string): void {
  const number = (pragma: string): number =>
    Number(Object.values(database.prepare(`PRAGMA ${pragma}`).get() as Record<string, number>)[0]);
  if (isNew()) {
    // No effect once there is a table. Entries of a few KB leave less room unused than in smaller pages.
    database.exec(`PRAGMA page_size = ${PAGE_BYTES}`);
    const { journal_mode } = database.prepare("PRAGMA journal_mode = WAL").get() as { readonly journal_mode: string };
    if (journal_mode !== "wal")
      throw new UnusableFileError(`${file}: this file system has no WAL; use a disk of this machine`);
    database.exec("BEGIN IMMEDIATE");
    // Another process may have been faster.
    if (isNew())
      database.exec(`${LAYOUT}
        INSERT INTO issuer VALUES ('${newId()}', 0);
        PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${LAYOUT_VERSION}`);
    database.exec("COMMIT");
  }
  if (number("application_id") !== APPLICATION_ID)
    throw new UnusableFileError(`${file} is a database of another program; give the cache a file that no other uses`);
  const version = number("user_version");
  if (version > LAYOUT_VERSION)
    throw new NewerFileError(
      `${file} has layout ${version}, of a newer @hotset/sqlite; update this process, or give it another file`,
    );

  function isNew(): boolean {
    return number("application_id") === 0 && number("schema_version") === 0;
  }
}

const isUnusable = (error: unknown): boolean => failureOf(error) === "damaged" || error instanceof NewerFileError;

/** The folder, or the file, cannot be written. */
const isUnwritable = (error: unknown): boolean =>
  ["readonly", "cannot open"].includes(failureOf(error)) || (error as { readonly code?: unknown }).code === "EROFS";

/** Like {@link identityOf}, for a file that is read without locks: it changes with each write. */
function stateOf(file: string): string {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false });
  const wal = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  return `${identityOf(file)} ${found?.mtimeNs} ${found?.size} ${wal === 0 && found !== undefined ? "alone" : "written"}`;
}

/** `""` if there is no such file. */
function identityOf(file: string): string {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? "" : `${found.dev}.${found.ino}`;
}

/** "hs" and a number, in the head of the file: says whose it is. */
const APPLICATION_ID = 0x68_73_00_01;
export const LAYOUT_VERSION = 1;
const PAGE_BYTES = 16_384;
/** How soon a read notices that the file was replaced, as soon as it does a change. */
const LOOK_EACH_MS = 20;
/** The size to which SQLite cuts its log after a burst of writes. */
export const WAL_BYTES: number = 16 * 2 ** 20;
