import type { Awaitable } from "../contracts/awaitable.ts";
import type { CacheEvents } from "../contracts/events.ts";
import type { Entry } from "../entry/entry.ts";
import { redacted, traced } from "../primitives/event-port.ts";
import type { Semaphore } from "../primitives/semaphore.ts";
import { SharedSlot } from "../primitives/shared-slot.ts";
import { isThenable } from "../primitives/thenable.ts";
import type { Pinned } from "../tags/tag-versions.ts";
import { type Answers, type Failure, loadedAnswer } from "./answers.ts";
import type { Backoffs } from "./backoffs.ts";
import type { Copies, Limits, Reporting } from "./context.ts";
import { describeFailure, describeLease, describeLoad, describeStore } from "./explanations.ts";
import type { Flight } from "./flight.ts";
import { type Acquired, elsewhereTimeout, type LeaseAcquisition } from "./lease-acquisition.ts";
import { POLL_MS, pollAfter } from "./lease.ts";
import { Load, type Loaded } from "./load.ts";
import { MARKED_MS, type LoadedStore, type StoreResult } from "./loaded-store.ts";
import { whileLoading } from "./loading.ts";
import { UsedValues } from "./used-values.ts";
import type { Waiters } from "./waiters.ts";

type LoadContext = Reporting & Pick<Copies, "local" | "trust"> & Pick<Limits, "loads" | "backgroundLoads">;

/** What the steps of the ladder have in common. */
export interface Steps {
  readonly answers: Answers;
  readonly waiters: Waiters;
  readonly backoffs: Backoffs;
  readonly leases: LeaseAcquisition;
  readonly loadedStore: LoadedStore;
}

/** The steps above a load, where a flight continues that did not load. */
export interface Above {
  /** An entry was read: it may be the fallback. */
  fallBackOn(flight: Flight, found: Entry | undefined): void;
  /** An entry was read in place of the load. */
  found(flight: Flight, found: Entry | undefined): void;
  /** The flight begins again. */
  readAgain(flight: Flight): void;
}

/**
 * The lower half of the ladder that {@link ReadThrough} draws: a slot, the lease and the tag versions, the load, the
 * store.
 */
export class LoadThrough {
  readonly #context: LoadContext;
  readonly #above: Above;
  readonly #answers: Answers;
  readonly #waiters: Waiters;
  readonly #backoffs: Backoffs;
  readonly #leases: LeaseAcquisition;
  readonly #loadedStore: LoadedStore;

  constructor(context: LoadContext, { answers, waiters, backoffs, leases, loadedStore }: Steps, above: Above) {
    this.#context = context;
    this.#above = above;
    this.#answers = answers;
    this.#waiters = waiters;
    this.#backoffs = backoffs;
    this.#leases = leases;
    this.#loadedStore = loadedStore;
  }

  load(flight: Flight): void {
    const failure = this.#backoffs.remembered(flight, this.#context.clock.now());
    if (failure !== undefined) return this.#reject(flight, failure);
    this.#loadUnderLease(flight).catch((error: unknown) => this.broken(flight, error));
  }

  async #loadUnderLease(flight: Flight): Promise<void> {
    if (flight.isOver) return;
    if (flight.phase === "reading") flight.queue();
    const taken = takeSlot(flight, this.#context);
    const release = isThenable(taken) ? await taken : taken;
    // Over meanwhile, or one too many in the background: a later call tries again.
    if (release === undefined) return this.#waiters.end(flight);
    let acquired: Acquired;
    try {
      acquired = await this.#leases.acquire(flight);
      this.#context.decisions?.note(flight.key.local, "lease", describeLease(acquired, flight));
      if (acquired.kind === "leased" || acquired.kind === "alone") {
        if (flight.call.isForced) await this.#readReplaced(flight);
        if (!flight.isOver) await this.#loadAndStore(flight, acquired.pinned);
      }
    } finally {
      // In any case, other processes may load.
      flight.lease?.release();
      release();
    }
    if (acquired.kind === "entry" && flight.isTainted) {
      // Callers may have joined after a change that this entry is older than.
      flight.waitElsewhere(this.#context.clock.now());
      this.#above.readAgain(flight);
    } else if (acquired.kind === "entry") {
      // Another process has stored since the backend was read.
      flight.saw(acquired.seen);
      this.#above.found(flight, acquired.entry);
    } else if (acquired.kind === "held") await this.#heldElsewhere(flight, acquired.heldForMs);
  }

  /**
   * A forced load has not read the backend. The entry that it replaces is its fallback, and its loader may keep it, in
   * a process without a copy, or with an older one, too: it is read under the lease, which says whether there is one.
   */
  async #readReplaced(flight: Flight): Promise<void> {
    const { remote } = flight.call.namespace;
    const { lease, fallback } = flight;
    if (remote === undefined || flight.isOver || flight.isUnreachable || flight.storesNothing) return;
    if (lease === undefined ? fallback !== undefined : lease.seen === "" || lease.seen === fallback?.version) return;
    const { clock } = this.#context;
    // If it fails, the tier has reported that, and the load does without.
    const found = await flight.budget.limit<Entry | undefined, Entry | undefined | typeof UNREAD>(
      clock,
      remote.read(flight, flight.budget.leftMs),
      "call",
      (entry) => entry,
      () => UNREAD,
    );
    if (found === UNREAD || flight.isOver) return;
    this.#above.fallBackOn(flight, found);
    for (const waiter of flight.crowd.waiters) this.#waiters.startSoftTimeout(flight, waiter);
  }

  /**
   * Another process loads. Callers that wait get its result: the backend is read again when something happens to the
   * key, when the lease has expired, and every `POLL_MS` in any case; sooner where no change of the key is reported.
   * Bounded like a load: a longer wait counts as a failed load.
   *
   * Without callers the flight ends, and for that long no other flight asks for the lease in the background.
   */
  async #heldElsewhere(flight: Flight, heldForMs: number): Promise<void> {
    const { clock, trust } = this.#context;
    const { loadTimeoutMs } = flight.call.policy;
    const now = clock.now();
    if (!flight.isAwaited) {
      this.#backoffs.pause(flight.key.local, now + Math.min(heldForMs, POLL_MS));
      return this.#waiters.end(flight);
    }
    const waitsSince = flight.waitElsewhere(now);
    const leftMs = waitsSince + loadTimeoutMs - now;
    const { batch } = flight.call;
    batch?.paused();
    const pollMs = trust.isReported(flight.key.local, now) ? POLL_MS : pollAfter(now - waitsSince);
    if (!flight.isWoken) await flight.nextWake(clock, Math.min(heldForMs, pollMs, leftMs));
    batch?.joins();
    if (flight.isOver) return;
    if (clock.now() - waitsSince >= loadTimeoutMs) return this.#failed(flight, elsewhereTimeout(loadTimeoutMs));
    this.#above.readAgain(flight);
  }

  async #loadAndStore(flight: Flight, pinned: Pinned | undefined): Promise<void> {
    const { clock, decisions, events, local } = this.#context;
    const startedAt = clock.now();
    const outcome = this.#run(flight);
    let loaded: Loaded;
    try {
      loaded = await outcome;
    } catch (error) {
      flight.call.namespace.meter.loadErrors += 1;
      decisions?.note(flight.key.local, "load", describeFailure(error));
      const event = this.#event(flight);
      this.#failed(flight, error);
      // After the callers were answered.
      events["load:error"].emit({ ...event, durationMs: clock.now() - startedAt, error });
      return;
    }
    const durationMs = clock.now() - startedAt;
    flight.call.namespace.meter.load.record(durationMs);
    if (flight.isOver) return;
    const event = this.#event(flight);
    if (loaded.kind === "not-shared") {
      flight.keepForOne();
      this.#backoffs.unshared(flight, clock.now() + MARKED_MS);
    }
    flight.store(loaded.value);
    this.#backoffs.loaded(flight.key.local);
    decisions?.note(flight.key.local, "load", describeLoad(flight, durationMs));
    const isForAll = loaded.kind === "value" || loaded.kind === "not-modified";
    let result: StoreResult;
    try {
      if (flight.isAlone && isForAll) await this.#leases.acquireLate(flight, pinned);
      const stored = this.#loadedStore.store(flight, loaded, pinned);
      result = isThenable(stored) ? await stored : stored;
    } catch (error) {
      result = this.#loadedStore.reportBroken(flight, error);
    }
    decisions?.note(flight.key.local, "store", describeStore(flight, result, local));
    // The stale entry stays: without a pause each hit of it would load again. A value for all was made of stale ones,
    // which are being refreshed.
    const isWithheld = result === "no-store" || result === "not-shared";
    const pauseMs = isForAll ? POLL_MS : flight.call.policy.errorBackoffMs;
    if (isWithheld && flight.fallback !== undefined) this.#backoffs.pause(flight.key.local, clock.now() + pauseMs);
    if (!isWithheld) this.#backoffs.shared(flight.key.local);
    if (events.load.isObserved) events.load.emit({ ...event, durationMs, result });
    this.#waiters.end(flight);
    const isStored = result === "stored" || result === "not-modified";
    this.#waiters.answerAll(flight, { ...loadedAnswer(flight.loaded!), isStored });
  }

  /** Calls the user's loader, within the trace of this load. */
  #run(flight: Flight): Promise<Loaded> {
    const { clock, local, redactKey } = this.#context;
    const { call } = flight;
    const used = call.policy.inherit ? (call.batch?.used ?? new UsedValues(this.#context)) : undefined;
    const begin = (): Load =>
      new Load(
        {
          key: call.key.name,
          load: call.load,
          reason: flight.reason,
          background: !flight.isAwaited,
          stale: this.#waiters.fallbackOf(flight).entry,
          handOut: (value) => local?.handOut(value) ?? value,
          timeoutMs: call.policy.loadTimeoutMs,
          schema: call.namespace.checksLoads ? call.namespace.schema : undefined,
          used,
        },
        clock,
      );
    const outcome = traced(
      "load",
      () => {
        const load = whileLoading(this.#context, flight.key.local, begin, (each) => each.outcome, used);
        flight.runs(load);
        return load.outcome;
      },
      () => (redactKey === undefined ? this.#event(flight) : redacted(this.#event(flight), redactKey)),
    );
    call.namespace.meter.loads += 1;
    return outcome;
  }

  /** The part that all events of one load share. Made when its outcome is known: later no caller waits any more. */
  #event(flight: Flight): LoadEvent {
    return { ...this.#answers.keyEvent(flight.key), reason: flight.reason, background: !flight.isAwaited };
  }

  /** An exception on the way, from a tier that breaks its contract say, fails the flight: its callers settle. */
  broken(flight: Flight, error: unknown): void {
    this.#loadedStore.reportBroken(flight, error);
    if (!flight.isOver) return this.#failed(flight, error);
    // It was thrown between the end of the flight and the last answer.
    for (const waiter of flight.crowd.takeAll()) waiter.reject(error);
  }

  #failed(flight: Flight, error: unknown): void {
    if (flight.isOver) return;
    const failure: Failure = { error, options: flight.running?.options };
    this.#backoffs.failed(flight, failure, this.#waiters.fallbackOf(flight).entry, this.#context.clock.now());
    this.#reject(flight, failure);
  }

  #reject(flight: Flight, failure: Failure): void {
    // Ended in this very tick: the next caller starts a new load, which never overlaps this one.
    this.#waiters.end(flight);
    this.#waiters.failAll(flight, failure);
  }
}

const UNREAD = Symbol("unread");

type LoadEvent = Omit<CacheEvents["load:error"], "durationMs" | "error">;

/** Gives back what a flight took. */
type Release = () => void;

/**
 * How many loads run at the same time. Each flight takes one of `maxLoads` slots, and one of `maxBackgroundLoads` if no
 * caller waits for it; the flights of a batch share theirs, since its loader runs once.
 *
 * A load that a running load waits for takes none: the outer load holds one, so with all slots taken by outer loads
 * nothing would ever end. That is also so if the inner load began, and was queued, before the outer load asked for it.
 *
 * @returns `undefined` for a flight that ended while it waited, that would be one load too many in the background, or
 *   that would have to wait although its callers are gone and got nothing of it.
 */
function takeSlot(flight: Flight, limits: Pick<Limits, "loads" | "backgroundLoads">): Awaitable<Release | undefined> {
  const { batch } = flight.call;
  const background = flight.isAwaited ? undefined : (batch?.backgroundLoads ?? limits.backgroundLoads);
  if (background?.tryTake() === false) return undefined;
  if (flight.crowd.isNested) {
    batch?.loads.exempt();
    return () => background?.free();
  }
  const slots = batch?.loads ?? limits.loads;
  if (slots.tryTake()) return releaseOf(slots, background);
  if (flight.crowd.isUnserved) {
    background?.free();
    return undefined;
  }
  return waitFor(flight, batch?.loads ?? flight.waitFor(new SharedSlot(limits.loads)), background);
}

async function waitFor(flight: Flight, turn: SharedSlot, background: Slots | undefined): Promise<Release | undefined> {
  if (await turn.take(flight.whenSettled())) return releaseOf(turn, background);
  background?.free();
  return undefined;
}

type Slots = Pick<Semaphore, "free">;

const releaseOf =
  (slots: Slots, background: Slots | undefined): Release =>
  () => {
    slots.free();
    background?.free();
  };
