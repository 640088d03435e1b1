import { setTimeout } from "node:timers";
import { BackendUnavailableError } from "@hotset/core";
import { DatabaseFile, UnusableFileError } from "./database-file.ts";
import { failureOf, type Failure } from "./driver.ts";
import type { SqlitePlan } from "./options.ts";
import type { Tables } from "./tables.ts";
import { WriteQueue, type Work } from "./write-queue.ts";

/**
 * Runs the calls of a backend on its file, and mends what can be mended: a file that is locked, full, damaged, or not
 * there any more. Each call is run once more after a repair.
 */
export class Store {
  readonly #plan: SqlitePlan;
  readonly #file: DatabaseFile;
  readonly #queue: WriteQueue;
  #isReclaiming = false;
  #makingRoom: Promise<void> | undefined;

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

  /** A step that writes, atomic and in the order of the calls. */
  step<T>(operation: string, work: Work<T>): Promise<T> {
    return this.#mended(operation, () => this.#queue.run(work));
  }

  /**
   * As {@link step}, for one that stores an entry of `key`. If there is no space for it, the entry that was there is
   * removed, and the call is refused: a delete could else be undone.
   */
  async put<T>(operation: string, key: string, work: Work<T>): Promise<T> {
    try {
      return await this.step(operation, work);
    } catch (error) {
      if (failureOf((error as BackendUnavailableError).cause) !== "full") throw error;
      await this.step(operation, (tables) => {
        tables.free(key);
        tables.drop(key);
        tables.logEntry(key);
      });
      throw new Error(`${this.#plan.label}: the disk is full, so the entry was not stored; see cause`, {
        cause: error,
      });
    }
  }

  /** The changes since `position`; rejects if another file has taken the place of the open one. */
  async changesSince(position: number | undefined): Promise<ReturnType<Tables["changesSince"]>> {
    if (this.#file.isReplaced) {
      this.#file.release();
      throw this.#unavailable("changes", new UnusableFileError(`${this.#plan.file} was replaced or removed`));
    }
    return this.read("changes", (tables) => tables.changesSince(position));
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
    if (error instanceof UnusableFileError || failureOf(error) === "busy") return false;
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

  /** The oldest entries give their pages to new ones; the log of SQLite begins again at its start, if it can. */
  async #makeRoom(): Promise<void> {
    try {
      this.#file.tables().checkpoint();
      await this.#queue.run((tables) => tables.evictTo(ROOM_MADE * tables.usedBytes()));
    } catch {
      // The call that needs the room fails, and says why.
    }
  }

  /** One small part of it at a time, so that neither the event loop nor other processes wait for long. */
  #reclaim(): void {
    if (this.#isReclaiming) return;
    this.#isReclaiming = true;
    const { maxBytes } = this.#plan;
    const work: Work<boolean> = (tables, nowMs) => {
      tables.sweep(nowMs, SWEPT, MAX_CHANGES);
      return tables.evictTo(maxBytes);
    };
    const ended = (isMore: boolean): void => {
      this.#isReclaiming = false;
      if (isMore) this.#reclaim();
    };
    // It is tried again with later writes.
    this.#queue.run(work).then(ended, () => ended(false));
  }

  #unavailable(operation: string, cause: unknown): BackendUnavailableError {
    if (cause instanceof BackendUnavailableError) return cause;
    const { label, file } = this.#plan;
    const failure = failureOf(cause);
    const why = cause instanceof UnusableFileError ? cause.message : `${file}: ${REASONS[failure]}`;
    return new BackendUnavailableError(`${label}: ${operation} failed: ${why}`, {
      tier: label,
      operation,
      cause,
      retryable: !(cause instanceof UnusableFileError) && failure !== "damaged",
      // A transaction that failed was rolled back; of a commit that could not be written nobody knows.
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
/** A process that missed more treats everything as changed. */
const MAX_CHANGES = 10_000;
const LONGEST_READ_PAUSE_MS = 256;
