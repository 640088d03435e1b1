import { InvalidArgumentError, type Duration, type StandardSchema } from "@hotset/core";
import { anything, flag, oneOf, wholeMs, wholeNumber, type Option, type OptionValues } from "@hotset/core/internal";
import { checkOptions, checkSchema, checkWholeNumber, durationMs, optionsOf, readBy } from "../module/module.ts";
import type { JobRecord } from "./job.ts";

/** How long a failed job waits for its next attempt. */
export type Backoff =
  | { readonly type: "fixed"; readonly base: Duration }
  /** `base`, doubled with each attempt, at most `max`. @default max '1h' */
  | { readonly type: "exponential"; readonly base: Duration; readonly max?: Duration | undefined };

/**
 * How long a job waits after an attempt that failed.
 *
 * @param attempt how many attempts have failed, from 1
 */
export type BackoffFunction = (attempt: number, error: unknown) => Duration;

/**
 * How many finished jobs are kept, or for how long: the newest, by when they ended. A number alone is a count, at most
 * 1,000,000, and 0 keeps none. Where only an age is given, 10,000 are kept at most. Jobs whose time has passed are
 * removed when the next one ends.
 */
export type Keep = number | Duration | { readonly count?: number | undefined; readonly age?: Duration | undefined };

/**
 * Jobs may be added in one process and run in another, each with its own options. An option that one of them leaves out
 * counts as the other gives it; where they differ the worker reports it once to `logger`. Without a type they fit every
 * queue, and have no `schema`.
 */
export interface QueueOptions<T = never> {
  /**
   * Deliveries of a job at most, 1 to 1,000,000. A delivery counts once its handler begins, even if its worker is lost
   * then. The option counts where jobs are added. @default 3
   */
  readonly attempts?: number | undefined;
  /**
   * Counts where jobs are added. A function counts at the worker, which calls it, for jobs that were added without one.
   *
   * @default { type: 'exponential', base: '1s', max: '1h' }
   */
  readonly backoff?: Backoff | BackoffFunction | undefined;
  /** Bound on one run of the handler. Counts where jobs are added. @default none */
  readonly timeout?: Duration | undefined;
  /** Finished jobs. Counts where the worker runs. @default 1,000 of `completed` for a minute, 10,000 of `failed` */
  readonly keep?: { readonly completed?: Keep | undefined; readonly failed?: Keep | undefined } | undefined;
  /**
   * A [Standard Schema](https://standardschema.dev). Counts where the worker runs, and nowhere else: a job with other
   * data is a dead letter, and is not delivered. @default none
   */
  readonly schema?: StandardSchema<T> | undefined;
  /** Refuses a server that may evict keys, with `ConfigurationError`. @default false, which reports it once */
  readonly requireNoEviction?: boolean | undefined;
}

/** Options of one job. Those that its queue has as well count before those of the queue. */
export interface AddOptions {
  /**
   * 1 to 64 letters, digits, `_`, `-`, `.` and `@`, unlike `<digits>-<digits>`. As long as there is a job with it,
   * finished ones that are kept included, no other one is added: `add` answers `duplicate`. @default one that Redis
   * makes
   */
  readonly id?: string | undefined;
  /** For the handler, and for people; up to 128 characters. @default none */
  readonly name?: string | undefined;
  /**
   * Up to 256 characters. Jobs of one group take turns: all workers together have at most `groupConcurrency` of them
   * at a time.
   *
   * @default none
   */
  readonly group?: string | undefined;
  /** Before all others of its priority. @default false */
  readonly lifo?: boolean | undefined;
  /** Not delivered before it has passed, by the clock of the server. @default 0 */
  readonly delay?: Duration | undefined;
  /** 0 to 255: higher ones are delivered first. @default 0 */
  readonly priority?: number | undefined;
  /**
   * Text of 1 to 512 characters. While a job with it is unfinished, another one is not added. Jobs of one `dedupId` run
   * one after another.
   *
   * @default none
   */
  readonly dedupId?: string | undefined;
  /**
   * `dedupId` counts for so long, from when the job was added, whether the job is finished or not, unless it is
   * removed.
   *
   * @default until the job is finished
   */
  readonly dedupFor?: Duration | undefined;
  /**
   * Where a job with the `dedupId` is there:
   *
   * - `ignore`: this one is not added
   * - `extend`: it is not added, and `dedupFor`, which it needs, counts from now
   * - `replace`, without `dedupFor`: it takes the place of one that waits or is delayed, even between two attempts,
   *   with its own data and options and under the same id, and waits as a new one does; if a worker has that one, or it
   *   has ended, this one is added, and runs after it: that one is not tried again
   *
   * @default 'ignore'
   */
  readonly onDuplicate?: "ignore" | "extend" | "replace" | undefined;
  /** Deliveries of this job at most. @default that of the queue */
  readonly attempts?: number | undefined;
  /** How long it waits after an attempt that failed. @default that of the queue */
  readonly backoff?: Backoff | undefined;
  /** Bound on one run of its handler. @default that of the queue */
  readonly timeout?: Duration | undefined;
}

export interface Bounds {
  /** -1 for none. */
  readonly count: number;
  readonly ageMs: number;
}

/** `undefined` for what was not given. */
export interface QueueSettings<T> {
  readonly attempts: number | undefined;
  readonly backoff: NonNullable<JobRecord["backoff"]> | BackoffFunction | undefined;
  readonly timeoutMs: number | undefined;
  readonly keepCompleted: Bounds | undefined;
  readonly keepFailed: Bounds | undefined;
  readonly schema: StandardSchema<T> | undefined;
}

const DEFAULT_ATTEMPTS = 3;
const MAX_ATTEMPTS = 1_000_000;
const MAX_PRIORITY = 255;
const MAX_KEPT = 1_000_000;
/** The count where only an age is given. */
const MOST_KEPT_BY_AGE = 10_000;
/** Delays and timeouts. */
const YEAR_MS = 366 * 86_400_000;
const MAX_DEDUP_LENGTH = 512;
const MAX_NAME_LENGTH = 128;
const MAX_GROUP_LENGTH = 256;
const OWN_ID = /^(?!\d+-\d+$)[\w.@-]{1,64}$/;

const refuse = (text: string): never => {
  throw new InvalidArgumentError(text);
};

const TIMEOUT = wholeMs(undefined, 1, YEAR_MS);
const ATTEMPTS = wholeNumber(undefined, 1, MAX_ATTEMPTS);
const QUEUE = {
  attempts: ATTEMPTS,
  backoff: readBy(
    (_, given: Backoff | BackoffFunction) => (typeof given === "function" ? given : resolveBackoff(given)),
    undefined,
  ),
  timeout: TIMEOUT,
  keep: anything as Option<QueueOptions["keep"]>,
  schema: anything,
  requireNoEviction: flag(),
} satisfies Record<keyof QueueOptions, Option>;
const KEEP = { completed: readBy(resolveKeep, undefined), failed: readBy(resolveKeep, undefined) };
const BOUNDS = { count: wholeNumber(MOST_KEPT_BY_AGE, 0, MAX_KEPT), age: wholeMs(-1, 1, 10 * YEAR_MS) };
const ADD = {
  id: readBy((_, given) => checkOwnId(given), undefined),
  name: readBy((_, given) => checkText("name", given, MAX_NAME_LENGTH), undefined),
  group: readBy((_, given) => checkText("group", given, MAX_GROUP_LENGTH), undefined),
  lifo: flag(),
  delay: wholeMs(0, 0, 10 * YEAR_MS),
  priority: wholeNumber(0, 0, MAX_PRIORITY),
  dedupId: readBy((_, given) => checkDedupId("", given), undefined),
  dedupFor: wholeMs(undefined, 1, 10 * YEAR_MS),
  onDuplicate: oneOf("ignore", "extend", "replace"),
  attempts: ATTEMPTS,
  backoff: readBy((_, given: Backoff) => resolveBackoff(given), undefined),
  timeout: TIMEOUT,
} satisfies Record<keyof AddOptions, Option>;

export function resolveQueueOptions<T>(options: QueueOptions<T>): QueueSettings<T> {
  const { attempts, backoff, timeout, keep } = optionsOf("queue(redis, name, options)", options, QUEUE, "queue: ");
  checkSchema("queue: schema", options.schema);
  const { completed, failed } = optionsOf("queue: keep", keep, KEEP, "keep.");
  return {
    attempts,
    backoff,
    timeoutMs: timeout,
    keepCompleted: completed,
    keepFailed: failed,
    schema: options.schema,
  };
}

export const DEFAULT_BACKOFF = { type: "exponential", baseMs: 1_000, maxMs: 3_600_000 } as const;

function resolveBackoff(backoff: Backoff): NonNullable<JobRecord["backoff"]> {
  if (typeof backoff !== "object" || backoff === null || !["fixed", "exponential"].includes(backoff.type))
    refuse('backoff must be { type: "fixed" or "exponential", base }; a function can only be an option of the queue');
  checkOptions("backoff", backoff, ["type", "base", "max"]);
  const baseMs = durationMs("backoff.base", backoff.base, { min: 0, max: YEAR_MS });
  const { max } = backoff as { readonly max?: Duration };
  if (backoff.type === "fixed" && max !== undefined) refuse('backoff.max is for type: "exponential"; leave it out');
  const longest = backoff.type === "exponential" ? (max === undefined ? "1h" : max) : backoff.base;
  return { type: backoff.type, baseMs, maxMs: durationMs("backoff.max", longest, { min: 0, max: YEAR_MS }) };
}

function resolveKeep(option: string, keep: Keep): Bounds {
  if (typeof keep === "number") return { count: checkWholeNumber(option, keep, { min: 0, max: MAX_KEPT }), ageMs: -1 };
  const { count, age } = optionsOf(option, typeof keep === "string" ? { age: keep } : keep, BOUNDS, `${option}.`);
  return { count, ageMs: age };
}

/** A new job without its payload, for the script. */
export interface NewJob {
  readonly record: JobRecord;
  /** Empty: one is made in Redis. */
  readonly id: string;
  readonly priority: number;
  readonly delayMs: number;
  readonly dedupId: string;
  readonly dedupForMs: number;
  readonly onDuplicate: "ignore" | "extend" | "replace";
}

export function resolveAddOptions(options: AddOptions, settings: QueueSettings<never>): NewJob {
  const read = optionsOf("add(data, options)", options, ADD);
  const { delay, priority, backoff: own, timeout } = read;
  const given = read.attempts ?? settings.attempts;
  const attempts = given ?? DEFAULT_ATTEMPTS;
  const dedup = resolveDedup(read);
  const timeoutMs = timeout ?? settings.timeoutMs;
  const backoff = own ?? (typeof settings.backoff === "function" ? undefined : settings.backoff);
  const ofQueue = [
    read.attempts === undefined && settings.attempts !== undefined ? "attempts" : "",
    own === undefined && settings.backoff !== undefined ? "backoff" : "",
    timeout === undefined && settings.timeoutMs !== undefined ? "timeout" : "",
  ].filter((option) => option !== "");
  const { keepCompleted, keepFailed } = settings;
  const record: JobRecord = {
    attempt: 0,
    attempts,
    priority,
    ...(given === undefined ? { anyAttempts: true as const } : undefined),
    ...(ofQueue.length === 0 ? undefined : { ofQueue: ofQueue.join(" ") }),
    ...(keepCompleted && { keepCompleted: [keepCompleted.count, keepCompleted.ageMs] as const }),
    ...(keepFailed && { keepDead: [keepFailed.count, keepFailed.ageMs] as const }),
    ...(timeoutMs === undefined ? undefined : { timeout: timeoutMs }),
    ...(backoff === undefined ? undefined : { backoff }),
    ...(dedup.dedupId === "" ? undefined : { dedup: dedup.dedupId }),
    ...(dedup.dedupForMs === 0 ? undefined : { dedupEnds: true as const }),
    ...(dedup.onDuplicate === "replace" && { latest: true as const }),
    ...(read.name !== undefined && { name: read.name }),
    ...(read.group !== undefined && { group: read.group }),
    ...(read.lifo && { lifo: true as const }),
  };
  return { id: read.id ?? "", priority, delayMs: delay, ...dedup, record };
}

function resolveDedup({ dedupId, dedupFor, onDuplicate }: OptionValues<typeof ADD>): Dedup {
  if (dedupId === undefined && dedupFor !== undefined) refuse("dedupFor needs a dedupId");
  if (dedupId === undefined && onDuplicate !== "ignore") refuse("onDuplicate needs a dedupId");
  if (dedupFor === undefined && onDuplicate === "extend") refuse('onDuplicate: "extend" needs a dedupFor');
  if (dedupFor !== undefined && onDuplicate === "replace") refuse('leave dedupFor out with onDuplicate: "replace"');
  return { dedupId: dedupId ?? "", dedupForMs: dedupFor ?? 0, onDuplicate };
}

type Dedup = Pick<NewJob, "dedupId" | "dedupForMs" | "onDuplicate">;

/** @param place the call, where no option was given. Lua's JSON refuses half of a surrogate pair. */
export function checkDedupId(place: string, given: unknown): string {
  if (typeof given === "string" && given !== "" && given.length <= MAX_DEDUP_LENGTH && given.isWellFormed())
    return given;
  return refuse(`${place}dedupId must be well-formed text of 1 to ${MAX_DEDUP_LENGTH} characters`);
}

function checkOwnId(given: unknown): string {
  if (typeof given === "string" && OWN_ID.test(given)) return given;
  return refuse(
    "id must be 1 to 64 letters, digits, _, -, . and @, and not of the form <digits>-<digits>, which queues make",
  );
}

/** Lua's JSON refuses half of a surrogate pair. */
function checkText(option: string, given: unknown, most: number): string {
  if (typeof given === "string" && given !== "" && given.length <= most && given.isWellFormed()) return given;
  return refuse(`${option} must be well-formed text of 1 to ${most} characters`);
}

/** Options with which a job like this one is added: without `id`, and what has passed. */
export function addOptionsOf(record: JobRecord): JobOptions {
  const { priority, attempts, backoff, timeout, dedup, name, group, lifo, latest } = record;
  return Object.freeze({
    priority,
    attempts,
    ...(backoff && { backoff: backoffOf(backoff) }),
    ...(timeout !== undefined && { timeout }),
    ...(dedup !== undefined && { dedupId: dedup }),
    ...(latest === true && { onDuplicate: "replace" as const }),
    ...(name !== undefined && { name }),
    ...(group !== undefined && { group }),
    ...(lifo === true && { lifo }),
  });
}

const backoffOf = ({ type, baseMs: base, maxMs: max }: NonNullable<JobRecord["backoff"]>): Backoff =>
  type === "fixed" ? { type, base } : { type, base, max };

/** The options of a job that count for another one like it: `add(data, job.options)`. */
export type JobOptions = Pick<
  AddOptions,
  "priority" | "attempts" | "backoff" | "timeout" | "dedupId" | "onDuplicate" | "name" | "group" | "lifo"
>;

/** Whether the queue gives any of the options that the queue of a producer may give otherwise. */
export const givesOptions = (settings: Omit<QueueSettings<unknown>, "schema">): boolean =>
  [settings.attempts, settings.backoff, settings.timeoutMs, settings.keepCompleted, settings.keepFailed].some(
    (given) => given !== undefined,
  );

/** Names of options that the queue of a job's producer gave, and that of its worker otherwise. */
export function contradictions(job: JobRecord, settings: Omit<QueueSettings<unknown>, "schema">): readonly string[] {
  const ofQueue = (job.ofQueue ?? "").split(" ");
  const { attempts, backoff, timeoutMs, keepCompleted, keepFailed } = settings;
  const kept = (bounds: Bounds | undefined): string | undefined => bounds && `${bounds.count},${bounds.ageMs}`;
  const both: readonly (readonly [option: string, producers: unknown, workers: unknown])[] = [
    ["attempts", job.attempts, attempts],
    ["backoff", timesOf(job.backoff), typeof backoff === "function" ? "a function" : timesOf(backoff)],
    ["timeout", job.timeout, timeoutMs],
    ["keep.completed", job.keepCompleted?.join(), kept(keepCompleted)],
    ["keep.failed", job.keepDead?.join(), kept(keepFailed)],
  ];
  return both
    .filter(([option]) => option.startsWith("keep") || ofQueue.includes(option))
    .filter(([, one, other]) => one !== undefined && other !== undefined && one !== other)
    .map(([option]) => option);
}

const timesOf = (backoff: JobRecord["backoff"]): string | undefined =>
  backoff && `${backoff.type},${backoff.baseMs},${backoff.maxMs}`;
