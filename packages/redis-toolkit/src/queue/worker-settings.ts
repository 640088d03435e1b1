import { anything, callback, oneOf, readOption, wholeMs, wholeNumber, type Option } from "@hotset/core/internal";
import { optionsOf } from "../module/module.ts";
import type { AbandonedJob, FailedJob } from "./delivery.ts";
import type { JobAbandonedError } from "./errors.ts";
import { MAX_REPLY_BYTES, type ExchangeRequest } from "./store.ts";
import type { WorkerOptions } from "./worker-options.ts";

const DAY_MS = 86_400_000;

const TABLE = {
  concurrency: wholeNumber(1, 1, 10_000),
  queueConcurrency: wholeNumber(undefined, 1, 1_000_000),
  groupConcurrency: wholeNumber(1, 1, 10_000),
  maxReplyBytes: wholeNumber(MAX_REPLY_BYTES, 1_024, 67_108_864),
  visibility: wholeMs(30_000, 100, 30 * DAY_MS),
  heartbeat: oneOf("auto", "manual"),
  rate: anything as Option<WorkerOptions["rate"]>,
  grace: wholeMs(10_000, 0, DAY_MS),
  abandonAfter: wholeMs(30_000, 0, DAY_MS),
  onAbandoned: callback<(error: JobAbandonedError, job: AbandonedJob<never>) => unknown>(),
  onError: callback<(error: unknown, job: FailedJob<never>) => unknown>(),
};

const RATE = { limit: wholeNumber(undefined, 1, 1_000_000_000), per: wholeMs(undefined, 1, 366 * DAY_MS) };

export interface WorkerSettings<T> {
  readonly concurrency: number;
  /** The most jobs that all workers of the queue hold together; `undefined` for no bound. */
  readonly queueConcurrency: number | undefined;
  readonly groupConcurrency: number;
  readonly maxReplyBytes: number;
  readonly visibilityMs: number;
  readonly isAuto: boolean;
  readonly rate: ExchangeRequest["rate"];
  readonly graceMs: number;
  readonly abandonAfterMs: number;
  readonly onAbandoned: WorkerOptions<T>["onAbandoned"];
  readonly onError: WorkerOptions<T>["onError"];
}

/** @throws {InvalidArgumentError} */
export function resolveWorkerOptions<T>(options: WorkerOptions<T>): WorkerSettings<T> {
  const { visibility, heartbeat, grace, ...read } = optionsOf("worker(handler, options)", options, TABLE, "worker: ");
  const { limit, per } = optionsOf("worker: rate", read.rate, RATE, "worker: rate.");
  return {
    concurrency: read.concurrency,
    queueConcurrency: read.queueConcurrency,
    groupConcurrency: read.groupConcurrency,
    maxReplyBytes: read.maxReplyBytes,
    visibilityMs: visibility,
    isAuto: heartbeat === "auto",
    rate: read.rate && {
      limit: readOption(limit, "worker: rate.limit", RATE.limit)!,
      perMs: readOption(per, "worker: rate.per", RATE.per)!,
    },
    graceMs: grace,
    abandonAfterMs: read.abandonAfter,
    onAbandoned: options.onAbandoned,
    onError: options.onError,
  };
}
