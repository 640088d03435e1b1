import { InvalidArgumentError, type Duration, type StandardSchema } from "@hotset/core";
import { checkFlag, checkOptions, checkSchema, durationMs, wholeNumber } from "../module/module.ts";
import type { JobRecord } from "./job.ts";

/** How long a failed job waits for its next attempt. */
export type Backoff =
  | { readonly type: "fixed"; readonly base: Duration }
  /** `base`, doubled with each attempt, at most `max`. @default max '1h' */
  | { readonly type: "exponential"; readonly base: Duration; readonly max?: Duration | undefined };

/** @param attempt how many attempts have failed, from 1 */
export type BackoffFunction = (attempt: number, error: unknown) => Duration;

/** How many finished jobs are kept, or for how long; the oldest go first. A number alone is a count. */
export type Keep = number | Duration | { readonly count?: number | undefined; readonly age?: Duration | undefined };

export interface QueueOptions<T = unknown> {
  /** Deliveries of a job at most. One whose worker was lost counts as well. @default 3 */
  readonly attempts?: number | undefined;
  /** A function is called where the worker runs. @default { type: 'exponential', base: '1s', max: '1h' } */
  readonly backoff?: Backoff | BackoffFunction | undefined;
  /** Bound on one run of the handler. @default none */
  readonly timeout?: Duration | undefined;
  /** Finished jobs. @default none of `completed`, 10,000 of `failed` */
  readonly keep?: { readonly completed?: Keep | undefined; readonly failed?: Keep | undefined } | undefined;
  /** Checks what a worker gets: a job with other data goes to the dead letters. */
  readonly schema?: StandardSchema<T> | undefined;
  /** Refuses to work with a Redis that may evict keys. @default false, which warns */
  readonly requireNoEviction?: boolean | undefined;
}

export interface AddOptions {
  /** Not before it has passed. @default 0 */
  readonly delay?: Duration | undefined;
  /** 0 to 255: higher ones are delivered first. @default 0 */
  readonly priority?: number | undefined;
  /** While a job with it is unfinished, another one is not added. */
  readonly dedupId?: string | undefined;
  /** `dedupId` counts for so long, from when it was added, whether the job is finished or not. */
  readonly dedupFor?: Duration | undefined;
  /** @default that of the queue */
  readonly attempts?: number | undefined;
  /** @default that of the queue */
  readonly backoff?: Backoff | undefined;
  /** @default that of the queue */
  readonly timeout?: Duration | undefined;
}

export interface Bounds {
  /** -1 for none. */
  readonly count: number;
  readonly ageMs: number;
}

export interface QueueSettings<T> {
  readonly attempts: number;
  readonly backoff: NonNullable<JobRecord["backoff"]> | BackoffFunction;
  readonly timeoutMs: number | undefined;
  readonly keepCompleted: Bounds;
  readonly keepFailed: Bounds;
  readonly schema: StandardSchema<T> | undefined;
}

const MAX_ATTEMPTS = 1_000_000;
const MAX_PRIORITY = 255;
const MAX_KEPT = 1_000_000;
const KEPT_FAILED = 10_000;
/** Delays and timeouts. */
const YEAR_MS = 366 * 86_400_000;
const MAX_DEDUP_LENGTH = 512;

const refuse = (text: string): never => {
  throw new InvalidArgumentError(text);
};

export function resolveQueueOptions<T>(options: QueueOptions<T>): QueueSettings<T> {
  checkOptions("queue(redis, name, options)", options, [
    "attempts",
    "backoff",
    "timeout",
    "keep",
    "schema",
    "requireNoEviction",
  ]);
  const { attempts = 3, backoff, timeout, keep = {}, schema, requireNoEviction } = options;
  checkSchema("queue: schema", schema);
  checkFlag("queue: requireNoEviction", requireNoEviction);
  checkOptions("queue: keep", keep, ["completed", "failed"]);
  return {
    attempts: wholeNumber("attempts", attempts, { min: 1, max: MAX_ATTEMPTS }),
    backoff: typeof backoff === "function" ? backoff : (resolveBackoff(backoff) ?? DEFAULT_BACKOFF),
    timeoutMs: timeout === undefined ? undefined : durationMs("timeout", timeout, { min: 1, max: YEAR_MS }),
    keepCompleted: resolveKeep("keep.completed", keep.completed, 0),
    keepFailed: resolveKeep("keep.failed", keep.failed, KEPT_FAILED),
    schema,
  };
}

const DEFAULT_BACKOFF = { type: "exponential", baseMs: 1_000, maxMs: 3_600_000 } as const;

function resolveBackoff(backoff: Backoff | undefined): JobRecord["backoff"] {
  if (backoff === undefined) return undefined;
  if (typeof backoff !== "object" || backoff === null || !["fixed", "exponential"].includes(backoff.type))
    refuse('backoff must be { type: "fixed" or "exponential", base }; a function can only be an option of the queue');
  checkOptions("backoff", backoff, ["type", "base", "max"]);
  const baseMs = durationMs("backoff.base", backoff.base, { min: 0, max: YEAR_MS });
  const { max } = backoff as { readonly max?: Duration };
  if (backoff.type === "fixed" && max !== undefined) refuse('backoff.max is for type: "exponential"; leave it out');
  const longest = backoff.type === "exponential" ? (max === undefined ? "1h" : max) : backoff.base;
  return { type: backoff.type, baseMs, maxMs: durationMs("backoff.max", longest, { min: 0, max: YEAR_MS }) };
}

function resolveKeep(option: string, keep: Keep | undefined, count: number): Bounds {
  if (keep === undefined) return { count, ageMs: -1 };
  if (typeof keep === "number") return { count: wholeNumber(option, keep, { min: 0, max: MAX_KEPT }), ageMs: -1 };
  const bounds = typeof keep === "string" ? { age: keep } : keep;
  checkOptions(option, bounds, ["count", "age"]);
  const { count: most = KEPT_FAILED } = bounds;
  return {
    count: wholeNumber(`${option}.count`, most, { min: 0, max: MAX_KEPT }),
    ageMs: bounds.age === undefined ? -1 : durationMs(`${option}.age`, bounds.age, { min: 1, max: 10 * YEAR_MS }),
  };
}

/** A new job without its payload, for the script. */
export interface NewJob {
  readonly record: JobRecord;
  readonly priority: number;
  readonly delayMs: number;
  readonly dedupId: string;
  readonly dedupForMs: number;
}

export function resolveAddOptions(options: AddOptions, settings: QueueSettings<never>): NewJob {
  checkOptions("add(data, options)", options, [
    "delay",
    "priority",
    "dedupId",
    "dedupFor",
    "attempts",
    "backoff",
    "timeout",
  ]);
  const { delay = 0, priority = 0, dedupId, dedupFor, attempts = settings.attempts, timeout } = options;
  wholeNumber("priority", priority, { min: 0, max: MAX_PRIORITY });
  wholeNumber("attempts", attempts, { min: 1, max: MAX_ATTEMPTS });
  if (dedupId === undefined && dedupFor !== undefined) refuse("dedupFor needs a dedupId");
  if (dedupId !== undefined) checkDedupId("", dedupId);
  const timeoutMs =
    timeout === undefined ? settings.timeoutMs : durationMs("timeout", timeout, { min: 1, max: YEAR_MS });
  const own = resolveBackoff(options.backoff);
  const backoff = own ?? (typeof settings.backoff === "function" ? undefined : settings.backoff);
  return {
    priority,
    delayMs: durationMs("delay", delay, { min: 0, max: 10 * YEAR_MS }),
    dedupId: dedupId ?? "",
    dedupForMs: dedupFor === undefined ? 0 : durationMs("dedupFor", dedupFor, { min: 1, max: 10 * YEAR_MS }),
    record: {
      attempt: 0,
      attempts,
      priority,
      ...(timeoutMs === undefined ? undefined : { timeout: timeoutMs }),
      ...(backoff === undefined ? undefined : { backoff }),
      ...(dedupId === undefined ? undefined : { dedup: dedupId }),
      ...(dedupFor === undefined ? undefined : { dedupEnds: true as const }),
    },
  };
}

/** @param place the call, where no option was given. Lua's JSON refuses half of a surrogate pair. */
export function checkDedupId(place: string, given: unknown): string {
  if (typeof given === "string" && given !== "" && given.length <= MAX_DEDUP_LENGTH && given.isWellFormed())
    return given;
  return refuse(`${place}dedupId must be well-formed text of 1 to ${MAX_DEDUP_LENGTH} characters`);
}
