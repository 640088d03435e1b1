import { LoadTimeoutError, OverloadedError } from "../contracts/errors.ts";
import { AbortListeners } from "../primitives/abort-listeners.ts";
import { holdProcess, inThisContext, keepRequest } from "../primitives/async-context.ts";
import { IN_WORKER } from "../primitives/platform.ts";
import { changedElsewhere } from "../tags/known-changes.ts";
import { type Answer, answerFor, type Answers, type Failure, loadedAnswer, type Offer } from "./answers.ts";
import type { GetOrSetCall } from "./call.ts";
import type { Copies, Life, Limits, Reporting } from "./context.ts";
import { type Ends, type Flight, newWaiter, type Role, type Waiter } from "./flight.ts";
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

  /** The caller that begins a flight. */
  wait(flight: Flight, call: GetOrSetCall, ends: Ends): void {
    this.#countIn();
    const isNested = isLoading(this.#context);
    if (isNested || isLimited(call, flight)) this.#joinCrowd(newWaiter(flight, inItsContext(call), ends, isNested));
    else flight.awaitAlone(ends);
  }

  /** A caller that joins one. @param again begins its wait again. @param isLate whether a tag event came first. */
  join(flight: Flight, call: GetOrSetCall, ends: Ends, again: (waiter: Waiter) => void, isLate: boolean): void {
    this.#countIn();
    const joins = { again: inThisContext(again), isLate };
    this.#joinCrowd(newWaiter(flight, inItsContext(call), ends, isLoading(this.#context), joins));
  }

  #joinCrowd(waiter: Waiter): void {
    const { clock } = this.#context;
    const { flight, call, cancels } = waiter;
    flight.crowd.add(waiter);
    if (IN_WORKER) cancels.push(keepRequest(clock, () => waiter.flight.climb.running?.endOverdue(clock.now())));
    const { hardTimeoutMs } = call.policy;
    if (hardTimeoutMs !== Infinity) cancels.push(clock.schedule(() => this.#outOfTime(waiter, "hard"), hardTimeoutMs));
    this.startSoftTimeout(waiter);
    const { signal } = call;
    if (signal !== undefined) cancels.push(this.#aborts.add(signal, () => this.#aborted(waiter, signal.reason)));
    if (waiter.isNested) flight.skipQueue();
  }

  #countIn(): void {
    if (this.count === 0) this.#release = holdProcess(this.#context.clock);
    this.count += 1;
  }

  #countOut(): void {
    this.count -= 1;
    if (this.count === 0) this.#release?.();
  }

  /** Ends the timers of a caller, and removes its listener of `signal`. Called once. */
  #endWait({ cancels }: Waiter): void {
    for (const cancel of cancels) cancel();
    this.#countOut();
  }

  /** Ends the wait of a caller that gets nothing; `false` if it had ended already. */
  #endWithNothing(waiter: Waiter, by: "signal" | "time"): boolean {
    const { crowd, climb } = waiter.flight;
    if (!crowd.leave(waiter, by, climb.running !== undefined)) return false;
    this.#endWait(waiter);
    return true;
  }

  /** Ends the wait of a caller that is answered; `false` if it had ended already. */
  #takeOne(waiter: Waiter): boolean {
    return this.#takeAll(waiter.flight, (each) => each === waiter).length !== 0;
  }

  /** Ends the wait of all callers of a flight, or of those that `takes` selects. */
  #takeAll(flight: Flight, takes?: (waiter: Waiter) => boolean): readonly Waiter[] {
    const taken = flight.crowd.take(takes);
    for (const waiter of taken) this.#endWait(waiter);
    return taken;
  }

  /** The wait of this caller continues with another flight, which it joins or has begun. */
  move(waiter: Waiter, flight: Flight, role: Role): void {
    waiter.flight = flight;
    waiter.role = role;
    waiter.isLate = false;
    flight.crowd.add(waiter);
    this.startSoftTimeout(waiter);
    if (waiter.isNested) flight.skipQueue();
  }

  /** The fallback is known only now. */
  startSoftTimeouts(flight: Flight): void {
    for (const waiter of flight.crowd.waiters) this.startSoftTimeout(waiter);
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
    const { loaded } = flight.climb;
    const found =
      loaded === undefined
        ? answerFor(this.fallbackOf(flight), call.policy, this.#context.clock.now(), "timeout")
        : loadedAnswer(loaded);
    const answer = found !== undefined && this.suits(waiter, found) ? found : undefined;
    if (answer === undefined && limit === "soft") {
      // This fallback is not for it. The flight that it moves to may have one that is.
      if (waiter.isLate) waiter.hasTimer = false;
      return;
    }
    if (!(answer === undefined ? this.#endWithNothing(waiter, "time") : this.#takeOne(waiter))) return;
    if (answer !== undefined) this.#answer(waiter, answer);
    else reject(this.#answers.failed(call, hardTimeoutError(call.policy.hardTimeoutMs)), call);
    this.#afterLeaving(flight, undefined);
  }

  #aborted(waiter: Waiter, reason: unknown): void {
    const { flight, call } = waiter;
    if (!this.#endWithNothing(waiter, "signal")) return;
    waiter.reject(this.#answers.failed(call, reason), call);
    this.#afterLeaving(flight, reason);
  }

  /** Ends the load of a flight whose last caller left. A value that was loaded already is stored. */
  #afterLeaving(flight: Flight, reason: unknown): void {
    const { flights } = this.#context;
    if (flight.crowd.isAbandoned && flight.climb.loaded === undefined && !flights.isWaitedFor(flight)) {
      this.abort(flight, reason);
      // Callers of another flight may have waited for its lease, or it was the last to wait for one.
      for (const each of flights.abandoned(flight.key.local)) if (!flights.isWaitedFor(each)) this.abort(each, reason);
    }
    // A load that a caller waits for needs the slot more.
    else if (flight.phase === "queued" && flight.crowd.isUnserved) this.end(flight);
    else this.#keepRuntimeFor(flight);
  }

  /** Keeps the runtime alive for a flight whose callers were all answered: its load still stores its result. */
  #keepRuntimeFor(flight: Flight): void {
    if (!flight.isAwaited && !flight.isOver && flight.crowd.outlive()) this.#context.waitUntil?.(flight.whenSettled());
  }

  // ---- their flight ends

  /** Ends a flight immediately; its callers reject with `reason`. */
  abort(flight: Flight, reason: unknown): void {
    this.end(flight);
    for (const { call, reject } of this.#takeAll(flight)) reject(this.#answers.failed(call, reason), call);
    flight.climb.running?.abort(reason);
  }

  end(flight: Flight): void {
    if (flight.isOver) return;
    const { flights } = this.#context;
    flights.remove(flight);
    flight.end();
    // Other flights of this process may wait for its lease.
    if (flight.climb.lease !== undefined) flights.wake(flight.key.local);
  }

  // ---- they are answered

  /**
   * Whether an answer of this flight is for this caller. A value that is not shared is for the first one. One that
   * joined after a tag event does not get what depends on a tag that had one.
   */
  suits({ flight, role, isLate }: Pick<Waiter, "flight" | "role" | "isLate">, { entry }: Answer): boolean {
    const { isForOne, running, isProven } = flight.climb;
    if (entry === undefined && isForOne && role !== "first") return false;
    if (!isLate) return true;
    const { tags } = this.#context;
    const { tagSequence, changedSince } = flight;
    if (entry !== undefined) return !tags.hadEvents(entry.terms.dependsOn, tagSequence, changedSince);
    if (running?.isUntold === true || tags.wasCalled(flight.dependsOn, tagSequence)) return false;
    return isProven || !tags.hadChanges(flight.key.space, changedSince);
  }

  /** Answers one caller that has left its flight. */
  answerMoved(waiter: Waiter, answer: Answer): void {
    this.#endWait(waiter);
    this.#answer(waiter, answer);
  }

  /** Answers all callers in the same way. The others begin again. */
  answerAll(flight: Flight, answer: Answer): void {
    const only = flight.takeOnlyCaller();
    if (only !== undefined) return this.#answerOnly(flight, only, answer);
    const waiters = flight.crowd.take();
    let others: Set<Waiter> | undefined;
    for (const waiter of waiters) if (!this.suits(waiter, answer)) (others ??= new Set()).add(waiter);
    // All are judged before the first is answered: its listener may come back.
    for (const waiter of waiters) if (others?.has(waiter) !== true) this.answerMoved(waiter, answer);
    for (const waiter of others ?? []) waiter.again!(waiter);
    this.#keepRuntimeFor(flight);
  }

  #answerOnly(flight: Flight, ends: Ends, answer: Answer): void {
    this.#countOut();
    this.#settle(flight.call, "first", ends, answer);
    this.#keepRuntimeFor(flight);
  }

  /** Answers the callers that `answerOf` has an answer for; the others wait on. */
  answerEach(flight: Flight, answerOf: (call: GetOrSetCall) => Answer | undefined): void {
    const answers = new Map<Waiter, Answer>();
    for (const waiter of flight.crowd.waiters) {
      const answer = answerOf(waiter.call);
      if (answer !== undefined && this.suits(waiter, answer)) answers.set(waiter, answer);
    }
    // All are taken before the first is answered: its listener may come back.
    for (const waiter of this.#takeAll(flight, (each) => answers.has(each))) this.#answer(waiter, answers.get(waiter)!);
    this.#keepRuntimeFor(flight);
  }

  /** Each caller gets the fallback if `staleIfError` covers the failure, or else the error as it is. */
  failAll(flight: Flight, failure: Failure): void {
    const now = this.#context.clock.now();
    const fallback = this.fallbackOf(flight);
    const { error } = failure;
    const situation = error instanceof LoadTimeoutError ? "timeout" : "error";
    for (const waiter of this.#takeAll(flight)) {
      const found = answerFor(fallback, waiter.call.policy, now, situation, failure);
      if (found !== undefined && this.suits(waiter, found)) this.#answer(waiter, { ...found, error });
      else waiter.reject(this.#answers.failed(waiter.call, error), waiter.call);
    }
  }

  /** Each caller gets the error as it is, uncounted: a step of the engine threw it. */
  rejectAll(flight: Flight, error: unknown): void {
    for (const { call, reject } of this.#takeAll(flight)) reject(error, call);
  }

  /** Answers one that does not wait any more. */
  #answer(waiter: Waiter, answer: Answer): void {
    this.#settle(waiter.call, waiter.role, waiter, answer);
  }

  #settle(call: GetOrSetCall, role: Role, { resolve, reject }: Ends, answer: Answer): void {
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

/** The work that answers a call may be that of another one. */
const inItsContext = (call: GetOrSetCall): GetOrSetCall =>
  call.onServed === undefined ? call : { ...call, onServed: inThisContext(call.onServed) };

/** Whether something other than its flight may end the wait of a caller, or needs its async context. */
function isLimited({ signal, onServed, policy }: GetOrSetCall, { fallback }: Flight): boolean {
  if (IN_WORKER || signal !== undefined || onServed !== undefined || policy.hardTimeoutMs !== Infinity) return true;
  return fallback !== undefined && policy.softTimeoutMs !== Infinity;
}

const hardTimeoutError = (hardTimeoutMs: number): LoadTimeoutError =>
  new LoadTimeoutError(`no value within hardTimeout, ${hardTimeoutMs} ms; a load that has begun continues`, {
    operation: "getOrSet",
  });
