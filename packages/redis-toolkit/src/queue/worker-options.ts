import { InvalidArgumentError, type Duration } from "@hotset/core";
import { checkFunction, checkOptions, durationMs, wholeNumber } from "../module/module.ts";
import type { FailedJob } from "./delivery.ts";
import type { ExchangeRequest } from "./store.ts";

/** Options of `worker`. */
export interface WorkerOptions<T = unknown> {
  /** Jobs that it works on at the same time. @default 1 */
  readonly concurrency?: number | undefined;
  /** How long a delivery is this worker's: then another worker gets the job. @default '30s' */
  readonly visibility?: Duration | undefined;
  /** `manual`: leases are extended by `job.heartbeat()` and `job.progress()` alone. @default 'auto', in each third */
  readonly heartbeat?: "auto" | "manual" | undefined;
  /** Deliveries in each window, of all workers of the queue together: give all of them the same. @default none */
  readonly rate?: { readonly limit: number; readonly per: Duration } | undefined;
  /** How long `stop` waits for handlers before it aborts their signals. @default '10s' */
  readonly grace?: Duration | undefined;
  /**
   * Gets each error of a handler, and of data that cannot be handed to it. An error that it throws is reported, and
   * changes nothing.
   *
   * @default a line of `createRedis({ logger })`, at most one a second
   */
  readonly onError?: ((error: unknown, job: FailedJob<T>) => unknown) | undefined;
}

export interface WorkerSettings<T> {
  readonly concurrency: number;
  readonly visibilityMs: number;
  readonly isAuto: boolean;
  readonly rate: ExchangeRequest["rate"];
  readonly graceMs: number;
  readonly onError: WorkerOptions<T>["onError"];
}

const MAX_CONCURRENCY = 10_000;
const MIN_VISIBILITY_MS = 100;
const DAY_MS = 86_400_000;

/** @throws {InvalidArgumentError} */
export function resolveWorkerOptions<T>(options: WorkerOptions<T>): WorkerSettings<T> {
  const known = ["concurrency", "visibility", "heartbeat", "rate", "grace", "onError"];
  checkOptions("worker(handler, options)", options, known);
  const { concurrency = 1, visibility = "30s", heartbeat = "auto", rate, grace = "10s", onError } = options;
  if (onError !== undefined) checkFunction("worker: onError", onError);
  if (heartbeat !== "auto" && heartbeat !== "manual")
    throw new InvalidArgumentError('worker: heartbeat must be "auto" or "manual"');
  checkOptions("worker: rate", rate, ["limit", "per"]);
  return {
    concurrency: wholeNumber("concurrency", concurrency, { min: 1, max: MAX_CONCURRENCY }),
    visibilityMs: durationMs("visibility", visibility, { min: MIN_VISIBILITY_MS, max: 30 * DAY_MS }),
    isAuto: heartbeat === "auto",
    rate: rate && {
      limit: wholeNumber("rate.limit", rate.limit, { min: 1, max: 1_000_000_000 }),
      perMs: durationMs("rate.per", rate.per, { min: 1, max: 366 * DAY_MS }),
    },
    graceMs: durationMs("grace", grace, { min: 0, max: DAY_MS }),
    onError,
  };
}
