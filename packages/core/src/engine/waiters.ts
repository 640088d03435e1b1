import type { EngineContext } from "./context.ts";
import { lifeOf, canServeOnError, type Entry } from "../entry/entry.ts";
import { LoadTimeoutError } from "../contracts/errors.ts";
import type { GetOrSetCall } from "./call.ts";
import type { EntryKey } from "../entry/key.ts";
import { Waiter, type Flight } from "./flights.ts";
import type { Served } from "../entry/policy.ts";

/** How one call ends. */
export interface Answer {
  readonly status: "hit" | "stale" | "miss";
  readonly value: unknown;
  readonly entry?: Entry | undefined;
  readonly tier?: string;
  readonly cause?: "revalidating" | "error" | "timeout";
  readonly error?: unknown;
}

/**
 * Those who wait for flights, and how each of them ends: exactly once, counted once, within limits of his own.
 *
 * A caller leaves alone when his signal aborts or his time is over. The load is aborted only when the last one left by
 * his signal; one that nobody waits for any more for want of time goes on, and stores what it brings.
 */
export class Waiters {
  readonly #context: EngineContext;

  constructor(context: EngineContext) {
    this.#context = context;
  }

  wait(flight: Flight, call: GetOrSetCall, isCoalesced: boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const waiter = new Waiter(call, isCoalesced, resolve, reject);
      flight.await(waiter);
      const { hardTimeoutMs } = call.policy;
      if (hardTimeoutMs !== Infinity)
        waiter.until(this.#context.clock.schedule(() => this.#outOfTime(flight, waiter, "hard"), hardTimeoutMs));
      this.limitWait(flight, waiter);
      const { signal } = call;
      if (signal !== undefined) {
        const leave = (): void => this.#leave(flight, waiter, signal.reason);
        signal.addEventListener("abort", leave, { once: true });
        waiter.until(() => signal.removeEventListener("abort", leave));
      }
    });
  }

  /** The soft timeout counts from the call, and only where there is something to serve instead. */
  limitWait(flight: Flight, waiter: Waiter): void {
    const { softTimeoutMs } = waiter.call.policy;
    if (softTimeoutMs === Infinity || flight.fallback === undefined || waiter.isLimited) return;
    waiter.isLimited = true;
    const leftMs = waiter.call.startedAt + softTimeoutMs - this.#context.clock.now();
    waiter.until(this.#context.clock.schedule(() => this.#outOfTime(flight, waiter, "soft"), Math.max(0, leftMs)));
  }

  #outOfTime(flight: Flight, waiter: Waiter, limit: "soft" | "hard"): void {
    const { call } = waiter;
    const fallback = this.fallbackOf(flight);
    const covered = canServeOnError(fallback, this.#context.clock.now(), call.policy);
    if (limit === "soft" && !covered && flight.loaded === undefined) return;
    if (!flight.take(waiter)) return;
    if (flight.loaded !== undefined)
      waiter.resolve(this.serve(call, waiter.isCoalesced, { status: "miss", value: flight.loaded.value }));
    else if (covered)
      waiter.resolve(this.serve(call, waiter.isCoalesced, stale(fallback, flight.fallbackTier, "timeout")));
    else
      waiter.reject(
        this.missed(
          call,
          new LoadTimeoutError(`no value within hardTimeout, ${call.policy.hardTimeoutMs} ms; the load goes on`, {
            operation: "getOrSet",
          }),
        ),
      );
    this.#goOnAlone(flight);
  }

  /** The load that nobody waits for any more still stores its result. */
  #goOnAlone(flight: Flight): void {
    if (flight.waiters.length !== 0 || flight.isOver || flight.isBackground) return;
    flight.isBackground = true;
    this.#context.waitUntil?.(flight.whenSettled());
  }

  #leave(flight: Flight, waiter: Waiter, reason: unknown): void {
    if (!flight.take(waiter)) return;
    flight.aborted += 1;
    waiter.reject(this.missed(waiter.call, reason));
    // Whoever ran out of time is still to find the result, and one that is there already is kept.
    if (flight.aborted < flight.joined || flight.isBackground || flight.loaded !== undefined) this.#goOnAlone(flight);
    else this.abort(flight, reason);
  }

  /** Ends a flight at once; its callers reject with `reason`. */
  abort(flight: Flight, reason: unknown): void {
    this.end(flight);
    for (const waiter of flight.takeAll()) waiter.reject(this.missed(waiter.call, reason));
    flight.running?.abort(reason);
  }

  end(flight: Flight): void {
    if (flight.isOver) return;
    const { flights } = this.#context;
    flights.remove(flight);
    flight.settled();
    // What it stored or gave up, others here may be waiting for.
    if (flight.lease !== undefined) flights.wake(flight.key.local);
  }

  /** @param takes who is answered; everyone without it. */
  answerAll(flight: Flight, answer: () => Answer, takes?: (call: GetOrSetCall) => boolean): void {
    for (const waiter of flight.takeAll(takes)) {
      try {
        waiter.resolve(this.serve(waiter.call, waiter.isCoalesced, answer()));
      } catch (error) {
        waiter.reject(error);
      }
    }
  }

  /** Everyone gets what may stand in for the failed load, or its error as it is. */
  failAll(flight: Flight, error: unknown): void {
    const now = this.#context.clock.now();
    const fallback = this.fallbackOf(flight);
    const cause = error instanceof LoadTimeoutError ? "timeout" : "error";
    for (const waiter of flight.takeAll()) {
      if (canServeOnError(fallback, now, waiter.call.policy))
        waiter.resolve(
          this.serve(waiter.call, waiter.isCoalesced, { ...stale(fallback, flight.fallbackTier, cause), error }),
        );
      else waiter.reject(this.missed(waiter.call, error));
    }
  }

  /** The copy that may stand in: not one that was deleted or invalidated since. */
  fallbackOf(flight: Flight): Entry | undefined {
    const { fallback } = flight;
    if (fallback === undefined || this.#context.clock.now() >= fallback.deadAt) return undefined;
    if (flight.fencedBy !== undefined && flight.fencedBy !== "stale") return undefined;
    return this.#context.tags.wasInvalidated(fallback.dependsOn, flight.tagSequence) ? undefined : fallback;
  }

  reject(call: GetOrSetCall, error: unknown): Promise<never> {
    return Promise.reject(this.missed(call, error));
  }

  missed(call: GetOrSetCall, error: unknown): unknown {
    this.count(call, { status: "miss", value: undefined });
    return error;
  }

  /** Counts and reports one answer, and gives the value as this caller gets it. */
  serve(call: GetOrSetCall, isCoalesced: boolean, answer: Answer): unknown {
    this.count(call, answer);
    if (call.onServed !== undefined) {
      try {
        call.onServed(this.#served(answer, isCoalesced));
      } catch {
        // Watching an answer must not change it.
      }
    }
    return this.#context.local === undefined ? answer.value : this.#context.local.handOut(answer.value);
  }

  #served({ status, entry, tier, cause, error }: Answer, coalesced: boolean): Served {
    const life = entry === undefined ? { ageMs: 0, freshForMs: 0 } : lifeOf(entry, this.#context.clock.now());
    return {
      status,
      ...(tier !== undefined && { tier }),
      ageMs: life.ageMs,
      freshForMs: life.freshForMs,
      coalesced,
      ...(cause !== undefined && { cause }),
      ...(error !== undefined && { error }),
    };
  }

  /** Exactly one hit, stale hit or miss. */
  count(
    call: Pick<GetOrSetCall, "namespace" | "key" | "startedAt">,
    { status, tier, cause }: Answer,
    isRemoteAsked = true,
  ): void {
    const { meter, local, events, clock, decisions } = this.#context;
    const { remote } = call.namespace;
    decisions?.note(
      call.key.local,
      "call",
      tier === undefined ? status : `${status}, from ${tier}${cause === undefined ? "" : ` (${cause})`}`,
    );
    if (local !== undefined) {
      if (tier === local.label) local.meter.hits += 1;
      else local.meter.misses += 1;
    }
    if (remote !== undefined && isRemoteAsked && (local === undefined || tier !== local.label)) {
      if (tier === undefined) remote.meter.misses += 1;
      else remote.meter.hits += 1;
    }
    switch (status) {
      case "hit":
        meter.hits += 1;
        if (events.hit.isObserved)
          events.hit.emit({ ...this.keyEvent(call.key), tier: tier!, durationMs: clock.now() - call.startedAt });
        return;
      case "stale":
        meter.staleHits += 1;
        if (events.stale.isObserved)
          events.stale.emit({
            ...this.keyEvent(call.key),
            tier: tier!,
            durationMs: clock.now() - call.startedAt,
            cause: cause!,
          });
        return;
      case "miss":
        meter.misses += 1;
        if (events.miss.isObserved)
          events.miss.emit({ ...this.keyEvent(call.key), durationMs: clock.now() - call.startedAt });
    }
  }

  keyEvent({ space, name }: EntryKey): { cache: string; namespace: readonly string[]; key: string } {
    return { cache: this.#context.name, namespace: space.path, key: name };
  }
}

export const hit = (entry: Entry, tier: string): Answer => ({ status: "hit", value: entry.value, entry, tier });
export const stale = (entry: Entry, tier: string, cause: "revalidating" | "error" | "timeout"): Answer => ({
  status: "stale",
  value: entry.value,
  entry,
  tier,
  cause,
});
