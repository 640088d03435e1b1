import { setImmediate, setTimeout } from "node:timers";
import type { DatabaseFile } from "./database-file.ts";
import { failureOf } from "./driver.ts";
import type { Tables } from "./tables.ts";

/** The work of a step, in one transaction. It may run more than once: all runs but the last are rolled back. */
export type Work<T> = (tables: Tables, nowMs: number) => T;

interface Step {
  readonly work: Work<unknown>;
  readonly bytes: number;
  /** By the wall clock, which moves on while the machine is suspended. */
  readonly askedOn: number;
  /** How long it has waited for the file, without the time in which this process stood still. */
  waitedMs: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Steps that write, in the order in which they were asked for.
 *
 *     asked ──end of the turn──▶ one transaction for all ──▶ answered
 *                                  ├─ the file is locked ──▶ again in 1, 2, 4 … 20 ms, for 900 ms
 *                                  ├─ a step failed ──▶ each in its own transaction
 *                                  └─ asked more than 2 s before this process went on ──▶ not done
 *
 * Where this process stood still, if in the middle of an attempt, others have written since. Waiting behind other steps
 * is no standstill.
 *
 * A transaction costs more than most steps in it, so many calls that run at the same time share one. The event loop is
 * not blocked while another process writes.
 */
export class WriteQueue {
  readonly #file: DatabaseFile;
  readonly #nowMs: () => number;
  readonly #afterwards: (tables: Tables) => void;
  readonly #waiting: Step[] = [];
  #isDraining = false;
  /** When a step was looked at last, and when this process last went on after a standstill, by the wall clock. */
  #lookedOn = 0;
  #wentOnOn = 0;

  /** @param afterwards called after each transaction that was committed. */
  constructor(file: DatabaseFile, nowMs: () => number, afterwards: (tables: Tables) => void) {
    this.#file = file;
    this.#nowMs = nowMs;
    this.#afterwards = afterwards;
  }

  /** @param bytes that it writes: many in one transaction would block the event loop. */
  run<T>(work: Work<T>, bytes = 0): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const askedOn = this.#nowMs();
      if (!this.#isDraining) this.#lookedOn = this.#wentOnOn = askedOn;
      this.#waiting.push({
        work,
        bytes,
        askedOn,
        waitedMs: 0,
        resolve: resolve as (answer: unknown) => void,
        reject,
      });
      if (!this.#isDraining) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    await endOfTurn();
    for (let pauseMs = 1; this.#waiting.length !== 0;) {
      if (this.#runSome()) {
        pauseMs = 1;
        await endOfTurn();
      } else {
        await this.#pause(pauseMs);
        pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs);
      }
    }
    this.#isDraining = false;
  }

  async #pause(ms: number): Promise<void> {
    const before = performance.now();
    await passing(ms);
    const passedMs = Math.min(performance.now() - before, LONGEST_COUNTED_MS);
    for (const step of this.#waiting) step.waitedMs += passedMs;
  }

  /** One attempt to run all that wait, before the file is closed. */
  flush(): void {
    while (this.#waiting.length !== 0 && this.#runSome());
    for (const { reject } of this.#waiting.splice(0)) reject(new Error("the backend was closed"));
  }

  /** @returns `false` while the file is locked by another process. */
  #runSome(): boolean {
    let bytes = 0;
    const over = this.#waiting.findIndex((step, i) => i === MAX_STEPS || ((bytes += step.bytes) > MAX_BYTES && i > 0));
    const steps = this.#waiting.splice(0, over === -1 ? MAX_STEPS : over);
    const busy = this.#attempt(steps);
    if (busy) this.#again(steps, busy);
    return !busy;
  }

  /** @returns the error where the file is locked: nothing was done. */
  #attempt(steps: readonly Step[]): unknown {
    try {
      const answers = this.transact((tables, nowMs) =>
        steps.map((step) => this.#standstillOf(step, nowMs) ?? step.work(tables, nowMs)),
      );
      for (const [i, { resolve, reject }] of steps.entries())
        (answers[i] instanceof StandstillError ? reject : resolve)(answers[i]);
    } catch (error) {
      if (failureOf(error) === "busy") return error;
      if (steps.length === 1) steps[0]!.reject(error);
      else this.#again(steps.filter((step) => this.#attempt([step])));
    }
    return undefined;
  }

  /** Puts the steps back to wait, but for those that have waited for too long. */
  #again(steps: readonly Step[], busy?: unknown): void {
    const now = this.#nowMs();
    this.#waiting.unshift(
      ...steps.filter((step) => {
        const isTooLong = busy !== undefined && step.waitedMs > PATIENCE_MS;
        const error = this.#standstillOf(step, now) ?? (isTooLong ? busy : undefined);
        if (error !== undefined) step.reject(error);
        return error === undefined;
      }),
    );
  }

  #standstillOf({ askedOn }: Step, nowMs: number): StandstillError | undefined {
    // Even if the clock was set back.
    if (Math.abs(nowMs - this.#lookedOn) > STANDSTILL_MS) this.#wentOnOn = nowMs;
    this.#lookedOn = nowMs;
    const ageMs = this.#wentOnOn - askedOn;
    if (ageMs <= LONGEST_STANDSTILL_MS) return undefined;
    return new StandstillError(`this process stood still for ${Math.round(ageMs)} ms`);
  }

  /** Runs `work` now, and again if it was in a file that is not there any more. @throws also if the file is locked. */
  transact<T>(work: Work<T>): T {
    const tables = this.#file.tables();
    tables.begin();
    let answer: T;
    try {
      answer = work(tables, this.#nowMs());
      tables.commit();
    } catch (error) {
      try {
        tables.rollback();
      } catch {
        // SQLite has rolled back.
      }
      throw error;
    }
    if (this.#file.isReplaced) {
      this.#file.release();
      return this.transact(work);
    }
    this.#afterwards(tables);
    return answer;
  }
}

/** Nothing of the step was done. */
export class StandstillError extends Error {
  override readonly name = "StandstillError";
}

const endOfTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
/** Keeps the process alive: a caller waits. */
const passing = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/** So many steps take some milliseconds. */
const MAX_STEPS = 100;
const MAX_BYTES = 2 ** 20;
const LONGEST_PAUSE_MS = 20;
/** How long a process may stand still and keep a lease. */
const LONGEST_STANDSTILL_MS = 2_000;
/** Longer than a transaction takes. */
const STANDSTILL_MS = 1_000;
/** Less than a cache waits for a call. */
const PATIENCE_MS = 900;
/** Counted of one pause: beyond it this process did not run. */
const LONGEST_COUNTED_MS = 2 * LONGEST_PAUSE_MS;
