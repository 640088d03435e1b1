import type { Duration } from "@hotset/core";
import type { HeaderStyle } from "./result.ts";
import type { Rule } from "./rules.ts";

/** Options of {@link rateLimit}. */
export interface RateLimitOptions {
  /** Part of its keys, and of its header fields. No braces. */
  readonly name: string;
  /** All must allow a call: 1 to 8, not two of one kind and window. @default [fixedWindow()]: 100 in an hour */
  readonly rules?: readonly Rule[] | undefined;
  /** Begins its keys. No braces. @default 'rate_limit' */
  readonly prefix?: string | undefined;
  /**
   * The key of the one rule, in place of `prefix` and `name`, for programs that count there in the same way: a
   * `fixedWindow` is a number with the life that is left of its window. A block lies next to it.
   */
  readonly key?: ((key: string) => string) | undefined;
  /**
   * The policy while Redis is down, or disabled: everything is allowed, nothing is, or each process counts its share
   * in memory. @default 'memory'
   */
  readonly whenAway?: "open" | "closed" | "memory" | undefined;
  /** How many processes share the limits while Redis is down. @default 1 */
  readonly processes?: number | undefined;
  /** How long one decision waits for Redis, up to a minute. @default '250ms' */
  readonly deadline?: Duration | undefined;
  /** A refused call blocks its key for so long. @default none */
  readonly blockFor?: Duration | undefined;
  /** Whether refused calls count as well. @default false */
  readonly countRefused?: boolean | undefined;
  /**
   * How long a refusal may be answered from memory, at most until the call fits. By then every process knows of a
   * `reset` by another one. `0` asks Redis each time; `Infinity` never before the call fits. Not for limits with
   * `concurrency`, nor for calls that count although they are refused. @default '1s'
   */
  readonly rememberRefusals?: Duration | undefined;
  /**
   * Keys that are kept in memory, of refusals and of counts while Redis is down. Beyond it any refusal is forgotten, and
   * the oldest count. @default 10_000
   */
  readonly maxKeys?: number | undefined;
  /** Keys that are always allowed, and not counted. Compared as a whole. */
  readonly allow?: Iterable<string> | undefined;
  /** Keys that are always refused. It counts more than `allow`. */
  readonly deny?: Iterable<string> | undefined;
  /**
   * `RateLimit` and `RateLimit-Policy` as in drafts 8 to 10, or `RateLimit-Limit`, `-Remaining` and `-Reset` as in
   * draft 6. @default 'draft-8'
   */
  readonly headers?: HeaderStyle | undefined;
}
