import { InvalidArgumentError, type Clock, type Duration, type StandardSchema } from "@hotset/core";
import { consuming, durationMs, thrownDetails, thrownText } from "../module/module.ts";
import {
  isUnrecoverable,
  JobAbandonedError,
  JobLostError,
  JobTimeoutError,
  putBackDelay,
  UnrecoverableError,
} from "./errors.ts";
import type { ChildOutcome } from "./flow.ts";
import {
  addedAtOf,
  decodeJson,
  encodeJson,
  namesOf,
  readRecord,
  repeatOf,
  traceOf,
  type JobRecord,
  type JobRepeat,
} from "./job.ts";
import { addOptionsOf, type BackoffFunction, type JobOptions } from "./options.ts";
import type { Delivered, Extension, Outcome } from "./store.ts";

/** One delivery of a job to a worker. */
export interface Job<T> {
  /** Id of the job, as `add` gave it. */
  readonly id: string;
  /** Data of the job, as JSON carried them and the schema gave them. */
  readonly data: T;
  /** Which delivery it is, from 1. */
  readonly attempt: number;
  /** The most deliveries. */
  readonly attempts: number;
  /** When it was added, in milliseconds since 1970 by the clock of the server. */
  readonly addedAt: number;
  /** Name of the job, as `add` gave it. */
  readonly name?: string;
  /** Group of the job, as `add` gave it. */
  readonly group?: string;
  /** Options of this job, to add another like it: `other.add(job.data, job.options)`. */
  readonly options: JobOptions;
  /** The key and the instant of the schedule, if `repeat` added it. */
  readonly repeat?: JobRepeat;
  /**
   * The lease starts again, for `visibility` from now.
   *
   * @param visibility @default that of the worker
   * @throws {JobLostError} where another worker may have it. The signal is aborted as well.
   */
  heartbeat(visibility?: Duration): Promise<void>;
  /**
   * Stores how far it is, as JSON, and publishes it; the lease starts again.
   *
   * @throws {JobLostError} where another worker may have it. The signal is aborted as well.
   */
  progress(value: unknown): Promise<void>;
  /**
   * Outcomes of the children that have ended, in their order, if the job is the parent of a flow; otherwise none. Rejects
   * as calls of the queue do.
   */
  children(): Promise<readonly ChildOutcome[]>;
  /**
   * Adds a line of up to 2,000 characters to the log of the job, for `queue.logs(id)`: the last 16 KB are kept, as long
   * as the job. Rejects as calls of the queue do.
   */
  log(text: string): Promise<void>;
}

/** A delivery whose handler was given up. */
export type AbandonedJob<T> = Pick<Job<T>, "id" | "data" | "attempt" | "attempts" | "addedAt" | "name" | "group">;

/** A delivery that has failed. */
export interface FailedJob<T> extends Pick<
  Job<T>,
  "id" | "attempt" | "attempts" | "addedAt" | "name" | "group" | "repeat"
> {
  /** `undefined` where it cannot be read, or does not fit the schema. */
  readonly data: T | undefined;
  /** Whether the job is tried again, or goes to the dead letters. */
  readonly outcome: "retry" | "dead";
}

/** The second argument of a handler. */
export interface JobContext {
  /**
   * Aborted with a `JobLostError` when the lease has ended, a `JobTimeoutError` when the job's `timeout` has passed, or
   * an `AbortError` when the worker stops.
   */
  readonly signal: AbortSignal;
}

/**
 * Runs one delivery of a job.
 *
 * @returns the result, as JSON can say it; it is in events, and kept with the job if completed jobs are.
 */
export type Handler<T, R> = (job: Job<T>, context: JobContext) => Promise<R> | R;

export interface DeliverySettings<T, R> {
  readonly handler: Handler<T, R>;
  readonly schema: StandardSchema<T> | undefined;
  /** For jobs whose producer gave none. */
  readonly backoff: NonNullable<JobRecord["backoff"]> | BackoffFunction;
  readonly timeoutMs: number | undefined;
  readonly visibilityMs: number;
  /** How long an aborted handler is waited for. */
  readonly abandonAfterMs: number;
  readonly clock: Clock;
  readonly extend: (extension: Extension) => Promise<boolean>;
  readonly log: (id: string, text: string) => Promise<void>;
  readonly children: (id: string) => Promise<readonly ChildOutcome[]>;
  /** Never throws. */
  readonly onFailed: (error: unknown, job: FailedJob<T>) => void;
  /** Never throws. */
  readonly onAbandoned: (error: JobAbandonedError, job: AbandonedJob<T>) => void;
}

const MAX_BACKOFF_MS = 366 * 86_400_000;
/** A handler that succeeds so long after its signal was aborted has ignored it, and done its work. */
const IGNORED_MS = 500;

/** A job in the hands of this process, from its delivery until its outcome is known. */
export class Delivery<T, R> {
  readonly id: string;
  readonly token: string;
  readonly #delivered: Delivered;
  readonly #settings: DeliverySettings<T, R>;
  readonly #controller = new AbortController();
  /** Rejects where the handler is not waited for any more. */
  readonly #abandoned = Promise.withResolvers<never>();
  #cancelLease: () => void = () => undefined;
  #cancelAbandoning: () => void = () => undefined;
  #isStopping = false;
  /** The time is up, from an instant on. */
  #late: { readonly error: JobTimeoutError; readonly at: number } | undefined;
  /** The handler ignored its signal, and succeeded. */
  #isDone = false;
  #job: Job<T> | undefined;

  constructor(delivered: Delivered, token: string, settings: DeliverySettings<T, R>) {
    this.id = delivered.id;
    this.token = token;
    this.#delivered = delivered;
    this.#settings = settings;
    this.#abandoned.promise.catch(() => undefined);
  }

  /** The lease runs for `visibilityMs` from `sentAt`, on the clock of this process, or somewhat longer. */
  extendLease(sentAt: number, visibilityMs: number = this.#settings.visibilityMs): void {
    const { clock } = this.#settings;
    this.#cancelLease();
    this.#cancelLease = clock.schedule(() => this.lose(), sentAt + visibilityMs - clock.now());
  }

  /** Another worker may have the job: the handler should end. */
  lose(): void {
    this.#abort(new JobLostError(`the lease of job ${this.id} has ended: another worker may have it`));
  }

  /** The worker stops: a handler that fails now has not failed through its own fault. */
  stop(): void {
    this.#isStopping = true;
    this.#controller.abort(new DOMException("the worker stops", "AbortError"));
  }

  /** The handler should end. It is waited for, since it may still work on the job; but not without end. */
  #abort(reason: Error): void {
    if (this.#controller.signal.aborted) return;
    const { clock, abandonAfterMs } = this.#settings;
    this.#cancelAbandoning = clock.schedule(() => this.#abandon(reason), abandonAfterMs);
    this.#controller.abort(reason);
  }

  #abandon(reason: Error): void {
    const { abandonAfterMs, onAbandoned } = this.#settings;
    this.#abandoned.reject(reason);
    if (this.#job === undefined) return;
    const text = `the handler of job ${this.id} has not ended ${abandonAfterMs} ms after its signal was aborted`;
    onAbandoned(
      new JobAbandonedError(`${text}: its slot is given to another job, while it may still run`, { cause: reason }),
      this.#job,
    );
  }

  /** Runs the handler once. Never rejects. */
  async run(): Promise<Outcome> {
    const record = readRecord(this.#delivered.record);
    if (record === undefined) return this.#outcome("dead", "the record of the job is corrupt");
    let data: T | undefined;
    try {
      data = await this.#data();
      const job = (this.#job = this.#jobOf(data, record));
      const result = await consuming("queue", traceOf(record), () =>
        this.#withinTimeout(job, record.timeout ?? this.#settings.timeoutMs),
      );
      return this.#outcome("complete", resultOf(result));
    } catch (error) {
      if (this.#isStopping) return this.#outcome("return", "");
      const putBack = this.#putBack(error);
      if (putBack !== undefined) return putBack;
      const outcome = this.#failed(error, record);
      this.#settings.onFailed(error, { ...this.#factsOf(record), data, outcome: outcome.kind as "retry" | "dead" });
      return outcome;
    } finally {
      this.#cancelLease();
      this.#cancelAbandoning();
    }
  }

  /** The outcome of what a handler throws to have its job put back; `undefined` for all else. */
  #putBack(error: unknown): Outcome | undefined {
    const delay = putBackDelay(error);
    if (delay === undefined) return undefined;
    try {
      return this.#outcome("return", "", durationMs("PutBackError: delay", delay, { min: 0, max: MAX_BACKOFF_MS }));
    } catch {
      return undefined;
    }
  }

  async #data(): Promise<T> {
    const { payload } = this.#delivered;
    if (payload === null) throw new UnrecoverableError("the data of the job is missing");
    try {
      const value = decodeJson(payload);
      if (this.#settings.schema === undefined) return value as T;
      const checked = await this.#settings.schema["~standard"].validate(value);
      if (checked.issues === undefined) return checked.value;
    } catch (error) {
      throw new UnrecoverableError(`the data of the job cannot be read: ${thrownText(error)}`);
    }
    throw new UnrecoverableError("the data of the job does not fit the schema");
  }

  #factsOf(record: JobRecord): Omit<FailedJob<T>, "data" | "outcome"> {
    const { attempt, attempts } = record;
    const addedAt = addedAtOf(this.id, record);
    return { id: this.id, attempt, attempts, addedAt, ...namesOf(record), ...repeatOf(record) };
  }

  #jobOf(data: T, record: JobRecord): Job<T> {
    const { visibilityMs } = this.#settings;
    return {
      ...this.#factsOf(record),
      data,
      options: addOptionsOf(record),
      heartbeat: async (visibility) =>
        this.#extend(visibility === undefined ? visibilityMs : durationMs("heartbeat(visibility)", visibility), ""),
      progress: async (value) => {
        if (value === undefined) throw new InvalidArgumentError("progress(value): the value must not be undefined");
        await this.#extend(visibilityMs, encodeJson(value));
      },
      children: () => this.#settings.children(this.id),
      log: async (text) => {
        if (typeof text !== "string") throw new InvalidArgumentError("log(text): the text must be a string");
        await this.#settings.log(this.id, text);
      },
    };
  }

  async #extend(visibilityMs: number, progress: Buffer | string): Promise<void> {
    const { clock, extend } = this.#settings;
    const sentAt = clock.now();
    const isOwn = await extend({ id: this.id, token: this.token, visibilityMs, progress });
    if (isOwn) return this.extendLease(sentAt, visibilityMs);
    this.lose();
    throw new JobLostError(`job ${this.id} is not this worker's any more`);
  }

  async #withinTimeout(job: Job<T>, timeoutMs: number | undefined): Promise<R> {
    const { handler, clock } = this.#settings;
    const { signal } = this.#controller;
    const ended = (async () => handler(job, { signal }))();
    const cancelTimeout =
      timeoutMs === undefined
        ? () => undefined
        : clock.schedule(() => {
            this.#late = {
              error: new JobTimeoutError(`the handler took longer than ${timeoutMs} ms`),
              at: clock.now(),
            };
            this.#abort(this.#late.error);
          }, timeoutMs);
    try {
      const result = await Promise.race([ended, this.#abandoned.promise]);
      if (this.#late === undefined) return result;
      this.#isDone = clock.now() - this.#late.at >= IGNORED_MS;
      throw this.#late.error;
    } catch (error) {
      throw this.#late?.error ?? error;
    } finally {
      cancelTimeout();
      ended.catch(() => undefined);
    }
  }

  #failed(error: unknown, record: JobRecord): Outcome {
    const { attempt, attempts } = record;
    const reason = thrownText(error);
    const dead = (why: string): Outcome => ({
      ...this.#outcome("dead", why),
      error: JSON.stringify(thrownDetails(error)),
    });
    if (attempt >= attempts || isUnrecoverable(error)) return dead(reason);
    if (this.#isDone) return dead(`${reason}, and succeeded in the end: its work is done, and is not repeated`);
    try {
      return this.#outcome("retry", reason, backoffMs(record.backoff ?? this.#settings.backoff, attempt, error));
    } catch (wrong) {
      return dead(`${reason}; backoff failed: ${thrownText(wrong)}`);
    }
  }

  #outcome(kind: Outcome["kind"], detail: Buffer | string, delayMs = 0): Outcome {
    return { kind, id: this.id, token: this.token, detail, delayMs, error: "" };
  }
}

/** @param attempt how many have failed, from 1 */
export function backoffMs(
  backoff: NonNullable<JobRecord["backoff"]> | BackoffFunction,
  attempt: number,
  error: unknown,
): number {
  if (typeof backoff === "function") {
    const answer: unknown = backoff(attempt, error);
    if (answer instanceof Promise) {
      // Its rejection would be of no caller, and would end the process.
      answer.catch(() => undefined);
      throw new InvalidArgumentError("backoff() must return a duration, got a promise");
    }
    return durationMs("backoff()", answer as Duration, { min: 0, max: MAX_BACKOFF_MS });
  }
  const { type, baseMs, maxMs } = backoff;
  return type === "fixed" ? baseMs : Math.min(maxMs, baseMs * 2 ** (attempt - 1));
}

/** The work is done: it must not be repeated because its result cannot be written. */
function resultOf(result: unknown): Buffer | string {
  if (result === undefined) return "";
  try {
    return encodeJson(result);
  } catch (error) {
    throw new UnrecoverableError(`the handler ended, but its result is not JSON: ${thrownText(error)}`);
  }
}
