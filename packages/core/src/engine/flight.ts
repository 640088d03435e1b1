import { Guard } from "../coherence/guards.ts";
import type { Epoch } from "../coherence/parts.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import type { CacheEvents, FencedBy, LoadReason } from "../contracts/events.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, NO_TAGS, type EntryKey } from "../entry/key.ts";
import { contextOfNow } from "../primitives/async-context.ts";
import { haveEqualItems } from "../primitives/equal-items.ts";
import { isDevelopment } from "../primitives/platform.ts";
import type { Semaphore } from "../primitives/semaphore.ts";
import type { Settlers } from "../primitives/settlers.ts";
import type { SharedSlot } from "../primitives/shared-slot.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import type { Pinned } from "../tags/tag-versions.ts";
import { BackendRefusedError } from "../tiers/backend-calls.ts";
import type { ReadRequest } from "../tiers/entry-tier.ts";
import type { FlightLease, FlightLoad, GetOrSetCall } from "./call.ts";
import type { LoadedValue } from "./used-values.ts";

/** The step that a flight is at. */
export type Phase = "reading" | "queued" | "leasing" | "waiting" | "loading" | "storing" | "over";

/** Whether the caller that begins a flight waits for it, or was served already and has it refreshed. */
export type Side = "foreground" | "background";

/** Whether a caller began its flight or joined it. */
export type Role = "first" | "joined";

/** How calls end: each by one of both, once. */
export type Ends = Settlers<unknown, GetOrSetCall>;

/** The flight of another caller that a call joined, for packages that serve a load while it runs. */
export interface Joined {
  /** The loader of that flight. Absent in a batch. */
  readonly load: GetOrSetCall["load"];
  /** Whether a tag event came first: the result may not be for this caller. */
  readonly isLate: boolean;
}

/** The steps of the ladder that a flight takes itself. */
interface OwnLadder {
  takeOff(read: EarlyRead): Flight;
}

/** A caller that waits for a flight. */
export interface Waiter extends Ends {
  readonly call: GetOrSetCall;
  role: Role;
  /** The flight that it waits for. */
  flight: Flight;
  /** Begins the wait of a caller again, in its own async context, if the result is not for callers that joined. */
  readonly again: ((waiter: Waiter) => void) | undefined;
  /** Whether it joined after a tag event: the result may be older than that. */
  isLate: boolean;
  /** Whether a running load of this cache made the call. */
  readonly isNested: boolean;
  /** Whether its soft timeout was started; again for a caller that moves, if it passed without an answer. */
  hasTimer: boolean;
  /** Called when its wait ends, for any reason. */
  readonly cancels: (() => void)[];
}

// Most calls get what their read finds, and need no flight.
/** The read of a call: a flight, as if from the beginning, once a caller joins or another read of its key begins. */
class OneRead extends Guard implements ReadRequest {
  declare readonly call: GetOrSetCall;
  declare readonly key: EntryKey;
  declare readonly expectedTags: readonly string[];
  /** Absent for a flight: its callers have theirs. */
  declare readonly ends: Ends | undefined;
  /** The tag event before the read. */
  declare tagSequence: number;
  /** The version of the entry in the backend when it was read; `''` for none. */
  declare seen: string;
  /** How long it may wait for the backend, in all its steps together. */
  declare leftMs: number;
  /** When the backend was asked, by the time of calls, and how many it had answered by then. */
  declare sentAt: number;
  declare answeredBefore: number;
  declare readonly context: ReturnType<typeof contextOfNow>;
  declare protected readonly ladder: OwnLadder | undefined;
  /** Absent while it is none. */
  declare flight: Flight | undefined;

  constructor(call: GetOrSetCall, tagSequence: number, ladder: OwnLadder | undefined, ends?: Ends) {
    super();
    const { remote } = call.namespace;
    this.call = call;
    this.key = call.key;
    this.expectedTags = call.tags;
    this.ends = ends;
    this.flight = undefined;
    this.seen = "";
    this.tagSequence = tagSequence;
    this.leftMs = remote?.deadlineMs ?? 0;
    this.sentAt = call.startedAt - (remote?.reads.time.lostMs ?? 0);
    this.answeredBefore = remote?.meter.answered ?? 0;
    this.context = call.batch?.context ?? contextOfNow();
    this.ladder = ladder;
  }

  get schema(): StandardSchema<unknown> | undefined {
    return this.call.namespace.schema;
  }

  /** The flight that it is from now on, in the async context of its call. */
  toFlight(): Flight {
    return (this.flight ??= this.context.runInAsyncScope(this.ladder!.takeOff, this.ladder, this));
  }

  saw(version: string): void {
    this.seen = version;
  }

  /** A call is sent. */
  send(now: number): void {
    const { meter, reads } = this.call.namespace.remote!;
    this.sentAt = Math.min(now, reads.time.firesAt) - reads.time.lostMs;
    this.answeredBefore = meter.answered;
  }
}

/**
 * Everything in progress for one key, from the read to the store; its callers share it. It has the first caller's
 * policy and every caller's tags.
 *
 *     reading ──read, or nothing to read──▶ queued ──slot──▶ leasing ──granted, or none──▶ loading ──▶ storing
 *        ▲                                     ▲             │     │
 *        │                                     └─stored since┘     │ held elsewhere
 *        └─────────────── woken ────────────── waiting ◀───────────┘
 *
 *     every phase ──answered, failed, aborted──▶ over
 *
 * - reading: the backend is asked, after pending invalidations of the key
 * - queued: for one of `maxLoads` slots; passed immediately if one is free. From here on the best entry is known
 * - leasing: the lease and the tag versions are asked for
 * - waiting: for the load of another process
 * - loading: the loader was called
 * - storing: the value is known; it is being stored
 *
 * A finished flight stays finished. Any other step out of order is a bug of the engine: it changes no phase, and throws
 * outside production. Its fields are read by all, and assigned by its own methods alone: see the type {@link Flight}.
 */
class OneFlight extends OneRead {
  declare readonly isCurrent: boolean;
  /** Whether it takes no lease, and its value is for its callers alone. */
  storesNothing = false;
  /** Whether that is because it began while the cache was closing: `close` doesn't abort it. */
  isOfClosing = false;
  /** Tag events of other processes after this one may concern what it finds. Never, where no other can change it. */
  declare readonly changedSince: number;
  phase: Phase = "reading";
  isOver = false;
  /** Why it loads, as the loader and events report it. */
  declare reason: LoadReason;
  /** When the backend was asked last. */
  declare readAt: number;
  /** Tag events of other processes up to this number do not concern this flight's tags. */
  declare heardSequence: number;
  /** Whether the backend did not answer: the rest of the flight does without it. */
  isUnreachable = false;
  /** Whether it loads next to others, without the lease: what they get is for each of them alone, or was until now. */
  isUnleased = false;
  /** Whether its value is for the caller that began it, and for no other. */
  isForOne = false;
  /** Whether none of the tags of its loaded value was renewed since versions were pinned, as the backend said. */
  isProven = false;
  /** Whether something happened to its key since it asked for the lease. */
  isWoken = false;
  /** The best entry found so far, and the label of the tier that had it. */
  fallback: Entry | undefined;
  fallbackTier = "";
  /** Whether the fallback is, or was, a copy of this process from before the flight began. */
  hasCopy = false;
  lease: FlightLease | undefined;
  /** The tag versions from before its load. */
  pinned: Pinned | undefined;
  running: FlightLoad | undefined;
  /** The loaded value, from the moment it is known. */
  loaded: LoadedValue | undefined;
  /** The report of its load, for listeners, and whether its value is one for all callers, that may be stored. */
  report: { readonly event: Omit<CacheEvents["load"], "result"> | undefined; readonly isForAll: boolean } | undefined;
  /** The tags of all callers that ever came. */
  declare tags: readonly string[];
  waiters: readonly Waiter[] = NO_WAITERS;
  /** Whether a caller waits for it; otherwise it is in the background. */
  isAwaited = false;
  /** Whether a running load is one of its callers. */
  isNested = false;
  #isJoinable = true;
  /** A change was reported during the load; it may be our own renewal of the lease. */
  #isDoubted = false;
  #awaitsOwnChange = false;
  #dependsOn: readonly string[] | undefined;
  #foundTags: readonly string[] = NO_TAGS;
  /** How many callers came and did not leave by their signal; and how many did not leave with nothing. */
  #faithful: number;
  #served: number;
  #isOutlived = false;
  #turn: SharedSlot | undefined;
  #wake: (() => void) | undefined;
  /** Since when it has waited for loads of other processes. */
  waitsSince: number | undefined;
  #settled: PromiseWithResolvers<void> | undefined;

  /** @param ladder of which it takes the steps. */
  constructor(call: GetOrSetCall, tagSequence: number, reason: LoadReason, side: Side, ladder?: OwnLadder) {
    super(call, tagSequence, ladder);
    this.flight = this;
    this.isCurrent = call.isCurrent;
    this.tags = call.tags;
    this.reason = reason;
    this.readAt = call.startedAt;
    // Other processes cannot change a value that never leaves this one.
    this.heardSequence = this.changedSince = call.namespace.remote === undefined ? Infinity : tagSequence;
    // A caller that was served already did not abandon it.
    this.#faithful = this.#served = side === "background" ? 1 : 0;
  }

  /** Takes over the state of the early read that this flight replaces. */
  follow({ serial, epoch, sentAt, answeredBefore, fencedBy, isTainted }: EarlyRead): void {
    Object.assign(this, { serial, epoch, sentAt, answeredBefore });
    if (isTainted) this.taint();
    if (fencedBy !== undefined) this.fence(fencedBy);
  }

  // ---- phases

  /** Whether its loader was called: its value may be older than what is stored from then on. */
  get hasBegunToLoad(): boolean {
    return this.phase === "loading" || this.phase === "storing";
  }

  #to(phase: Phase): void {
    if (NEXT[this.phase].includes(phase)) this.phase = phase;
    else if (this.phase !== "over" && isDevelopment())
      throw new Error(`a flight that is ${this.phase} cannot be ${phase}`);
  }

  closes(): void {
    this.storesNothing = true;
    this.isOfClosing = true;
  }

  keepsNothing(): void {
    this.storesNothing = true;
  }

  /** Why it loads is known only now. */
  loadsAs(reason: LoadReason): void {
    this.reason = reason;
  }

  /** The read is done, or there is nothing to read: it waits for a slot. */
  queue(): void {
    this.#to("queued");
  }

  /** Records that the flight waits for this slot. */
  queuesFor(turn: SharedSlot): void {
    this.#turn = turn;
  }

  /** A running load waits for this one, and holds a slot: this one, and the batch it belongs to, take none. */
  skipQueue(): void {
    (this.call.batch?.loads ?? this.#turn)?.exempt();
  }

  /** Enters the phase that asks for the lease, or does without one. A wake counts from here. */
  requestLease(lease: FlightLease | undefined): void {
    this.#to("leasing");
    this.lease = lease;
    if (lease !== undefined) this.isWoken = false;
  }

  /** Records a lease that is asked for after the load, together with the store of its value. */
  requestLate(lease: FlightLease): void {
    this.lease = lease;
  }

  /** The lease was not granted. */
  dropLease(): void {
    this.lease?.end();
    this.lease = undefined;
  }

  /** The tag versions under which its value will be stored. */
  pin(pinned: Pinned | undefined): void {
    this.pinned = pinned;
    if (pinned !== undefined) this.lease?.pinned(pinned);
  }

  /** Another process loads. Returns when the flight began to wait for such loads. */
  waitElsewhere(now: number): number {
    this.#to("waiting");
    // The time of the backend is not spent by waiting for another process.
    this.leftMs = this.call.namespace.remote!.deadlineMs;
    return (this.waitsSince ??= now);
  }

  /** Asks the backend again, as if it began now. Its callers keep waiting, and no caller joins. */
  restart(epoch: Epoch, tagSequence: number, now: number): void {
    this.#to("reading");
    this.beginAnew();
    this.resend(epoch);
    this.tagSequence = tagSequence;
    this.readAt = now;
    this.send(now);
  }

  /** The loader is called. */
  runs(load: FlightLoad): void {
    this.#to("loading");
    this.running = load;
  }

  /** The loader gave `value`, which is stored next. @param isForOne no other caller joins, or gets anything of it. */
  store(value: unknown, report?: OneFlight["report"], isForOne = false): void {
    this.#to("storing");
    this.loaded = { value };
    this.report = report;
    this.isForOne = isForOne;
    if (isForOne) this.#isJoinable = false;
  }

  /** Sets the entry that is stored; callers get its value. */
  makes(entry: Entry): void {
    this.loaded = { value: entry.value, made: entry, tags: entry.terms.tags };
  }

  /** Nothing of it is in progress any more. */
  end(): void {
    this.#to("over");
    this.isOver = true;
    this.#settled?.resolve();
    this.call.batch?.ended(this);
  }

  /** Resolves when nothing of this flight is in progress any more. Never rejects. */
  whenSettled(): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return (this.#settled ??= Promise.withResolvers<void>()).promise;
  }

  // ---- the backend

  /** Takes the duration of an answered backend call off the budget, unless the call waited behind others. */
  spend(now: number): void {
    const { firesAt, lostMs } = this.call.namespace.remote!.reads.time;
    if (!this.isBehind) this.leftMs -= Math.min(now, firesAt) - lostMs - this.sentAt;
  }

  /**
   * Whether the time of a call says nothing about the backend. Each call still has its own deadline.
   *
   * - The backend has answered many calls since: it is not slow, but this process is behind with its answers.
   * - It had answered none before: this process was still connecting.
   */
  get isBehind(): boolean {
    return this.answeredBefore === 0 || this.call.namespace.remote!.meter.answered - this.answeredBefore > MANY;
  }

  /** The backend does not answer: the rest of the flight does without it. */
  giveUpBackend(): void {
    this.isUnreachable = true;
  }

  /** A refusal (no memory, no permission) proves that the backend is reachable: reads, and messages, continue. */
  unreached(error: Error): undefined {
    this.isUnreachable ||= error instanceof BackendUnavailableError && !(error instanceof BackendRefusedError);
  }

  /** A step in the async context of its first call: one that a timer, a failure, or the work of others, leads to. */
  runInContext(body: () => void): void {
    this.context.runInAsyncScope(body);
  }

  // ---- what happens to its key meanwhile

  /** Whether callers may join. A fence, a taint or a forced call ends that; so do tag events: `hasEvents`. */
  get isJoinable(): boolean {
    return this.#isJoinable && !this.#isDoubted;
  }

  /** A later flight takes the callers from here on. */
  supersede(): void {
    this.#isJoinable = false;
  }

  /** Loads without a lease, next to others. @param isJoinable whether callers share it none the less. */
  skipLease(isJoinable: boolean): void {
    this.isUnleased = true;
    this.#isJoinable &&= isJoinable;
  }

  override fence(by: FencedBy): void {
    super.fence(by);
    this.#isJoinable = false;
  }

  override taint(): void {
    super.taint();
    if (this.phase === "loading" && this.lease !== undefined) this.#isDoubted = true;
    // A change reported before the load starts (our own placeholder, say) can't make the result stale.
    else if (this.phase !== "leasing" || this.fallback !== undefined) this.#isJoinable = false;
    this.wake();
  }

  /** Records that the store is sent. The change that it makes is reported before the end of its lease. */
  sendStore(epoch: Epoch): void {
    this.resend(epoch);
    this.#awaitsOwnChange = this.lease !== undefined;
  }

  /**
   * The lease changed. After a store, the first `exact` report is our own lease ending: changes reported up to it are
   * our own, or older. A renewal that is known for one changed nothing: callers join again.
   */
  leaseChanged(order: "loose" | "exact" | "renewed"): void {
    if (order === "renewed") this.#isDoubted = false;
    if (order === "exact" && this.#awaitsOwnChange) {
      super.resend(this.epoch!);
      this.#awaitsOwnChange = false;
    }
    this.wake();
  }

  /** Callers that come later do not share what was missed before. */
  override resend(epoch: Epoch): void {
    if (epoch !== this.epoch) this.#isJoinable = false;
    super.resend(epoch);
  }

  /** The tag versions that its result depends on, as far as its tags are known. */
  get dependsOn(): readonly string[] {
    const tags = this.#foundTags;
    return this.#dependsOn ?? dependencies(this.key.space, tags.length === 0 ? this.tags : [...this.tags, ...tags]);
  }

  /** Sets the tags of the loaded value, which are known once its loader has ended. */
  dependOn(keys: readonly string[], tags: readonly string[]): void {
    this.#dependsOn = keys;
    this.loaded!.tags = tags;
    this.prove(this.pinned?.versions);
  }

  /** Notes versions that had not changed since they were pinned. */
  prove(known: { has(key: string): boolean } | undefined): void {
    this.isProven = known !== undefined && this.dependsOn.every((each) => known.has(each));
  }

  /** Marks tag events of other processes as harmless, unless one hit a tag that was not `compared`. */
  hear(tags: TagEvents, compared: { has(key: string): boolean }): void {
    const others = this.dependsOn.filter((each) => !compared.has(each));
    if (!tags.hadEvents(others, this.tagSequence, this.heardSequence)) this.heardSequence = tags.sequence;
  }

  /** Something happened to its key: ends the wait for another process. */
  wake(): void {
    this.isWoken = true;
    this.#wake?.();
  }

  /** Resolves with the next wake, when the flight ends, or after `limitMs`. */
  nextWake(clock: Clock, limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => {
      cancel();
      this.#wake = undefined;
      resolve();
    };
    const cancel = clock.schedule(end, limitMs);
    this.#wake = end;
    void this.whenSettled().then(end);
    return promise;
  }

  // ---- what may be served instead of a load

  /** @param from whether `entry` is a copy of this process, or was read from the backend by this flight. */
  fallBackOn(entry: Entry | undefined, tier: string, from: "copy" | "read"): void {
    this.fallback = entry;
    this.fallbackTier = tier;
    this.hasCopy = from === "copy";
    // Kept without the entry: their versions are pinned for the load.
    if (entry !== undefined) this.#foundTags = entry.terms.tags;
  }

  /** The entry was removed meanwhile. */
  dropFallback(): void {
    this.fallback = undefined;
  }

  // ---- its callers

  /** Whether every caller that ever waited was aborted by its signal. */
  get isAbandoned(): boolean {
    return this.#faithful <= 0;
  }

  /** Whether each of them left, by its signal or its time, before it got anything and before the load began. */
  get isUnserved(): boolean {
    return this.#served <= 0;
  }

  /** The flight continues without callers. `true` the first time. */
  outlive(): boolean {
    const isFirst = !this.#isOutlived;
    this.#isOutlived = true;
    return isFirst;
  }

  addTags(more: readonly string[]): void {
    // Nearly always they are the same. By a set, since a list may be long, and each caller that joins comes here.
    if (more.length === 0 || haveEqualItems(this.tags, more)) return;
    const known = new Set(this.tags);
    if (more.some((tag) => !known.has(tag))) this.tags = [...new Set([...known, ...more])];
  }

  add(waiter: Waiter): void {
    // Nearly every flight has one: an array that grows would have room for 17.
    if (this.waiters.length === 0) this.waiters = [waiter];
    else (this.waiters as Waiter[]).push(waiter);
    this.isAwaited = true;
    this.isNested ||= waiter.isNested;
    this.#faithful += 1;
    this.#served += 1;
  }

  /** Ends the wait of one caller; `false` when it had ended already. */
  take(waiter: Waiter): boolean {
    return this.takeAll((each) => each === waiter).length !== 0;
  }

  /** Removes a waiter like {@link take}; its caller leaves without an answer. */
  leave(waiter: Waiter, by: "signal" | "time"): boolean {
    if (!this.take(waiter)) return false;
    if (by === "signal") this.#faithful -= 1;
    if (by === "signal" || this.running === undefined) this.#served -= 1;
    return true;
  }

  /** The callers that another flight takes over: they keep waiting. @param takes selects them. @default all */
  handOver(takes?: (waiter: Waiter) => boolean): readonly Waiter[] {
    const all = this.waiters;
    const taken = takes === undefined ? all : all.filter(takes);
    this.waiters = taken.length === all.length ? NO_WAITERS : all.filter((each) => !takes!(each));
    this.isAwaited = this.waiters.length !== 0;
    this.isNested &&= this.waiters.some(({ isNested }) => isNested);
    return taken;
  }

  /** Ends the wait of all callers, or of those that `takes` selects. */
  takeAll(takes?: (waiter: Waiter) => boolean): readonly Waiter[] {
    const taken = this.handOver(takes);
    for (const waiter of taken) endWait(waiter);
    return taken;
  }
}

/** A read, and a flight, as the engine sees them: no other file assigns a field of them. */
export type EarlyRead = Readonly<OneRead>;
export const EarlyRead: new (...values: ConstructorParameters<typeof OneRead>) => EarlyRead = OneRead;
export type Flight = Readonly<OneFlight>;
export const Flight: new (...values: ConstructorParameters<typeof OneFlight>) => Flight = OneFlight;

/** How many loads may run. */
export type Slot = Semaphore | SharedSlot;

/** Ends the timers of a caller, and removes its listener of `signal`. Called once. */
export function endWait({ cancels }: Waiter): void {
  for (const cancel of cancels) cancel();
}

/** The call of this process that keeps the result of a flight from being stored, under these tag versions. */
export function fencedBy(tags: TagEvents, flight: Flight, dependsOn: readonly string[]): FencedBy | undefined {
  if (flight.fencedBy !== undefined) return flight.fencedBy;
  if (flight.tagSequence === tags.sequence || !tags.wasCalled(dependsOn, flight.tagSequence)) return undefined;
  return tags.wasInvalidated(flight.key.space.tagPrefixes, flight.tagSequence) ? "clear" : "tags";
}

/** Never changed: the first caller begins a new array. */
const NO_WAITERS: never[] = [];

/** So many calls take a few milliseconds, where there is time for them. */
const MANY = 100;
/** The phases that may follow each phase. */
const NEXT: Readonly<Record<Phase, readonly Phase[]>> = {
  // Again: a pending invalidation was sent first.
  reading: ["reading", "queued", "over"],
  queued: ["leasing", "over"],
  leasing: ["queued", "waiting", "loading", "over"],
  waiting: ["reading", "over"],
  loading: ["storing", "over"],
  storing: ["over"],
  over: [],
};
