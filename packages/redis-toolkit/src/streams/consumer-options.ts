import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { InvalidArgumentError, type Duration } from "@hotset/core";
import { checkName, checkOptions, durationMs, shown } from "../module/module.ts";
import type { Delivery } from "./member.ts";
import { blockMsOf, countOf } from "./limits.ts";

/** Options of {@link consumer}. */
export interface ConsumerOptions<T = unknown> {
  /**
   * The name in the group. Two consumers with one name would handle each other's entries, so give one only if it
   * belongs to one process, such as the name of a pod of a StatefulSet. @default another one each time
   */
  readonly name?: string | undefined;
  /** The most entries of one read, 1 to 1,000. @default 1 */
  readonly count?: number | undefined;
  /**
   * How many handlers run in parallel, of one read, 1 to 1,000. With 1 entries are handled in their order.
   * @default 1
   */
  readonly concurrency?: number | undefined;
  /** How long one read waits for an entry, up to an hour. @default '2s' */
  readonly block?: Duration | undefined;
  /**
   * An entry that no consumer has touched for so long is delivered again, to any of them: its consumer has ended, or
   * its handler has failed. At least 100 ms. @default '30s'
   */
  readonly minIdle?: Duration | undefined;
  /** After so many deliveries without success an entry becomes a dead letter. @default 5 */
  readonly maxDeliveries?: number | undefined;
  /**
   * Where a group begins that is not there, at the start or after a loss of data: at `0`, so that entries may be
   * handled twice, or at `$`, so that those that are there already are not handled. @default '0'
   */
  readonly onLostGroup?: "0" | "$" | undefined;
  /** About how many dead letters are kept, the newest. @default all */
  readonly maxDead?: number | undefined;
  /** How long `stop` waits for handlers. @default '30s' */
  readonly stopTimeout?: Duration | undefined;
  /**
   * Gets each error of the handler. An error that it throws is reported, and changes nothing.
   *
   * @default a line of the logger, without the error's text, which may hold values
   */
  readonly onError?: ((error: unknown, delivery: Delivery<T>) => unknown) | undefined;
}

export interface ConsumerSettings<T> {
  readonly name: string;
  readonly count: number;
  readonly concurrency: number;
  readonly blockMs: number;
  readonly minIdleMs: number;
  readonly maxDeliveries: number;
  readonly onLostGroup: "0" | "$";
  readonly maxDead: number;
  readonly stopTimeoutMs: number;
  readonly onError: ((error: unknown, delivery: Delivery<T>) => unknown) | undefined;
}

const OPTIONS = [
  "name",
  "count",
  "concurrency",
  "block",
  "minIdle",
  "maxDeliveries",
  "onLostGroup",
  "maxDead",
  "stopTimeout",
  "onError",
];

const MOST = 1_000;
const SHORTEST_IDLE_MS = 100;
const LONGEST_IDLE_MS = 7 * 86_400_000;
const LONGEST_STOP_MS = 86_400_000;

/** @throws {InvalidArgumentError} for an option that is unknown, or can never work. */
export function resolveConsumerOptions<T>(options: ConsumerOptions<T>): ConsumerSettings<T> {
  checkOptions("consumer", options, OPTIONS);
  const { name, count = 1, concurrency = 1, block = "2s", minIdle = "30s", maxDeliveries = 5 } = options;
  const { onLostGroup = "0", maxDead, stopTimeout = "30s", onError } = options;
  if (onLostGroup !== "0" && onLostGroup !== "$")
    throw new InvalidArgumentError(`consumer: onLostGroup must be "0" or "$", got ${shown(onLostGroup)}`);
  if (onError !== undefined && typeof onError !== "function")
    throw new InvalidArgumentError("consumer: onError must be a function");
  return {
    name: name === undefined ? uniqueName() : checkName("consumer: name", name),
    count: countOf("consumer: count", count, MOST),
    concurrency: countOf("consumer: concurrency", concurrency, MOST),
    blockMs: blockMsOf("consumer: block", block),
    minIdleMs: durationMs("consumer: minIdle", minIdle, { min: SHORTEST_IDLE_MS, max: LONGEST_IDLE_MS }),
    maxDeliveries: countOf("consumer: maxDeliveries", maxDeliveries, Number.MAX_SAFE_INTEGER),
    onLostGroup,
    maxDead: maxDead === undefined ? 0 : countOf("consumer: maxDead", maxDead, Number.MAX_SAFE_INTEGER),
    stopTimeoutMs: durationMs("consumer: stopTimeout", stopTimeout, { min: 0, max: LONGEST_STOP_MS }),
    onError,
  };
}

const uniqueName = (): string => `${hostname()}-${process.pid}-${randomBytes(4).toString("hex")}`;
