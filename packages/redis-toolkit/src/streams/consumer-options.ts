import type { Duration } from "@hotset/core";
import type { Delivery } from "./member.ts";

/** Options of {@link consumer}. */
export interface ConsumerOptions<T = unknown> {
  /**
   * The name in the group. Two consumers with one name would handle each other's entries, so give one only if it
   * belongs to one process, such as the name of a pod of a StatefulSet. @default another one each time
   */
  readonly name?: string | undefined;
  /**
   * The most entries of one read, 1 to 1,000. Those for which no handler is free wait here: fewer commands, while other
   * consumers cannot have them. @default as many as handlers are free
   */
  readonly count?: number | undefined;
  /**
   * A reply ends with the entry that reaches this many bytes: 1 KiB to 64 MiB. Redis reads up to 15 entries more, and
   * this consumer gets them next: with entries larger than 1 MB among small ones, set `count: 1`. @default 262,144
   */
  readonly maxReplyBytes?: number | undefined;
  /**
   * How many handlers run at the same time, 1 to 1,000. An entry begins as soon as one of them has ended; a slow one
   * does not hold up the others. With 1 entries are handled in their order. @default 1
   */
  readonly concurrency?: number | undefined;
  /** How long one read waits for an entry, up to an hour. @default '2s' */
  readonly block?: Duration | undefined;
  /**
   * An entry that no consumer has touched for so long is delivered again, to any of them: its consumer has ended, or
   * its handler has failed. 100 ms to a week. @default '30s'
   */
  readonly minIdle?: Duration | undefined;
  /** After so many deliveries to a handler without success an entry becomes a dead letter. @default 5 */
  readonly maxDeliveries?: number | undefined;
  /**
   * Where a group begins that is not there, at the start or after a loss of data: at `0`, so that entries may be
   * handled twice, or at `$`, so that those that are there already are not handled. @default '0'
   */
  readonly onLostGroup?: "0" | "$" | undefined;
  /** About how many dead letters are kept, the newest. @default all */
  readonly maxDead?: number | undefined;
  /** How long `stop` waits for handlers; then their signals are aborted. @default '30s' */
  readonly stopTimeout?: Duration | undefined;
  /**
   * Gets each error of the handler. An error that it throws is reported, and changes nothing.
   *
   * @default a line of the logger, without the error's text, which may hold values
   */
  readonly onError?: ((error: unknown, delivery: Delivery<T>) => unknown) | undefined;
}
