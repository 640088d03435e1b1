import { ONE_PART, type BackendParts } from "../coherence/parts.ts";
import type { BreakerPolicy, TagVersions } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError, CacheError, DecodeError, EncodeError } from "../contracts/errors.ts";
import type { TierState } from "../contracts/events.ts";
import type { EntryKey, KeySpace } from "../entry/key.ts";
import { Breaker } from "../primitives/breaker.ts";
import { isTraced, traced, type Events } from "../primitives/event-port.ts";
import { TierMeter } from "../primitives/meters.ts";
import { whenAnswered } from "../primitives/reply.ts";
import { promised, type Settlers } from "../primitives/settlers.ts";
import { Timeout } from "../primitives/timeouts.ts";

interface BackendCallsOf {
  readonly label: string;
  readonly deadlineMs: number;
  /** Whether every call settles within `deadlineMs` on its own. */
  readonly boundsCalls: boolean;
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  readonly breaker?: BreakerPolicy | undefined;
  readonly parts: BackendParts;
}

/**
 * The calls of one backend: deadline, circuit breaker, measurement, errors and state.
 *
 * Every call has one deadline: that of the backend, if it bounds its calls, else one that is kept here. An answer after
 * it is ignored. While the breaker is open a call costs no timer and no socket. A failure is reported once, here.
 *
 * Each part of the backend has a breaker: the failure of one keeps no call from the others.
 */
export class BackendCalls {
  declare readonly label: string;
  declare readonly deadlineMs: number;
  /** Whether each call has its deadline of the backend itself. */
  declare readonly boundsCalls: boolean;
  declare readonly meter: TierMeter;
  readonly #of: BackendCallsOf;
  readonly #parts: BackendParts;
  readonly #refusals = new Map<string, CacheError>();
  #used: (() => void) | undefined;
  #stopWatching: (() => void) | undefined;
  #isStopped = false;
  #state: TierState = "idle";
  /** The state while no call has succeeded. No event reports it: there the breaker, or an answer, decides. */
  #stateOfFailures: TierState = "idle";
  #isDetached = false;
  /** Whether the first attempt to attach is in progress, and takes no longer than usual. */
  #isAttaching = false;
  /** Whether no event has reported {@link #state}. */
  #isQuiet = false;
  /** Whether an attempt to attach that does not end was reported. */
  #isUnattached = false;
  /** {@link TierMeter.answered} when the attempt to attach was last looked at. */
  #answeredBefore = 0;
  #isBypassed = false;
  /** Whether a part may have failed since the last answer: until then an answer changes nothing. */
  #isTroubled = false;
  readonly #partsThrew = (error: unknown): void => void this.report("parts", undefined, error);

  constructor(of: BackendCallsOf) {
    this.label = of.label;
    this.deadlineMs = of.deadlineMs;
    this.boundsCalls = of.boundsCalls;
    // Where they are bounded here, connecting is part of the time of the first one.
    this.meter = new TierMeter(of.boundsCalls ? 0 : 1);
    this.#parts = of.parts;
    this.#of = of;
  }

  get state(): TierState {
    if (this.#isBypassed) return "bypassed";
    return this.#state === "idle" ? this.#stateOfFailures : this.#state;
  }

  /** How long until an open breaker lets a call probe the backend, in milliseconds; zero while a part answers. */
  get retryInMs(): number {
    if (this.#state !== "down") return 0;
    return Math.min(...Array.from(this.#parts.all(), ({ breaker }) => breaker?.probeInMs ?? Infinity));
  }

  /** The part that keeps this key of the backend. */
  partOf(key: string): string {
    return this.#parts.one === undefined ? this.#parts.nameOf(key, this.#partsThrew) : ONE_PART;
  }

  /** @param isRemoval as in {@link Target}. */
  targetOf({ space, backend }: EntryKey, isRemoval = false): Target {
    return { keySpace: space, part: this.#parts.one === undefined ? this.partOf(backend) : ONE_PART, isRemoval };
  }

  /**
   * The part of reads of versions. None of those that keep keys, where there are several: another node may answer for
   * the one that keeps the versions, such as a replica, so its breaker does not count, and such answers do not close
   * it.
   */
  get partOfVersionReads(): string {
    return this.#parts.one === undefined ? NO_PART : ONE_PART;
  }

  get isBypassed(): boolean {
    return this.#isBypassed;
  }

  /** While it is bypassed, the backend gets only the calls that end something: see {@link Target.isRemoval}. */
  bypass(isBypassed: boolean): void {
    if (isBypassed === this.#isBypassed) return;
    this.#isBypassed = isBypassed;
    this.#report();
  }

  /** Whether a call may be sent now; `true` of an open breaker is permission for this one call. */
  admits(operation: Operation, part: string, isRemoval = false): boolean {
    if (this.#isBypassed && !isRemoval) return false;
    return this.#parts.get(part)?.breaker?.admits(operation === "tags" ? "tags" : "entries") ?? true;
  }

  /** The error of a call that was not sent. One for all: a stack trace for each would cost more than the call. */
  refusal(operation: Operation, reason: string = this.#isBypassed ? BYPASSED : BREAKER_OPEN): CacheError {
    const message = `${this.label}: ${operation} skipped: ${reason}`;
    let error = this.#refusals.get(message);
    if (error === undefined) {
      error = new BackendUnavailableError(message, { tier: this.label, operation, maybeExecuted: false });
      this.#refusals.set(message, error);
    }
    return error;
  }

  /** Runs a call if the breaker of its part admits it. It ends later, in any async context where it failed. */
  send<T>(
    operation: Operation,
    target: Target,
    budgetMs: number,
    call: () => PromiseLike<T>,
    ends: CallSettlers<T>,
  ): void {
    if (this.opens(operation, target, ends)) this.watch(operation, target, budgetMs, call, ends);
  }

  /** Does what {@link send} does, and returns a promise. */
  run<T>(operation: Operation, target: Target, budgetMs: number, call: () => PromiseLike<T>): Promise<T> {
    return promised((ends) => this.send(operation, target, budgetMs, call, ends));
  }

  /** Whether the breaker admits a call that is to be {@link watch}ed. If not, the call is rejected later. */
  opens(operation: Operation, target: Target, ends: Pick<Settlers<never>, "reject">): boolean {
    const { part, isRemoval = false } = target;
    const isSound = !this.#isTroubled && !this.#isBypassed;
    const isAdmitted = isSound || this.admits(operation, part, isRemoval);
    if (isAdmitted) {
      if (this.#used !== undefined) this.begin();
    } else {
      const refusal = this.refusal(operation, isRemoval ? BREAKER_OPEN : undefined);
      queueMicrotask(() => ends.reject(refusal));
    }
    return isAdmitted;
  }

  /** A call that was admitted. */
  watch<T>(
    operation: Operation,
    target: Target,
    budgetMs: number,
    call: () => PromiseLike<T>,
    ends: CallSettlers<T>,
  ): void {
    if (ends.isWithin !== true && isTraced("backend")) {
      const receive = (answer: T): void => ends.receive?.(answer);
      const watched = (): Promise<T> =>
        promised((own) => this.watch(operation, target, budgetMs, call, { ...own, receive, isWithin: true }));
      const namespace = target.keySpace?.path ?? [];
      const context = { cache: this.#of.cache, namespace, tier: this.label, operation };
      return void traced("backend", watched, () => context).then(
        (answer) => ends.resolve(answer),
        (error: unknown) => ends.reject(error),
      );
    }
    const { clock } = this.#of;
    const sent = new SentCall(this, operation, target, clock.now(), ends);
    // One that the backend bounds needs no timer, unless by less than its own deadline.
    if (!this.boundsCalls || budgetMs < this.deadlineMs)
      sent.timeout = new Timeout(clock, budgetMs, () => sent.reject(this.#overdue(operation, budgetMs)));
    try {
      whenAnswered(call(), sent);
    } catch (error) {
      queueMicrotask(() => sent.reject(error));
    }
  }

  /** Counts a call that was answered. */
  succeeded(operation: Operation, { part }: Target, sentAt: number): void {
    this.meter.answered += 1;
    this.meter[METERS[operation]].record(this.#of.clock.now() - sentAt);
    if (this.#isTroubled || this.#state !== "up") this.answered(part);
  }

  /** Calls `used` once, before the first call. */
  onFirstCall(used: () => void): void {
    this.#used = used;
  }

  /** Runs before every call: the first one calls the function given to {@link onFirstCall}. */
  begin(): void {
    const used = this.#used;
    this.#used = undefined;
    used?.();
  }

  /** A part of the backend answered. */
  answered(part: string): void {
    this.#closeBreaker(part);
    this.#enter(this.#current());
    this.#isTroubled = !this.#isSound();
  }

  #closeBreaker(part: string): void {
    const known = this.#parts.get(part);
    if (known !== undefined) known.breaker = undefined;
  }

  /** Reports a failed call, and returns the error for its caller. */
  failed(operation: string, target: Target, given: unknown): CacheError {
    if (given instanceof FailureOf) return this.failed(operation, { ...target, part: given.part }, given.cause);
    const cause = ownError(given);
    const isTransport = cause instanceof BackendUnavailableError;
    if (isTransport && target.part !== NO_PART) this.#breakerOf(target.part).failed();
    else this.#closeBreaker(target.part);
    this.#stateOfFailures = isTransport ? "down" : "up";
    // An entry that the backend cannot write is reported where it was made.
    const error = cause instanceof EncodeError ? cause : this.report(operation, target.keySpace, cause);
    if (this.#reach() !== "all") this.#enter(this.#current());
    return error;
  }

  /** Reports the failure of a part of a call, whose other parts were answered; returns the error for its caller. */
  report(operation: string, keySpace: KeySpace | undefined, given: unknown): CacheError {
    this.meter.errors += 1;
    const cause = ownError(given);
    const error =
      cause instanceof CacheError
        ? cause
        : new BackendRefusedError(`${this.label}: ${operation} was refused; see cause`, {
            tier: this.label,
            operation,
            cause,
          });
    const { cache, events } = this.#of;
    // What closing cuts off has not failed.
    if (!this.#isStopped)
      events["backend:error"].emit({ cache, namespace: keySpace?.path ?? [], tier: this.label, operation, error });
    return error;
  }

  /** No change is reported until the subscription is attached: that is usual for a moment, and no event. */
  attaching(): void {
    this.#isAttaching = true;
  }

  /** The subscription to changes of this backend is attached. */
  attached(): void {
    this.#isDetached = false;
    this.#isAttaching = false;
    this.#isUnattached = false;
    this.answered(ONE_PART);
  }

  /** The attempt to attach does not end. Reported where calls are answered meanwhile: others that fail are reported. */
  unattached(): void {
    const { answered } = this.meter;
    const isAnswering = answered > this.#answeredBefore && this.#isSound();
    this.#answeredBefore = answered;
    if (!isAnswering || this.#isUnattached) return;
    this.#isUnattached = true;
    this.#isDetached = true;
    this.#isAttaching = false;
    const { label: tier } = this;
    const message =
      `${tier}: changes by other processes do not arrive, as no connection for them can be made, so each call asks the ` +
      "backend in place of a copy in memory; check how many connections the server and proxies allow";
    this.report(
      "attach",
      undefined,
      new BackendUnavailableError(message, { tier, operation: "attach", maybeExecuted: false }),
    );
    this.#enter(this.#current());
  }

  /** The subscription was lost, or could not be attached. */
  detached(error: unknown): void {
    this.#isDetached = true;
    this.#isAttaching = false;
    for (const part of this.#parts.all()) part.isLost = false;
    this.#notReporting(ONE_PART, error);
    if (this.#state === "up" || this.#isQuiet) this.#enter("detached");
  }

  /** Changes of this part are not reported. */
  partLost(part: string, error: unknown): void {
    this.#isTroubled = true;
    this.#parts.of(part).isLost = true;
    this.#notReporting(part, error);
    this.#enter(this.#current());
  }

  /** A part that cannot be reached is reported by the calls that fail; another reason, such as a refusal, here. */
  #notReporting(part: string, error: unknown): void {
    if (error !== undefined && !(ownError(error) instanceof BackendUnavailableError))
      this.failed("attach", { keySpace: undefined, part }, error);
  }

  /** A heartbeat that was sent at `sentAt` was answered: changes of this part are reported. */
  alive(part: string, sentAt: number): void {
    const known = this.#parts.of(part);
    const { isLost, breaker } = known;
    // While it is closed it counts: calls may fail one after the other although heartbeats are answered.
    const isAnswering = breaker?.isOpen === true && breaker.isDisprovedBy(sentAt, this.deadlineMs);
    known.isLost = false;
    if (isAnswering) known.breaker = undefined;
    if (isLost || isAnswering) this.#enter(this.#current());
  }

  /** Connections are not watched any more, and nothing is reported. */
  stop(): void {
    this.#isStopped = true;
    this.#stopWatching?.();
    this.#stopWatching = undefined;
  }

  #breakerOf(part: string): Breaker {
    if (!this.#isStopped)
      this.#stopWatching ??= this.#watch((connected) => {
        if (this.#parts.get(connected)?.breaker !== undefined) this.answered(connected);
      });
    this.#isTroubled = true;
    return (this.#parts.of(part).breaker ??= new Breaker(this.#of.clock, this.#of.breaker));
  }

  #watch(reconnected: (part: string) => void): (() => void) | undefined {
    try {
      return this.#of.breaker?.onReconnect?.(reconnected);
    } catch (error) {
      this.report("breaker", undefined, error);
      return undefined;
    }
  }

  #current(): TierState {
    const reach = this.#reach();
    return reach === "none"
      ? "down"
      : reach === "some"
        ? "degraded"
        : this.#isDetached || this.#isAttaching
          ? "detached"
          : "up";
  }

  /** Which parts can be reached, as far as is known. Parts that the backend does not have any more are forgotten. */
  #reach(): "all" | "some" | "none" {
    if (this.#isSound()) return "all";
    const names = this.#parts.names(this.#partsThrew);
    if (names.length === 0) return this.#parts.get(ONE_PART)?.breaker?.isOpen === true ? "none" : "all";
    this.#parts.keep(names);
    const parts = names.map((name) => this.#parts.get(name));
    if (parts.every((part) => part?.breaker?.isOpen === true)) return "none";
    return parts.some((part) => part?.isLost === true || part?.breaker?.isOpen === true) ? "some" : "all";
  }

  #isSound(): boolean {
    for (const { breaker, isLost } of this.#parts.all()) if (breaker !== undefined || isLost) return false;
    return true;
  }

  #overdue(operation: Operation, budgetMs: number): BackendUnavailableError {
    return new BackendUnavailableError(`${this.label}: no answer to ${operation} within ${Math.round(budgetMs)} ms`, {
      tier: this.label,
      operation,
    });
  }

  #enter(state: TierState): void {
    const isQuiet = state === "detached" && this.#isAttaching;
    if (this.#isStopped || (state === this.#state && isQuiet === this.#isQuiet)) return;
    this.#state = state;
    this.#isQuiet = isQuiet;
    if (!isQuiet && !this.#isBypassed) this.#report();
  }

  #report(): void {
    const { cache, events } = this.#of;
    events["backend:state"].emit({ cache, namespace: [], tier: this.label, state: this.state });
  }
}

/**
 * One call that was sent. It is ended once: by its answer, its failure or its deadline, whichever comes first.
 *
 *     sent ─ resolve ─▶ receive, then counted ─▶ ends.resolve
 *       ├── reject, or a deadline of ours ─▶ reported, breaker ─▶ ends.reject
 *       └── reject, with a value of a read that cannot be decoded ─▶ ends.reject, then counted
 *
 * An object with two methods, and no closures: each hit has one.
 */
class SentCall<T> implements Settlers<T> {
  timeout: Timeout | undefined;
  readonly #calls: BackendCalls;
  readonly #operation: Operation;
  readonly #target: Target;
  readonly #sentAt: number;
  readonly #ends: CallSettlers<T>;
  #isOver = false;

  constructor(calls: BackendCalls, operation: Operation, target: Target, sentAt: number, ends: CallSettlers<T>) {
    this.#calls = calls;
    this.#operation = operation;
    this.#target = target;
    this.#sentAt = sentAt;
    this.#ends = ends;
  }

  resolve(answer: T): void {
    if (!this.#end()) return;
    const ends = this.#ends;
    ends.receive?.(answer);
    this.#succeeded();
    if (this.timeout === undefined) return ends.resolve(answer);
    // Answers of the same turn are counted first: the caller may have waited behind them.
    queueMicrotask(() => ends.resolve(answer));
  }

  reject(given: unknown): void {
    if (!this.#end()) return;
    const ends = this.#ends;
    const error = given instanceof FailureOf ? given : ownError(given);
    // A backend that unpacks its own blobs: that is an answer, not a failure.
    if (this.#operation === "read" && error instanceof DecodeError) {
      ends.reject(error);
      return this.#succeeded();
    }
    const reported = this.#calls.failed(this.#operation, this.#target, error);
    if (this.timeout === undefined) ends.reject(reported);
    else queueMicrotask(() => ends.reject(reported));
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.timeout?.end();
    return (this.#isOver = true);
  }

  #succeeded(): void {
    this.#calls.succeeded(this.#operation, this.#target, this.#sentAt);
  }
}

/**
 * An error of another copy of this package, as one of this copy. A process has two where one is part of a bundle, or
 * where their versions differ; a backend may be built on the other.
 */
export function ownError(given: unknown): unknown {
  if (given instanceof CacheError || !(given instanceof Error)) return given;
  const { code, tier, operation, retryable = true, maybeExecuted = true } = given as Partial<BackendUnavailableError>;
  const details = { tier, operation, retryable, maybeExecuted, cause: given };
  if ((code as unknown) === "BACKEND_UNAVAILABLE") return new BackendUnavailableError(given.message, details);
  if ((code as unknown) === "ENCODE_FAILED") return new EncodeError(given.message, details);
  return (code as unknown) === "DECODE_FAILED" ? new DecodeError(given.message, details) : given;
}

/** The backend answered, and does not carry the call out: it has no memory left, say. So it is reachable. */
export class BackendRefusedError extends BackendUnavailableError {}
/** Has no breaker: a backend has no part of this name. */
const NO_PART = "\0";
const BREAKER_OPEN = "circuit breaker is open";
const BYPASSED = "it is bypassed";

/** The keys that a call is about, and the part of the backend that keeps them. */
export interface Target {
  readonly keySpace: KeySpace | undefined;
  readonly part: string;
  /** The call ends an entry, a tag version or a lease, for all processes: a bypassed backend gets it too. */
  readonly isRemoval?: boolean;
}

/** How a call ends. */
export interface CallSettlers<T> extends Settlers<T> {
  /** Called before `resolve`, and before the answer counts. */
  receive?(answer: T): void;
  /** Whether the call is within its trace. */
  readonly isWithin?: boolean;
}

/** The failure of another part than that of the call. */
export class FailureOf extends Error {
  declare readonly part: string;

  constructor(part: string, cause: unknown) {
    super("a part failed", { cause });
    this.part = part;
  }
}

/** Tag versions behind deadline and breaker, like every other call of the backend. */
export function boundedVersions(source: TagVersions, calls: BackendCalls): TagVersions {
  const call = <T>(part: string, run: () => Promise<T>, isRemoval = false): Promise<T> =>
    calls.run("tags", { keySpace: undefined, part, isRemoval }, calls.deadlineMs, run);
  const partOf = ([first = ""]: readonly string[]): string => calls.partOf(first);
  return {
    read: (tags) => call(calls.partOfVersionReads, () => source.read(tags)),
    pin: (tags) => call(partOf(tags), () => source.pin(tags)),
    unchangedSince: (at, tags) => call(partOf(tags), () => source.unchangedSince(at, tags)),
    renew: (tags, mode) => call(partOf(tags), () => source.renew(tags, mode), REMOVES),
  };
}

/** The value of {@link Target.isRemoval} for calls that remove or invalidate. */
export const REMOVES = true;
type Operation = keyof typeof METERS;
const METERS = {
  read: "read",
  write: "write",
  remove: "remove",
  markStale: "write",
  tags: "write",
  lease: "write",
} as const;
