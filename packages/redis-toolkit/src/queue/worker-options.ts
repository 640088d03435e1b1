import type { Duration } from "@hotset/core";
import type { AbandonedJob, FailedJob } from "./delivery.ts";
import type { JobAbandonedError } from "./errors.ts";

/** Options of `worker`. */
export interface WorkerOptions<T = unknown> {
  /** Handlers at the same time, 1 to 10,000. @default 1 */
  readonly concurrency?: number | undefined;
  /** Jobs that all workers of the queue work on at the same time: give all of them the same. @default no bound */
  readonly queueConcurrency?: number | undefined;
  /**
   * Jobs of one `group` that all workers work on at the same time, 1 to 10,000: give all of them the same. @default 1
   */
  readonly groupConcurrency?: number | undefined;
  /** Most bytes of data that one reply brings, unless it brings one job: 1 KiB to 64 MiB. @default 262,144 */
  readonly maxReplyBytes?: number | undefined;
  /**
   * How long a delivery is this worker's without a heartbeat, 100 ms to 30 days: then another worker gets the job.
   *
   * @default '30s'
   */
  readonly visibility?: Duration | undefined;
  /**
   * `auto`: at each third of `visibility` one command extends the leases of all handlers. `manual`: `job.heartbeat()`
   * and `job.progress()` alone extend them. @default 'auto'
   */
  readonly heartbeat?: "auto" | "manual" | undefined;
  /**
   * Deliveries in each window, of all workers of the queue together: give all of them the same. A window begins with
   * its first delivery. @default none
   */
  readonly rate?: { readonly limit: number; readonly per: Duration } | undefined;
  /** How long `stop` waits for handlers before it aborts their signals. @default '10s' */
  readonly grace?: Duration | undefined;
  /**
   * How long a handler has to end once its signal is aborted, because its `timeout` has passed or its lease has ended.
   * Until then it has its slot, and its job is not tried again. Then it is given up: see `onAbandoned`. @default '30s'
   */
  readonly abandonAfter?: Duration | undefined;
  /**
   * Gets each job whose handler was given up. It may still run, while its slot is given to another job, and while the
   * job is tried again. An error that it throws is reported, and changes nothing.
   *
   * @default a line of `createRedis({ logger })`
   */
  readonly onAbandoned?: ((error: JobAbandonedError, job: AbandonedJob<T>) => unknown) | undefined;
  /**
   * Gets each error of a handler, and of data that cannot be handed to it. An error that it throws is reported, and
   * changes nothing.
   *
   * @default a line of `createRedis({ logger })`, at most one a second
   */
  readonly onError?: ((error: unknown, job: FailedJob<T>) => unknown) | undefined;
}
