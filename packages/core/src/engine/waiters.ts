import { LoadTimeoutError } from "../contracts/errors.ts";
import type { Entry } from "../entry/entry.ts";
import { canServeOnError } from "../entry/freshness.ts";
import { Answers, loadedAnswer, stale, type Answer } from "./answers.ts";
import type { GetOrSetCall } from "./call.ts";
import type { EngineContext } from "./context.ts";
import type { Flight } from "./flight.ts";
import { Waiter, type Role } from "./waiter.ts";

/**
 * Callers waiting for flights. Each ends exactly once, is counted once, and keeps its own timeouts.
 *
 * A caller leaves alone when its signal aborts or its time is over. The load is aborted only when every caller left by
 * its signal. A load whose callers ran out of time goes on, and its result is stored.
 */
export class Waiters {
  readonly #context: EngineContext;
  readonly #answers: Answers;

  constructor(context: EngineContext) {
    this.#context = context;
    this.#answers = new Answers(context);
  }

  wait(flight: Flight, call: GetOrSetCall, role: Role): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const waiter = new Waiter(call, role, resolve, reject);
      flight.await(waiter);
      const { hardTimeoutMs } = call.policy;
      if (hardTimeoutMs !== Infinity)
        waiter.until(this.#context.clock.schedule(() => this.#outOfTime(flight, waiter, "hard"), hardTimeoutMs));
      this.startSoftTimeout(flight, waiter);
      const { signal } = call;
      if (signal !== undefined) {
        const leave = (): void => this.#leave(flight, waiter, signal.reason);
        signal.addEventListener("abort", leave, { once: true });
        waiter.until(() => signal.removeEventListener("abort", leave));
      }
    });
  }

  /** The soft timeout counts from the call, and applies only if there is a fallback to serve. */
  startSoftTimeout(flight: Flight, waiter: Waiter): void {
    const { softTimeoutMs } = waiter.call.policy;
    if (softTimeoutMs === Infinity || flight.fallback === undefined || waiter.hasSoftTimeout) return;
    const leftMs = waiter.call.startedAt + softTimeoutMs - this.#context.clock.now();
    waiter.untilSoftTimeout(
      this.#context.clock.schedule(() => this.#outOfTime(flight, waiter, "soft"), Math.max(0, leftMs)),
    );
  }

  #outOfTime(flight: Flight, waiter: Waiter, limit: "soft" | "hard"): void {
    const { call, role } = waiter;
    const fallback = this.fallbackOf(flight);
    const covered = canServeOnError(fallback, this.#context.clock.now(), call.policy);
    if (limit === "soft" && !covered && flight.loaded === undefined) return;
    if (!flight.take(waiter)) return;
    if (flight.loaded !== undefined) waiter.resolve(this.#answers.serve(call, role, loadedAnswer(flight.loaded.value)));
    else if (covered) waiter.resolve(this.#answers.serve(call, role, stale(fallback, flight.fallbackTier, "timeout")));
    else waiter.reject(this.#answers.failed(call, hardTimeoutError(call.policy.hardTimeoutMs)));
    this.#goOnAlone(flight);
  }

  /** A load without any caller left still stores its result. */
  #goOnAlone(flight: Flight): void {
    if (flight.waiters.length !== 0 || flight.isOver || flight.isBackground) return;
    flight.goToBackground();
    this.#context.waitUntil?.(flight.whenSettled());
  }

  #leave(flight: Flight, waiter: Waiter, reason: unknown): void {
    if (!flight.abandon(waiter)) return;
    waiter.reject(this.#answers.failed(waiter.call, reason));
    // A caller that ran out of time will look for the result again; and a value that was loaded already is stored.
    if (!flight.isAbandoned || flight.isBackground || flight.loaded !== undefined) this.#goOnAlone(flight);
    else this.abort(flight, reason);
  }

  /** Ends a flight at once; its callers reject with `reason`. */
  abort(flight: Flight, reason: unknown): void {
    this.end(flight);
    for (const waiter of flight.takeAll()) waiter.reject(this.#answers.failed(waiter.call, reason));
    flight.running?.abort(reason);
  }

  end(flight: Flight): void {
    if (flight.isOver) return;
    const { flights } = this.#context;
    flights.remove(flight);
    flight.end();
    // Other flights of this process may wait for its lease.
    if (flight.lease !== undefined) flights.wake(flight.key.local);
  }

  /** @param takes selects the callers that are answered; without it, all of them. */
  answerAll(flight: Flight, answer: () => Answer, takes?: (call: GetOrSetCall) => boolean): void {
    for (const waiter of flight.takeAll(takes)) {
      try {
        waiter.resolve(this.#answers.serve(waiter.call, waiter.role, answer()));
      } catch (error) {
        waiter.reject(error);
      }
    }
  }

  /** Each caller gets the fallback if `staleIfError` covers it, or else the error of the load as it is. */
  failAll(flight: Flight, error: unknown): void {
    const now = this.#context.clock.now();
    const fallback = this.fallbackOf(flight);
    const cause = error instanceof LoadTimeoutError ? "timeout" : "error";
    for (const waiter of flight.takeAll()) {
      const { call, role } = waiter;
      if (canServeOnError(fallback, now, call.policy))
        waiter.resolve(this.#answers.serve(call, role, { ...stale(fallback, flight.fallbackTier, cause), error }));
      else waiter.reject(this.#answers.failed(call, error));
    }
  }

  /** The fallback, unless it expired, or was deleted or invalidated since. */
  fallbackOf(flight: Flight): Entry | undefined {
    const { fallback } = flight;
    if (fallback === undefined || this.#context.clock.now() >= fallback.deadAt) return undefined;
    if (flight.fencedBy !== undefined && flight.fencedBy !== "stale") return undefined;
    return this.#context.tags.wasInvalidated(fallback.dependsOn, flight.tagSequence) ? undefined : fallback;
  }
}

const hardTimeoutError = (hardTimeoutMs: number): LoadTimeoutError =>
  new LoadTimeoutError(`no value within hardTimeout, ${hardTimeoutMs} ms; the load goes on`, {
    operation: "getOrSet",
  });
