import type { Duration } from "@hotset/core";
import type { FailedJob } from "./delivery.ts";

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
