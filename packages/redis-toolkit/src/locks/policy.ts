import type { Duration } from "@hotset/core";
import { checkOptions, checkSignal, durationMs, lifeMs, type DurationText } from "../module/module.ts";

/** How long a lock is held, and waited for. Those of `locks` are the defaults of its calls. */
export interface LeaseOptions {
  /** How long Redis keeps the lock for a holder that neither extends nor releases it: at least 20 ms. @default '10s' */
  readonly ttl?: DurationText | undefined;
  /**
   * How long a call keeps trying while others hold it, or Redis does not answer: its bound, or 100 ms where that is
   * less. 0: one attempt, which fails immediately while Redis is known to be down, and within `commandTimeout` while it
   * is frozen. @default 0
   */
  readonly wait?: Duration | undefined;
  /** Bound on holding it, extensions included: at least 20 ms. @default none */
  readonly maxHold?: Duration | undefined;
}

/** Options of `acquire`. */
export interface AcquireOptions extends LeaseOptions {
  /** Ends waiting with its reason. */
  readonly signal?: AbortSignal | undefined;
}

export const LEASE_OPTIONS = ["ttl", "wait", "maxHold"] as const;

/** How one lease is taken and held. */
export interface Policy {
  readonly ttlMs: number;
  readonly waitMs: number;
  /** `Infinity` without a bound. */
  readonly maxHoldMs: number;
}

const DEFAULTS: Policy = { ttlMs: 10_000, waitMs: 0, maxHoldMs: Infinity };
/** A trip and the allowance for drift must fit into it. */
const SHORTEST_TTL_MS = 20;

/** @throws {InvalidArgumentError} for durations out of their bounds. */
export function policyOf(place: string, options: LeaseOptions, base: Policy = DEFAULTS): Policy {
  const { ttl, wait, maxHold } = options;
  if (ttl === undefined && wait === undefined && maxHold === undefined) return base;
  return {
    ttlMs: ttl === undefined ? base.ttlMs : ttlMsOf(place, ttl),
    waitMs: wait === undefined ? base.waitMs : durationMs(`${place}: wait`, wait, { min: 0 }),
    maxHoldMs:
      maxHold === undefined ? base.maxHoldMs : durationMs(`${place}: maxHold`, maxHold, { min: SHORTEST_TTL_MS }),
  };
}

export const ttlMsOf = (place: string, ttl: DurationText): number =>
  lifeMs(`${place}: ttl`, ttl, { min: SHORTEST_TTL_MS });

/** @throws {InvalidArgumentError} for unknown options, and for a signal of another type. */
export function checkAcquireOptions(place: string, options: AcquireOptions, known: readonly string[]): void {
  checkOptions(place, options, [...known, "signal"]);
  checkSignal(`${place}: signal`, options.signal);
}

/**
 * The part of a life that a holder does not use: clocks of client and server run at rates that differ, and a server
 * rounds. 1 % and 2 ms, as in https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
 */
export const driftMs = (ttlMs: number): number => Math.ceil(ttlMs / 100) + 2;
