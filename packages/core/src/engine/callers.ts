import { LoadTimeoutError, OverloadedError } from "../contracts/errors.ts";
import { AbortListeners } from "../primitives/abort-listeners.ts";
import { holdProcess, inThisContext, keepRequest } from "../primitives/async-context.ts";
import { IN_WORKER } from "../primitives/platform.ts";
import { changedElsewhere } from "../tags/known-changes.ts";
import { type Answer, answerFor, type Answers, type Failure, loadedAnswer, type Offer } from "./answers.ts";
import type { GetOrSetCall } from "./call.ts";
import type { Copies, Life, Limits, Reporting } from "./context.ts";
import { type Ends, endWait, type Flight, type Role, type Waiter } from "./flight.ts";
import { isLoading } from "./loading.ts";

type WaitingContext = Reporting &
  Pick<Copies, "flights" | "tags"> &
  Pick<Limits, "maxWaiting"> &
  Pick<Life, "waitUntil">;

/**
 * Callers waiting for flights. Each ends exactly once, is counted once, and keeps its own timeouts. While there are
 * any, the process is kept alive: a store without a socket would let it end.
 *
 * Each caller leaves on its own: its signal aborts, or its time is up. The load is aborted only when every caller left
 * by its signal, and no other flight waits for its lease. A load whose callers ran out of time continues, and its
 * result is stored; one that is still queued does not: under overload, slots go to loads that a caller waits for.
 */
export class Callers {
  readonly #context: WaitingContext;
  readonly #answers: Answers;
  readonly #overloaded: OverloadedError;
  readonly #aborts = new AbortListeners();
  readonly leaves = (): void => {
    this.count -= 1;
    if (this.count === 0) this.#release?.();
  };
  /** How many wait. */
  count = 0;
  #release: (() => void) | undefined;

  constructor(context: WaitingContext, answers: Answers) {
    this.#context = context;
    this.#answers = answers;
    this.#overloaded = new OverloadedError(
      `maxWaiting: ${context.maxWaiting} calls of the cache ${JSON.stringify(context.name)} wait already; ` +
        "is its source or backend stuck?",
      { operation: "getOrSet" },
    );
  }

  // ---- they come, and leave

  /** Whether `call` must not wait. A call inside a load may: others wait for that load. */
  refuses({ batch }: GetOrSetCall): boolean {
    const isFull = this.count >= this.#context.maxWaiting && !isLoading(this.#context);
    return batch === undefined ? isFull : !(batch.isAdmitted ??= !isFull);
  }

  /** The answer to a call that must not wait: the copy that `staleIfError` covers, or else an error. */
  refuse(call: GetOrSetCall, copy: Offer, ends: Ends): void {
    call.namespace.meters.of(call.key.name).overloaded += 1;
    const error = this.#overloaded;
    const answer = answerFor(copy, call.policy, call.startedAt, "error", { error });
    if (answer === undefined) ends.reject(this.#answers.failed(call, error), call);
    else ends.resolve(this.#answers.serve(call, "first", { ...answer, error }), call);
  }

  comes(): void {
    if (this.count === 0) this.#release = holdProcess(this.#context.clock);
    this.count += 1;
  }

  /** @param again begins its wait again, for a caller that joins. */
  wait(
    flight: Flight,
    given: GetOrSetCall,
    { resolve, reject }: Ends,
    again?: (waiter: Waiter) => void,
    isLate = false,
  ): void {
    const { clock } = this.#context;
    // The work that answers it may be that of another call.
    const call = given.onServed === undefined ? given : { ...given, onServed: inThisContext(given.onServed) };
    const role: Role = again === undefined ? "first" : "joined";
    const isNested = isLoading(this.#context);
    const cancels = [this.leaves];
    const bound = again && inThisContext(again);
    const waiter = { call, role, flight, again: bound, isLate, isNested, hasTimer: false, cancels, resolve, reject };
    if (this.count === 0) this.#release = holdProcess(clock);
    this.count += 1;
    flight.add(waiter);
    if (IN_WORKER) cancels.push(keepRequest(clock, () => waiter.flight.running?.endOverdue(clock.now())));
    const { hardTimeoutMs } = call.policy;
    if (hardTimeoutMs !== Infinity) cancels.push(clock.schedule(() => this.#outOfTime(waiter, "hard"), hardTimeoutMs));
    this.startSoftTimeout(waiter);
    const { signal } = call;
    if (signal !== undefined) cancels.push(this.#aborts.add(signal, () => this.#leave(waiter, signal.reason)));
    if (isNested) flight.skipQueue();
  }

  /** The wait of this caller continues with another flight, which it joins or has begun. */
  move(waiter: Waiter, flight: Flight, role: Role): void {
    waiter.flight = flight;
    waiter.role = role;
    waiter.isLate = false;
    flight.add(waiter);
    this.startSoftTimeout(waiter);
    if (waiter.isNested) flight.skipQueue();
  }

  /** The fallback is known only now. */
  startSoftTimeouts(flight: Flight): void {
    for (const waiter of flight.waiters) this.startSoftTimeout(waiter);
  }

  /** The soft timeout counts from the call, and applies only if there is a fallback to serve. */
  startSoftTimeout(waiter: Waiter): void {
    const { softTimeoutMs } = waiter.call.policy;
    if (softTimeoutMs === Infinity || waiter.flight.fallback === undefined || waiter.hasTimer) return;
    const { clock } = this.#context;
    const leftMs = waiter.call.startedAt + softTimeoutMs - clock.now();
    waiter.hasTimer = true;
    waiter.cancels.push(clock.schedule(() => this.#outOfTime(waiter, "soft"), Math.max(0, leftMs)));
  }

  #outOfTime(waiter: Waiter, limit: "soft" | "hard"): void {
    const { call, flight, reject } = waiter;
    const found =
      flight.loaded === undefined
        ? answerFor(this.fallbackOf(flight), call.policy, this.#context.clock.now(), "timeout")
        : loadedAnswer(flight.loaded);
    const answer = found !== undefined && this.suits(waiter, found) ? found : undefined;
    if (answer === undefined && limit === "soft") {
      // This fallback is not for it. The flight that it moves to may have one that is.
      if (waiter.isLate) waiter.hasTimer = false;
      return;
    }
    if (!(answer === undefined ? flight.leave(waiter, "time") : flight.take(waiter))) return;
    if (answer !== undefined) this.answer(waiter, answer);
    else reject(this.#answers.failed(call, hardTimeoutError(call.policy.hardTimeoutMs)), call);
    this.#left(flight, undefined);
  }

  #leave(waiter: Waiter, reason: unknown): void {
    const { flight, call } = waiter;
    if (!flight.leave(waiter, "signal")) return;
    waiter.reject(this.#answers.failed(call, reason), call);
    this.#left(flight, reason);
  }

  /** Ends the load of a flight whose last caller left. A value that was loaded already is stored. */
  #left(flight: Flight, reason: unknown): void {
    const { flights } = this.#context;
    if (flight.isAbandoned && flight.loaded === undefined && !flights.isWaitedFor(flight)) {
      this.abort(flight, reason);
      // Callers of another flight may have waited for its lease, or it was the last to wait for one.
      for (const each of flights.abandoned(flight.key.local)) if (!flights.isWaitedFor(each)) this.abort(each, reason);
    }
    // A load that a caller waits for needs the slot more.
    else if (flight.phase === "queued" && flight.isUnserved) this.end(flight);
    else this.#goesOn(flight);
  }

  /** Keeps the runtime alive for a flight whose callers were all answered: its load still stores its result. */
  #goesOn(flight: Flight): void {
    if (!flight.isAwaited && !flight.isOver && flight.outlive()) this.#context.waitUntil?.(flight.whenSettled());
  }

  // ---- their flight ends

  /** Ends a flight immediately; its callers reject with `reason`. */
  abort(flight: Flight, reason: unknown): void {
    this.end(flight);
    for (const { call, reject } of flight.takeAll()) reject(this.#answers.failed(call, reason), call);
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

  // ---- they are answered

  /**
   * Whether an answer of this flight is for this caller. A value that is not shared is for the first one. One that
   * joined after a tag event does not get what depends on a tag that had one.
   */
  suits({ flight, role, isLate }: Pick<Waiter, "flight" | "role" | "isLate">, { entry }: Answer): boolean {
    if (entry === undefined && flight.isForOne && role !== "first") return false;
    if (!isLate) return true;
    const { tags } = this.#context;
    const { tagSequence, changedSince } = flight;
    if (entry !== undefined) return !tags.hadEvents(entry.terms.dependsOn, tagSequence, changedSince);
    if (flight.running?.isUntold === true || tags.wasCalled(flight.dependsOn, tagSequence)) return false;
    return flight.isProven || !tags.hadChanges(flight.key.space, changedSince);
  }

  /** Answers one caller that has left its flight. */
  answerMoved(waiter: Waiter, answer: Answer): void {
    endWait(waiter);
    this.answer(waiter, answer);
  }

  /** Answers all callers in the same way. The others begin again. */
  answerAll(flight: Flight, answer: Answer): void {
    const waiters = flight.handOver();
    let others: Set<Waiter> | undefined;
    for (const waiter of waiters) if (!this.suits(waiter, answer)) (others ??= new Set()).add(waiter);
    // All are judged before the first is answered: its listener may come back.
    for (const waiter of waiters) if (others?.has(waiter) !== true) this.answerMoved(waiter, answer);
    for (const waiter of others ?? []) waiter.again!(waiter);
    this.#goesOn(flight);
  }

  /** Answers the callers that `answerOf` has an answer for; the others wait on. */
  answerEach(flight: Flight, answerOf: (call: GetOrSetCall) => Answer | undefined): void {
    const answers = new Map<Waiter, Answer>();
    for (const waiter of flight.waiters) {
      const answer = answerOf(waiter.call);
      if (answer !== undefined && this.suits(waiter, answer)) answers.set(waiter, answer);
    }
    // All are taken before the first is answered: its listener may come back.
    for (const waiter of flight.takeAll((each) => answers.has(each))) this.answer(waiter, answers.get(waiter)!);
    this.#goesOn(flight);
  }

  /** Each caller gets the fallback if `staleIfError` covers the failure, or else the error as it is. */
  failAll(flight: Flight, failure: Failure): void {
    const now = this.#context.clock.now();
    const fallback = this.fallbackOf(flight);
    const { error } = failure;
    const situation = error instanceof LoadTimeoutError ? "timeout" : "error";
    for (const waiter of flight.takeAll()) {
      const found = answerFor(fallback, waiter.call.policy, now, situation, failure);
      if (found !== undefined && this.suits(waiter, found)) this.answer(waiter, { ...found, error });
      else waiter.reject(this.#answers.failed(waiter.call, error), waiter.call);
    }
  }

  /** Answers one that does not wait any more. */
  answer({ call, role, resolve, reject }: Pick<Waiter, "call" | "role" | keyof Ends>, answer: Answer): void {
    try {
      resolve(this.#answers.serve(call, role, answer), call);
    } catch (error) {
      reject(error, call);
    }
  }

  /** The fallback, without an entry that expired, or was deleted or invalidated since, here or elsewhere. */
  fallbackOf(flight: Flight): Offer {
    const { fallback, fallbackTier: tier, tagSequence } = flight;
    const { clock, tags } = this.#context;
    const isGone =
      fallback === undefined ||
      clock.now() >= fallback.deadAt ||
      (flight.fencedBy !== undefined && flight.fencedBy !== "stale") ||
      tags.applyTo({ ...fallback, tagSequence }, clock.now()) === undefined ||
      changedElsewhere(fallback, { tags, table: flight.call.namespace.remote?.knownVersions }) === "gone";
    return { entry: isGone ? undefined : fallback, tier };
  }
}

const hardTimeoutError = (hardTimeoutMs: number): LoadTimeoutError =>
  new LoadTimeoutError(`no value within hardTimeout, ${hardTimeoutMs} ms; a load that has begun continues`, {
    operation: "getOrSet",
  });
