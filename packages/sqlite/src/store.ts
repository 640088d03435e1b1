import { setImmediate, setTimeout } from "node:timers";
import { BackendUnavailableError, type StoredEntry } from "@hotset/core";
import type { Changes } from "@hotset/core/stores";
import { DatabaseFile, UnusableFileError, WAL_BYTES } from "./database-file.ts";
import { failureOf, type Failure } from "./driver.ts";
import type { SqlitePlan } from "./plan.ts";
import type { Tables } from "./tables.ts";
import { StandstillError, WriteQueue, type Work } from "./write-queue.ts";

/** In the log of one file. */
export interface Position {
  readonly of: number;
  readonly n: number;
}

/**
 * Runs the calls of a backend on its file, and repairs what it can: a locked, full, damaged or missing file. Each call
 * is run once more after a repair.
 */
export class Store {
  readonly #plan: SqlitePlan;
  readonly #file: DatabaseFile;
  readonly #queue: WriteQueue;
  #isReclaiming = false;
  #makingRoom: Promise<void> | undefined;
  /**
   * Whether the log of SQLite has its most bytes, since another connection reads: it can only grow then. No entry is
   * stored and no lease given meanwhile; removals continue.
   */
  isLogFull: boolean = false;
  /** When the first read of this turn of the event loop began. */
  #readsSince: number | undefined;
  readonly #warned = new Set<string>();

  constructor(plan: SqlitePlan) {
    this.#plan = plan;
    this.#file = new DatabaseFile(plan);
    this.#queue = new WriteQueue(this.#file, plan.nowMs, (tables) => {
      if (tables.isSweepDue) this.#reclaim();
    });
  }

  /** A call that reads. It waits for no writer. */
  read<T>(operation: string, work: Work<T>): Promise<T> {
    return this.#mended(operation, async () => {
      if (this.#isTurnLong()) await new Promise((resolve) => void setImmediate(resolve));
      for (let pauseMs = 1; ; pauseMs *= 2) {
        try {
          return work(this.#file.tables(), this.#plan.nowMs());
        } catch (error) {
          // Seldom: another process opens the file, closes it as the last one, or recovers it after a crash.
          if (failureOf(error) !== "busy" || pauseMs > LONGEST_READ_PAUSE_MS) throw error;
          await new Promise((resolve) => void setTimeout(resolve, pauseMs));
        }
      }
    });
  }

  /** Reads wait for nothing, so a program that makes one after another would let no timer run. */
  #isTurnLong(): boolean {
    if (this.#readsSince !== undefined) return performance.now() - this.#readsSince >= LONGEST_TURN_MS;
    this.#readsSince = performance.now();
    setImmediate(() => (this.#readsSince = undefined));
    return false;
  }

  /** A step that writes, atomic and in the order of the calls. */
  step<T>(operation: string, work: Work<T>): Promise<T> {
    return this.#mended(operation, () => this.#queue.run(work));
  }

  /**
   * As {@link step}, for one that stores an entry of `key`. If there is no space for it, the entry that was there is
   * removed, and the call is refused: a delete could else be undone.
   */
  async put<T>(
    operation: string,
    key: string,
    given: StoredEntry,
    work: (tables: Tables, nowMs: number, entry: StoredEntry) => T,
  ): Promise<T> {
    let cause: unknown = this.isLogFull ? this.#logInTheWay() : undefined;
    if (cause === undefined)
      try {
        // The step is taken later, and the caller may continue to use its buffer.
        const entry = { ...given, data: given.data.slice() };
        return await this.#mended(operation, () =>
          this.#queue.run((tables, nowMs) => work(tables, nowMs, entry), entry.data.length),
        );
      } catch (error) {
        if (failureOf((error as BackendUnavailableError).cause) !== "full") throw error;
        cause = error;
      }
    await this.step(operation, (tables, nowMs) => {
      if (tables.version(key, nowMs) === "" && tables.lease(key, nowMs) === undefined) return;
      tables.free(key);
      tables.drop(key);
      tables.logEntry(key);
    });
    throw new Error(`${this.#plan.label}: no space is left, so the entry was not stored; see cause`, { cause });
  }

  /** @returns why no entry may be stored; nothing once the log was cut. */
  #logInTheWay(): Error | undefined {
    try {
      this.#file.tables().checkpoint();
      this.#space();
    } catch {
      // Another process writes, or the file is gone: then the removal below says so.
    }
    return this.isLogFull ? new Error("warning HOTSET_SQLITE_WAL") : undefined;
  }

  #space(): ReturnType<DatabaseFile["space"]> {
    const { label, file, maxBytes } = this.#plan;
    const space = this.#file.space();
    const { walBytes } = space;
    this.isLogFull = walBytes > Math.max(MOST_WAL_BYTES, maxBytes);
    if (walBytes > LONG_WAL_BYTES)
      this.#warn(
        "HOTSET_SQLITE_WAL",
        `${label}: ${file}-wal has ${Math.round(walBytes / 2 ** 20)} MiB, since another connection has been reading ` +
          "for long: a backup, a program with a window, a stopped process. It shrinks when that ends; beyond maxBytes no entry is stored until then",
      );
    return space;
  }

  /** The changes since `position`; rejects if another file has taken the place of that one. */
  async changesSince(position: Position | undefined): Promise<Changes<Position>> {
    // Opens the file; and another one, where that is there now.
    if (this.#file.isReplaced) this.#file.release();
    const changes = await this.read("changes", (tables) => tables.changesSince(position?.n));
    const of = this.#file.opened;
    if (position !== undefined && position.of !== of)
      throw this.#unavailable("changes", new UnusableFileError(`${this.#plan.file} was replaced or removed`));
    return { ...changes, position: { of, n: changes.position } };
  }

  close(): void {
    this.#queue.flush();
    this.#file.close();
  }

  async #mended<T>(operation: string, run: () => Promise<T>): Promise<T> {
    try {
      try {
        return await run();
      } catch (error) {
        if (!(await this.#mend(error))) throw error;
        return await run();
      }
    } catch (error) {
      throw this.#unavailable(operation, error);
    }
  }

  /** @returns whether the call may be run once more. */
  async #mend(error: unknown): Promise<boolean> {
    if (error instanceof UnusableFileError || error instanceof StandstillError || failureOf(error) === "busy")
      return false;
    if (failureOf(error) === "full") {
      await (this.#makingRoom ??= this.#makeRoom().finally(() => (this.#makingRoom = undefined)));
      return true;
    }
    if (this.#file.isReplaced) {
      this.#file.release();
      return true;
    }
    return failureOf(error) === "damaged" && this.#file.moveAside();
  }

  /**
   * The oldest entries give their pages to new ones; the log of SQLite begins again at its start, if it can. Where even
   * that has no room, the file gives its own: an empty one takes its place, so that nothing old is left in it.
   */
  async #makeRoom(): Promise<void> {
    try {
      this.#file.tables().checkpoint();
      await this.#queue.run((tables) => tables.evictTo(ROOM_MADE * tables.usedBytes()));
    } catch (error) {
      // Otherwise, the call that needs the room fails, and says why.
      if (failureOf(error) !== "full") return;
      try {
        this.#file.startAnew();
      } catch {
        // Another process writes, or has done it; or the file cannot be removed.
      }
    }
  }

  /** One small part of it at a time, so that neither the event loop nor other processes wait for long. */
  #reclaim(): void {
    if (this.#isReclaiming) return;
    this.#isReclaiming = true;
    // A failed part is retried with later writes.
    void this.#reclaimAll()
      .catch(() => undefined)
      .finally(() => (this.#isReclaiming = false));
  }

  async #reclaimAll(): Promise<void> {
    const { maxBytes, label } = this.#plan;
    const { freeBytes, isShort } = this.#space();
    let isMore = true;
    while (isMore)
      isMore = await this.#queue.run((tables, nowMs) => {
        if (tables.sweep(nowMs, SWEPT, maxBytes))
          this.#warn(
            "HOTSET_SQLITE_TAGS",
            `${label}: tag versions fill a quarter of maxBytes; those that were used longest ago are ` +
              "removed, and entries with their tags are loaded again. Raise maxBytes, or give values fewer tags",
          );
        // On a disk that is nearly full half of what the file could have is left to the logs, and to others.
        return tables.evictTo(isShort ? Math.min(maxBytes, (tables.fileBytes() + freeBytes) / 2) : maxBytes);
      });
    if (isShort) this.#file.tables().checkpoint();
  }

  /** Once for each process and file. */
  #warn(code: string, message: string): void {
    if (this.#warned.has(code)) return;
    this.#warned.add(code);
    process.emitWarning(message, { type: "HotsetWarning", code });
  }

  #unavailable(operation: string, cause: unknown): Error {
    // Nothing was asked of the file after a standstill: no reason to serve older copies.
    if (cause instanceof BackendUnavailableError || cause instanceof StandstillError) return cause;
    const { label, file } = this.#plan;
    const failure = failureOf(cause);
    const why = cause instanceof UnusableFileError ? cause.message : `${file}: ${REASONS[failure]}`;
    return new BackendUnavailableError(`${label}: ${operation} failed: ${why}`, {
      tier: label,
      operation,
      cause,
      retryable: !(cause instanceof UnusableFileError) && failure !== "damaged",
      // A transaction that failed was rolled back; the outcome of a commit that could not be written is unknown.
      maybeExecuted: failure === "io",
    });
  }
}

const REASONS: Readonly<Record<Failure, string>> = {
  busy: "another process holds the lock of the file; is it stopped in the middle of a write?",
  readonly: "the file cannot be written; check its permissions and those of its folder",
  io: "the disk failed; see cause",
  damaged:
    'the file is damaged; stop its processes and delete it, or pass unusableFile: "moveAside" to have it renamed',
  full: "the disk is full, and nothing could be removed from the file",
  "cannot open": "the file cannot be opened; check that its folder is there and can be written",
  other: "see cause",
};

/** Twice as many as are written between two of them. */
const SWEPT = 200;
/** On a full disk a tenth of the file is given to new entries. */
const ROOM_MADE = 0.9;
/** Reached only behind a long read: otherwise SQLite begins its log again at 16 MB. */
const LONG_WAL_BYTES = 3 * WAL_BYTES;
/** Beyond it no entry is stored, or beyond `maxBytes` if that is more. */
const MOST_WAL_BYTES = 4 * WAL_BYTES;
const LONGEST_TURN_MS = 8;
const LONGEST_READ_PAUSE_MS = 256;
