import { InvalidArgumentError, type Duration } from "@hotset/core";
import type { RedisView } from "../index.ts";
import {
  carrierFor,
  checkFlag,
  checkFunction,
  checkName,
  checkOneOf,
  checkOptions,
  checkTcpView,
  durationMs,
  expectNoEviction,
  moduleOf,
  shown,
  checkWholeNumber,
} from "../module/module.ts";
import type { Carrier, Module } from "../module/module.ts";
import type { AbandonedJob, FailedJob, Handler, Job, JobContext } from "./delivery.ts";
import { JobAbandonedError, JobLostError, JobTimeoutError, PutBackError, UnrecoverableError } from "./errors.ts";
import { QueueEvents, type Finished, type QueueEvent, type QueueListening } from "./events.ts";
import {
  childOptions,
  checkChildren,
  parentOptions,
  type AddedFlow,
  type ChildOutcome,
  type FlowChild,
  type FlowOptions,
  type FlowParent,
} from "./flow.ts";
import {
  encodeJson,
  STATES,
  type JobError,
  type JobLogLine,
  type JobRepeat,
  type JobSnapshot,
  type JobState,
} from "./job.ts";
import {
  checkDedupId,
  resolveAddOptions,
  resolveQueueOptions,
  type AddOptions,
  type Backoff,
  type BackoffFunction,
  type JobOptions,
  type Keep,
  type NewJob,
  type QueueOptions,
  type QueueSettings,
} from "./options.ts";
import { Repeats, type RepeatInfo, type RepeatOptions } from "./repeats.ts";
import type { ResolvedSchedule, Schedule, ScheduleBounds } from "./schedule.ts";
import { simpleQueue, type SimpleQueue } from "./simple-queue.ts";
import { QueueStore, type Added, type ChangeAnswer } from "./store.ts";
import type { WorkerOptions } from "./worker-options.ts";
import { resolveWorkerOptions } from "./worker-settings.ts";
import { QueueWorker, type Worker, type WorkerStats } from "./worker.ts";

export { JobAbandonedError, JobLostError, JobTimeoutError, PutBackError, simpleQueue, UnrecoverableError };
export type {
  AbandonedJob,
  Added,
  AddOptions,
  ChangeAnswer,
  Backoff,
  BackoffFunction,
  FailedJob,
  Finished,
  Handler,
  Job,
  JobContext,
  JobError,
};
export type { AddedFlow, ChildOutcome, FlowChild, FlowOptions, FlowParent };
export type { JobLogLine, JobOptions, JobSnapshot, JobState, Keep };
export type { QueueEvent, QueueListening, QueueOptions, RepeatInfo, RepeatOptions, SimpleQueue };
export type { JobRepeat, ResolvedSchedule, Schedule, ScheduleBounds };
export type { Worker, WorkerOptions, WorkerStats };

/** How many jobs are in which state. */
export interface Counts extends Readonly<Record<JobState, number>> {
  /** Whether no worker takes jobs. */
  readonly isPaused: boolean;
  /**
   * How long ago the oldest job was added that is next in its priority, in ms, by the same instant as the counts;
   * `undefined` where none waits.
   */
  readonly oldestAgeMs: number | undefined;
}

/** Options of `list`. */
export interface ListOptions {
  /** How many are left out. @default 0 */
  readonly offset?: number | undefined;
  /** At most 1,000. @default 100 */
  readonly count?: number | undefined;
  /** `false`: without `data` and `result`, which may be large. @default true */
  readonly data?: boolean | undefined;
}

/** Jobs that have failed for good. Calls reject as those of {@link Queue}. */
export interface DeadLetters<T, R = unknown> {
  /** The newest first. */
  list(options?: ListOptions): Promise<readonly JobSnapshot<T, R>[]>;
  /**
   * Adds dead jobs to those that wait, with all their attempts, and with their dedup ids unless other jobs have them.
   *
   * @param id one of them. @default all that are dead now
   * @returns how many
   */
  replay(id?: string): Promise<number>;
}

/**
 * Jobs for workers in any process, each delivered until one has ended it: at least once. Calls reject with
 * `CommandError` where Redis refuses, `BackendUnavailableError` where it is not reached, and `InvalidArgumentError` for
 * ids and options that can never work.
 */
export interface Queue<T, Result = unknown> {
  /** Name of the queue, as `queue(redis, name)` got it. */
  readonly name: string;
  /**
   * Adds a job.
   *
   * @throws {CommandError} `OUT_OF_MEMORY` where Redis is full: nothing was added.
   * @throws {BackendUnavailableError} where Redis is down; with `maybeExecuted` it may have been added.
   * @throws {EncodeError} for data that JSON cannot say.
   */
  add(data: T, options?: AddOptions): Promise<Added>;
  /** Adds up to 1,000 jobs, or none. @throws as `add` does */
  addMany(jobs: readonly { readonly data: T; readonly options?: AddOptions | undefined }[]): Promise<readonly Added[]>;
  /**
   * Adds a job that runs once up to 100 others of the queue have ended, and these. All are added, or none. The handler of
   * the parent gets their results by `job.children()`.
   *
   * @throws as `add` does
   */
  addFlow(parent: FlowParent<T>, children: readonly FlowChild<T>[]): Promise<AddedFlow>;
  /**
   * Takes jobs from now on, also once Redis is back. Keeps the process alive, until `stop` or `redis.disconnect()`.
   *
   * @throws {InvalidArgumentError}
   * @throws {CommandError} `REDIS_DISABLED`
   */
  worker<R extends Result>(handler: Handler<T, R>, options?: WorkerOptions<T>): Worker;

  /** Workers of all processes take no more jobs; jobs can be added. */
  pause(): Promise<void>;
  /** Ends a pause. */
  resume(): Promise<void>;
  /** Removes what waits, and frees its dedup ids. @returns how many */
  drain(options?: { readonly delayed?: boolean | undefined }): Promise<number>;
  /**
   * Removes everything, repeats and the pause included.
   *
   * @param options.force also with active jobs. @default false
   * @returns whether it did: not where jobs are active
   */
  obliterate(options?: { readonly force?: boolean | undefined }): Promise<boolean>;

  /** How many jobs are in each state, in one step of constant time. */
  counts(): Promise<Counts>;
  /** A job by its id; `undefined` once it has ended and is not kept. */
  get(id: string): Promise<JobSnapshot<T, Result> | undefined>;
  /** Jobs of one state in the order of delivery; finished ones with the newest first. */
  list(state: JobState, options?: ListOptions): Promise<readonly JobSnapshot<T, Result>[]>;
  /** How the children of a flow ended so far, in their order; `undefined` where there is no such parent. */
  children(id: string): Promise<readonly ChildOutcome[] | undefined>;
  /** What handlers wrote with `job.log`, the oldest first; `undefined` where there is no such job. */
  logs(id: string): Promise<readonly JobLogLine[] | undefined>;
  /**
   * Removes `completed` or `dead` jobs that ended longer ago than `olderThan`.
   *
   * @param options.count at most. @default all
   * @returns how many
   */
  clean(
    state: "completed" | "dead",
    options: { readonly olderThan: Duration; readonly count?: number | undefined },
  ): Promise<number>;
  /**
   * Changes a job that waits or is delayed, including between two attempts. With another `priority`, or a `delay`, it
   * moves to the end of its priority; a `delay` of 0 makes it due immediately.
   *
   * @throws as `add` does
   */
  change(id: string, changes: JobChanges<T>): Promise<ChangeAnswer>;
  /** Removes a job, and frees its dedup id. `active`: a worker has it, so it was not removed. */
  remove(id: string): Promise<"removed" | "missing" | "active">;
  /** The next job with this id is added, even if the one before is unfinished. @returns whether it stood for a job */
  freeDedupId(dedupId: string): Promise<boolean>;
  /** Jobs of this queue that have failed for good. */
  deadLetters(): DeadLetters<T, Result>;

  /**
   * Adds a job at each instant of a schedule, while there is a worker: instants that were missed are made up for by one
   * job. While the job of the last instant still waits for its first delivery, behind a backlog, none is added, unless
   * `backlog` is `all`. The same call again changes nothing; other data or options for `key` count from the next
   * instant on, another schedule starts from now. One that has ended stays set, so the same call does not start it
   * again, until `removeRepeat`.
   */
  repeat(key: string, schedule: Schedule, data: T, options?: RepeatOptions): Promise<"set" | "unchanged">;
  /** Ends a schedule, and forgets it. @returns whether there was one */
  removeRepeat(key: string): Promise<boolean>;
  /** All schedules, including those that have ended. */
  repeats(): Promise<readonly RepeatInfo[]>;

  /** Calls `listener` for each event of a job from now on, in any process. */
  listen(listener: (event: QueueEvent) => unknown): Promise<QueueListening>;
  /**
   * Resolves when the job has ended. Calls of one process share one subscription for each queue, which is closed 30
   * seconds after the last.
   *
   * @param options.timeout @default '30s'
   * @throws {JobTimeoutError}
   * @throws {BackendUnavailableError} that is not `retryable` after `redis.disconnect()`, once workers have stopped.
   */
  finished(
    id: string,
    options?: { readonly timeout?: Duration | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<Finished<Result>>;
}

/** Left out: as it is. */
export interface JobChanges<T> {
  /** In place of the present data. */
  readonly data?: T | undefined;
  /** 0 to 255: higher ones are delivered first. */
  readonly priority?: number | undefined;
  /** From now on. */
  readonly delay?: Duration | undefined;
}

/**
 * A queue over one view: a cheap object, which sends nothing. With `Result` its handlers must return that, and
 * `finished`, `get` and `list` give it; nothing checks it at run time.
 *
 * @param name text of 1 to 512 characters
 * @throws {InvalidArgumentError}
 */
export function queue<T = unknown, Result = unknown>(
  redis: RedisView,
  name: string,
  options?: QueueOptions,
): Queue<T, Result>;
export function queue<T = unknown, Result = unknown>(
  redis: RedisView,
  name: string,
  options?: QueueOptions<T>,
): Queue<T, Result>;
export function queue<T, Result>(redis: RedisView, name: string, options: QueueOptions<T> = {}): Queue<T, Result> {
  checkTcpView("queue(redis, name)", redis);
  checkName("queue(redis, name): the name", name);
  return new RedisQueue<T, Result>(redis, name, options);
}

const MAX_ADDED = 1_000;
const MAX_LISTED = 1_000;
const DRAINED_AT_ONCE = 1_000;
const MAX_ID_LENGTH = 64;
const MAX_AGE_MS = 10 * 366 * 86_400_000;

class RedisQueue<T, Result> implements Queue<T, Result> {
  readonly name: string;
  readonly #module: Module;
  readonly #store: QueueStore;
  readonly #settings: QueueSettings<T>;
  readonly #events: QueueEvents;
  readonly #repeats: Repeats;
  readonly #checkEviction: () => Promise<void>;
  #allowed: Promise<void> | undefined;
  /** That of `add(data)`, without options. */
  #plainJob: NewJob | undefined;

  constructor(redis: RedisView, name: string, options: QueueOptions<T>) {
    this.name = name;
    this.#settings = resolveQueueOptions(options);
    this.#module = moduleOf(redis);
    this.#store = new QueueStore(this.#module, name);
    this.#events = new QueueEvents(this.#module, this.#store);
    this.#repeats = new Repeats(this.#store);
    const { requireNoEviction: required = false } = options;
    this.#checkEviction = () => expectNoEviction(redis, "queue", { required });
  }

  async add(data: T, options?: AddOptions): Promise<Added> {
    const job = carrying(this.#newJob(options), carrierFor("queue"));
    const payload = payloadOf("add(data)", data);
    await this.#allow();
    const [added] = await this.#store.add([{ job, payload }]);
    return added!;
  }

  async addMany(jobs: readonly { readonly data: T; readonly options?: AddOptions }[]): Promise<readonly Added[]> {
    if (!Array.isArray(jobs) || jobs.length > MAX_ADDED)
      throw new InvalidArgumentError(`addMany(jobs): the jobs must be a list of at most ${MAX_ADDED}`);
    const trace = carrierFor("queue");
    // `Array.from` takes holes as jobs too, which are refused.
    const all = Array.from(jobs, (job) => {
      const { data, options } = checkJob("addMany(jobs): a job", job);
      return { job: carrying(this.#newJob(options), trace), payload: payloadOf("addMany(jobs)", data) };
    });
    if (all.length === 0) return [];
    await this.#allow();
    return this.#store.add(all);
  }

  async addFlow(parent: FlowParent<T>, children: readonly FlowChild<T>[]): Promise<AddedFlow> {
    const trace = carrierFor("queue");
    const { options, runsAnyway } = parentOptions(checkJob(`${ADD_FLOW}: the parent`, parent).options ?? {});
    const others = Array.from(checkChildren(children), (child) => {
      const { data, options: own } = checkJob(`${ADD_FLOW}: a child`, child);
      const job = this.#newJob(own === undefined ? undefined : childOptions(own));
      return { job: carrying(job, trace), payload: payloadOf(ADD_FLOW, data) };
    });
    const job = carrying(this.#newJob(options), trace);
    const awaiting = { awaits: others.length, ...(runsAnyway && { runsAnyway: true as const }) };
    const first = {
      job: { ...job, record: { ...job.record, ...awaiting } },
      payload: payloadOf(ADD_FLOW, parent.data),
    };
    await this.#allow();
    return this.#store.addFlow([first, ...others]);
  }

  worker<R extends Result>(handler: Handler<T, R>, options: WorkerOptions<T> = {}): Worker {
    checkFunction("worker(handler): the handler", handler);
    const settings = resolveWorkerOptions(options);
    // Throws where Redis is disabled.
    void this.#module.connection;
    const parts = {
      module: this.#module,
      store: this.#store,
      queue: this.#settings,
      handler,
      fire: this.#repeats.fire.bind(this.#repeats),
      allowed: () => this.#allow(),
    };
    return new QueueWorker<T, R>(parts, settings);
  }

  pause(): Promise<void> {
    return this.#store.pause(true);
  }

  resume(): Promise<void> {
    return this.#store.pause(false);
  }

  async drain(options: { readonly delayed?: boolean | undefined } = {}): Promise<number> {
    checkOptions("drain(options)", options, ["delayed"]);
    const { delayed = false } = options;
    checkFlag("drain: delayed", delayed);
    const counts = await this.counts();
    // As many as there were: others may add faster than this removes.
    let left = counts.waiting + (delayed ? counts.delayed : 0);
    let removed = 0;
    while (left > 0) {
      const dropped = await this.#store.drain(Math.min(left, DRAINED_AT_ONCE), delayed);
      if (dropped === 0) break;
      removed += dropped;
      left -= dropped;
    }
    return removed;
  }

  async obliterate(options: { readonly force?: boolean | undefined } = {}): Promise<boolean> {
    checkOptions("obliterate(options)", options, ["force"]);
    const { force = false } = options;
    checkFlag("obliterate: force", force);
    return this.#store.obliterate(force);
  }

  async counts(): Promise<Counts> {
    const [waiting = 0, delayed = 0, active = 0, completed = 0, dead = 0, paused, now = 0, addedAt = -1] =
      await this.#store.counts();
    const oldestAgeMs = addedAt < 0 ? undefined : Math.max(0, now - addedAt);
    return { waiting, delayed, active, completed, dead, isPaused: paused === 1, oldestAgeMs };
  }

  async get(id: string): Promise<JobSnapshot<T, Result> | undefined> {
    return this.#store.get<T, Result>(checkId("get", id));
  }

  async list(state: JobState, options: ListOptions = {}): Promise<readonly JobSnapshot<T, Result>[]> {
    checkOneOf("list(state): the state", state, STATES);
    checkOptions("list(state, options)", options, ["offset", "count", "data"]);
    const { offset = 0, count = 100, data: withData = true } = options;
    checkWholeNumber("offset", offset, { min: 0, max: Number.MAX_SAFE_INTEGER });
    checkWholeNumber("count", count, { min: 1, max: MAX_LISTED });
    checkFlag("list: data", withData);
    return this.#store.list<T, Result>(state, { offset, count, withData });
  }

  async children(id: string): Promise<readonly ChildOutcome[] | undefined> {
    return this.#store.children(checkId("children", id));
  }

  async logs(id: string): Promise<readonly JobLogLine[] | undefined> {
    return this.#store.logs(checkId("logs", id));
  }

  async clean(
    state: "completed" | "dead",
    options: { readonly olderThan: Duration; readonly count?: number | undefined },
  ): Promise<number> {
    checkOneOf("clean(state): the state", state, ["completed", "dead"]);
    checkOptions("clean(state, options)", options ?? null, ["olderThan", "count"]);
    const ageMs = durationMs("clean: olderThan", options.olderThan, { min: 0, max: MAX_AGE_MS });
    const { count = Number.MAX_SAFE_INTEGER } = options;
    checkWholeNumber("clean: count", count, { min: 1, max: Number.MAX_SAFE_INTEGER });
    let removed = 0;
    while (removed < count) {
      const most = Math.min(count - removed, DRAINED_AT_ONCE);
      const some = await this.#store.clean(state, ageMs, most);
      removed += some;
      if (some < most) break;
    }
    return removed;
  }

  async change(id: string, changes: JobChanges<T>): Promise<ChangeAnswer> {
    checkOptions("change(id, changes)", changes ?? null, ["data", "priority", "delay"]);
    const { data, priority, delay } = changes;
    const { priority: newPriority, delayMs } = this.#newJob({ priority, delay });
    return this.#store.change(
      checkId("change", id),
      data === undefined ? "" : payloadOf("change(id, changes)", data),
      priority === undefined ? "" : String(newPriority),
      delay === undefined ? "" : String(delayMs),
    );
  }

  async remove(id: string): Promise<"removed" | "missing" | "active"> {
    return this.#store.remove(checkId("remove", id));
  }

  async freeDedupId(dedupId: string): Promise<boolean> {
    return this.#store.freeDedupId(checkDedupId("freeDedupId(dedupId): ", dedupId));
  }

  deadLetters(): DeadLetters<T, Result> {
    return {
      list: (options) => this.list("dead", options),
      replay: (id) => this.#replay(id),
    };
  }

  async repeat(key: string, schedule: Schedule, data: T, options: RepeatOptions = {}): Promise<"set" | "unchanged"> {
    payloadOf("repeat(key, schedule, data)", data);
    await this.#allow();
    return this.#repeats.set(key, schedule, data, { options, settings: this.#settings as QueueSettings<never> });
  }

  removeRepeat(key: string): Promise<boolean> {
    return this.#repeats.remove(key);
  }

  repeats(): Promise<readonly RepeatInfo[]> {
    return this.#repeats.list();
  }

  async listen(listener: (event: QueueEvent) => unknown): Promise<QueueListening> {
    checkFunction("listen(listener): the listener", listener);
    return this.#events.listen(listener);
  }

  async finished(
    id: string,
    options?: { readonly timeout?: Duration | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<Finished<Result>> {
    return (await this.#events.finished(checkId("finished", id), options)) as Finished<Result>;
  }

  async #replay(id: string | undefined): Promise<number> {
    if (id !== undefined) return (await this.#store.replay(undefined, [checkId("replay", id)])).replayed;
    let { replayed: total, left, last } = await this.#store.replay(undefined);
    // Not those that fail again meanwhile.
    while (left > 0) {
      const { replayed, left: rest } = await this.#store.replay(last);
      if (replayed === 0) break;
      total += replayed;
      left = rest;
    }
    return total;
  }

  #newJob(options: AddOptions | undefined): NewJob {
    const settings = this.#settings as QueueSettings<never>;
    return options === undefined
      ? (this.#plainJob ??= resolveAddOptions({}, settings))
      : resolveAddOptions(options, settings);
  }

  /** Asked once; again after a refusal. */
  #allow(): Promise<void> {
    return (this.#allowed ??= this.#checkEviction().catch((error: unknown) => {
      this.#allowed = undefined;
      throw error;
    }));
  }
}

const carrying = (job: NewJob, trace: Carrier | undefined): NewJob =>
  trace === undefined ? job : { ...job, record: { ...job.record, trace } };

const ADD_FLOW = "addFlow(parent, children)";

function checkJob<Job>(what: string, job: Job): Job {
  if (typeof job === "object" && job !== null) return job;
  throw new InvalidArgumentError(`${what} must be { data, options }, got ${shown(job)}`);
}

function payloadOf(place: string, data: unknown): Buffer {
  if (data === undefined) throw new InvalidArgumentError(`${place}: the data must not be undefined`);
  return encodeJson(data);
}

function checkId(operation: string, id: string): string {
  if (typeof id === "string" && id !== "" && id.length <= MAX_ID_LENGTH) return id;
  throw new InvalidArgumentError(
    `${operation}(id): the id must be text of 1 to ${MAX_ID_LENGTH} characters, got ${shown(id)}`,
  );
}
