import { BackendUnavailableError, OverloadedError, type Clock } from "@hotset/core";
import type { RedisConnection } from "../client/contract.ts";
import { hashSlot } from "../client/open-connection.ts";
import { CommandError } from "../index.ts";
import type { Module } from "../module/module.ts";

/**
 * Knows that Redis is down, so that a decision does not wait for it.
 *
 *     closed ──a call was not answered in time──▶ open ──PING is answered──▶ closed
 *                                                  └── no answer: again after 100 ms, doubled up to 1 s
 *
 * PING asks and not the next call: a call that is decided without Redis must not be counted when Redis answers.
 */
class Breaker {
  readonly #connection: RedisConnection;
  readonly #clock: Clock;
  /** A key of the node that is asked. */
  readonly #key: string;
  #isOpen = false;
  /** Called once Redis answers again. */
  readonly #onBack: (() => void)[] = [];

  constructor(connection: RedisConnection, clock: Clock, key: string) {
    this.#connection = connection;
    this.#clock = clock;
    this.#key = key;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  onceBack(run: () => void): void {
    if (this.#isOpen) this.#onBack.push(run);
    else run();
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#probe(FIRST_WAIT_MS);
  }

  #probe(waitMs: number): void {
    const asked = this.#connection.call(["PING"], { key: this.#key, deadlineMs: PROBE_MS, patienceMs: 0 });
    const close = (): void => {
      this.#isOpen = false;
      const waiting = this.#onBack.splice(0);
      if (this.#connection.state !== "closed") for (const run of waiting) run();
    };
    asked.then(close, (error: unknown) => {
      // An error reply is an answer. A connection that was closed is never back.
      if (!isAway(error) || this.#connection.state === "closed") return close();
      this.#clock.schedule(() => this.#probe(Math.min(waitMs * 2, LONGEST_WAIT_MS)), waitMs);
    });
  }
}

const PROBE_MS = 250;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 1_000;

/** One breaker for all limiters of a connection; in a cluster, which fails in parts, one for each range of slots. */
const breakers = new WeakMap<RedisConnection, Map<number, Breaker>>();
const SLOTS_OF_ONE = 256;

function breakerOf({ connection, clock, space }: Module, key: string): Breaker {
  const inside = space.inside(key);
  const part = connection.isCluster ? Math.floor(hashSlot(inside) / SLOTS_OF_ONE) : 0;
  let parts = breakers.get(connection);
  if (parts === undefined) breakers.set(connection, (parts = new Map()));
  let breaker = parts.get(part);
  if (breaker === undefined) parts.set(part, (breaker = new Breaker(connection, clock, inside)));
  return breaker;
}

/**
 * Settles as `call` does. While Redis is known to be down it answers `undefined` immediately, and `call` is not made.
 *
 * @throws {CommandError} `REDIS_DISABLED` where it is disabled.
 */
export function unlessAway<T>(module: Module, key: string, call: () => Promise<T>): Promise<T | undefined> {
  const breaker = breakerOf(module, key);
  if (breaker.isOpen) return AWAY;
  // Not an async function, which would add a promise to each decision.
  return call().catch((error: unknown) => {
    if (error instanceof BackendUnavailableError) breaker.open();
    throw error;
  });
}

const AWAY = Promise.resolve(undefined);

/** Calls `run`, which must not throw, once Redis answers again; never after the connection was closed. */
export const onceBack = (module: Module, key: string, run: () => void): void => breakerOf(module, key).onceBack(run);

/**
 * Whether Redis was not reached, or takes no commands for now, or is disabled. Any other error is a fault that a policy
 * must not hide.
 */
export const cannotDecide = (error: unknown): boolean =>
  isAway(error) || isDisabled(error) || (error instanceof CommandError && error.retryable);

export const isDisabled = (error: unknown): boolean => error instanceof CommandError && error.code === "REDIS_DISABLED";

const isAway = (error: unknown): boolean =>
  error instanceof BackendUnavailableError || error instanceof OverloadedError;
