import type { Awaitable } from "../contracts/awaitable.ts";
import { LoadTimeoutError } from "../contracts/errors.ts";
import type { CacheEvents } from "../contracts/events.ts";
import type { Entry } from "../entry/entry.ts";
import { isTooOld, judge, newer, newerThanRead, type Verdict } from "../entry/freshness.ts";
import { dependencies, keyEvent, localKey } from "../entry/key.ts";
import { redacted, traced } from "../primitives/event-port.ts";
import { ignore } from "../primitives/ignore.ts";
import { IN_WORKER, SHARES_PROMISES } from "../primitives/platform.ts";
import { promised } from "../primitives/settlers.ts";
import { SharedSlot } from "../primitives/shared-slot.ts";
import { isThenable } from "../primitives/thenable.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import type { Pinned } from "../tags/tag-versions.ts";
import { BackendRefusedError } from "../tiers/backend-calls.ts";
import type { LeaseAnswer, NotGranted, ReadOutcome } from "../tiers/entry-tier.ts";
import { type Answer, type Answers, type Failure, hit, loadedAnswer } from "./answers.ts";
import type { Backoffs } from "./backoffs.ts";
import type { GetOrSetCall, NamespaceContext } from "./call.ts";
import type { Callers } from "./callers.ts";
import type { Copies, EngineContext } from "./context.ts";
import * as say from "./explanations.ts";
import { type Ends, fencedBy, Flight, type Joined, type Side, type Slots, type Waiter } from "./flight.ts";
import { type Lease, type NewLease, POLL_MS, pollAfter } from "./lease.ts";
import { Load, type Loaded } from "./load.ts";
import { isLoading, reentrant, usedByCaller } from "./loading.ts";
import { hidden, promote, spareCopy } from "./reads.ts";
import { Draft, isStored, PLACEHOLDER_MS, type StoreResult, type WriteAnswer } from "./store.ts";

/**
 * The ladder of `getOrSet`, the one way in which a value is found or loaded:
 *
 *     local copy ──fresh──▶ answer                              (before this file: `NamespaceView`)
 *        │ may be served stale ─▶ answer, continue in the background
 *     join a flight of this key ──it knows an entry, or the value──▶ answer
 *        │
 *     read the backend ──fresh──▶ promote, answer
 *        │ may be served stale ─▶ promote, answer, continue in the background
 *     wait for a slot
 *        │
 *     take the lease, pin tag versions ──held elsewhere──▶ wait for that load, then read the backend again
 *        │                       └──stored since──▶ as found in the backend
 *     load ──failed──▶ what staleIfError covers, or the error, for all callers
 *        │
 *     store in the backend under the lease, then locally, unless fenced; answer
 *
 * `answerFor` says whether an entry may be served stale: within `staleWhileRevalidate`, or `staleIfError` during the
 * back-off after a failure.
 *
 * Each step of a flight is a method that ends with the next one, in the order of this file; from a slot on they are one
 * function, `#climb`. The backend is asked within the time of the flight: `Budget`. An exception of a step fails the flight.
 *
 * Promises kept here: nothing is promoted or stored that a fence overtook; a failed flight ends in the tick of its
 * failure, so a retry cannot overlap it; each caller ends exactly once, within its own timeouts.
 */
export class Ladder {
  readonly #context: EngineContext;
  readonly #answers: Answers;
  readonly #callers: Callers;
  readonly #backoffs: Backoffs;
  readonly #newLease: NewLease | undefined;

  constructor(
    context: EngineContext,
    answers: Answers,
    callers: Callers,
    backoffs: Backoffs,
    newLease: NewLease | undefined,
  ) {
    this.#context = context;
    this.#answers = answers;
    this.#callers = callers;
    this.#backoffs = backoffs;
    this.#newLease = newLease;
  }

  /** A fresh local copy: counted, and returned as this caller gets it. */
  hit(namespace: NamespaceContext, key: string, startedAt: number, copy: Entry): unknown {
    const { local, events, clock, decisions } = this.#context;
    decisions?.note(localKey(namespace.keySpace, key), "call", `hit, from ${local!.label}`);
    local!.meter.hits += 1;
    const { meters } = namespace;
    // A copy knows its group from its first hit on.
    (meters.groups === undefined ? meters.rest : (copy.meter ??= meters.of(key))).hits += 1;
    this.#context.onHit?.(namespace.keySpace, key);
    usedByCaller()?.add(this.#context, namespace.remote, copy);
    if (events.hit.isObserved) {
      const of = keyEvent(this.#context.name, { space: namespace.keySpace, name: key });
      events.hit.emit({ ...of, tier: local!.label, durationMs: clock.now() - startedAt });
    }
    return local!.values.isShared ? copy.value : local!.values.handOut(copy.value);
  }

  /**
   * Answers a call that a fresh local copy alone did not answer.
   *
   * @param copy the local copy, if there is one.
   * @param onJoined called within this call if it joins a flight.
   */
  fetch(call: GetOrSetCall, copy: Entry | undefined, onJoined?: (joined: Joined) => void): Promise<unknown> {
    const ends = Promise.withResolvers<unknown>();
    const flight = this.#enter(call, copy, ends, onJoined);
    // Sent here: few frames lie between the caller and its backend.
    if (flight !== undefined && this.#beginUnlessRead(flight))
      call.namespace.remote!.reads.readTo(flight, flight.budget!.leftMs, this.#readEnded);
    return ends.promise;
  }

  /** {@link fetch} for many calls of one namespace: one trip to the backend. @returns how many calls wait. */
  fetchMany(calls: readonly GetOrSetCall[], ends: Ends): number {
    const { local } = this.#context;
    const begun = calls.flatMap((call) => this.#enter(call, local?.get(call.key.local, call.startedAt), ends) ?? []);
    const reading = begun.filter((each) => this.#beginUnlessRead(each));
    const [first] = reading;
    first?.call.namespace.remote!.reads.readMany(reading, first.budget!.leftMs, this.#readEnded);
    return begun.length;
  }

  /** Answers a call by a copy, or lets it wait for a flight. @returns the flight that it has to begin, if any. */
  #enter(
    call: GetOrSetCall,
    copy: Entry | undefined,
    ends: Ends,
    onJoined?: (joined: Joined) => void,
  ): Flight | undefined {
    const { decisions, local } = this.#context;
    const { key, startedAt } = call;
    if (decisions !== undefined && local !== undefined)
      decisions.note(key.local, "copy", local.explain(key.local, startedAt));
    const isOwn = call.isForced || call.isCurrent;
    const joined = isOwn ? undefined : joinable(this.#context, call);
    const offer = { entry: isOwn ? undefined : copy, tier: local?.label ?? "" };
    const answer = this.#backoffs.answerOf(offer, call, startedAt);
    if (answer !== undefined) {
      const refreshes = joined === undefined && this.#refreshes(call, copy);
      // Before the caller is answered: its listener may ask for the same key.
      const flight = refreshes ? this.#launch(call, copy, "background") : undefined;
      ends.resolve(this.#answers.serve(call, "first", answer), call);
      return flight;
    }
    if (isLoading(this.#context, key.local)) {
      const error = reentrant(this.#context.redactKey?.(key.name) ?? key.name);
      ends.reject(this.#answers.failed(call, error), call);
    } else if (call.signal?.aborted === true) ends.reject(this.#answers.failed(call, call.signal.reason), call);
    else if (this.#callers.refuses(call)) this.#callers.refuse(call, offer, ends);
    else if (joined !== undefined) {
      const isLate = this.#join(joined, call, ends);
      onJoined?.({ load: joined.call.load, isLate });
    } else {
      const flight = this.#launch(call, copy, "foreground");
      this.#callers.wait(flight, call, ends);
      return flight;
    }
    return undefined;
  }

  /** Begins a flight, registered before anything is sent. @param copy the local copy, if there is one. */
  #launch(call: GetOrSetCall, copy: Entry | undefined, side: Side): Flight {
    const { flights, tags, local, clock, waitUntil, lifecycle } = this.#context;
    const flight = new Flight(call, tags.sequence, side);
    if (copy !== undefined && clock.now() < copy.deadAt && !call.isCurrent) {
      flight.fallBackOn(copy, local!.label, "copy");
      if (!call.isForced)
        flight.loadsAs(judge(copy, call.startedAt, call.policy) === "ahead" ? "refresh-ahead" : "stale");
    }
    if (!lifecycle.isOpen) flight.closes();
    if (call.isForced || call.isCurrent) flights.supersede(call.key.local, flight);
    // One that is forced, or current, depends on the lease.
    else if (this.#backoffs.isUnshared(call.key.local, call.startedAt)) flight.skipLease("alone");
    flights.add(call.key.local, flight);
    if (side === "background" && flight.crowd.outlive()) waitUntil?.(flight.whenSettled());
    return flight;
  }

  /** Whether a copy that is served is refreshed in the background. */
  #refreshes({ key, startedAt, policy }: GetOrSetCall, copy: Entry | undefined): boolean {
    return (
      judge(copy, startedAt, policy) !== "fresh" &&
      this.#context.lifecycle.isOpen &&
      !this.#backoffs.isPaused(key.local, startedAt) &&
      !isLoading(this.#context, key.local)
    );
  }

  /** @returns whether a tag event came first. */
  #join(flight: Flight, call: GetOrSetCall, ends: Ends): boolean {
    const { events, clock, tags } = this.#context;
    call.namespace.meters.of(call.key.name).coalesced += 1;
    flight.crowd.addTags(call.tags);
    const late = isLate(tags, flight);
    const answer = this.#answerOf(flight, call, clock.now());
    if (answer !== undefined && this.#callers.suits({ flight, role: "joined", isLate: late }, answer))
      ends.resolve(this.#answers.serve(call, "joined", answer), call);
    else this.#callers.join(flight, call, ends, (waiter) => this.#again(waiter), late);
    // After it waits: a listener may end the flight.
    if (events.coalesced.isObserved) events.coalesced.emit(keyEvent(this.#context.name, call.key));
    return late;
  }

  /**
   * The result of the flight that a caller joined was not for it: it is for one caller, or a tag of it had an event
   * before the caller joined. It joins no flight from before any tag event, so it waits for one more at most.
   */
  #again(waiter: Waiter): void {
    const { clock, local } = this.#context;
    const now = clock.now();
    const call = { ...waiter.call, startedAt: now };
    const copy = local?.get(call.key.local, now);
    const answer = this.#backoffs.answerOf({ entry: copy, tier: local?.label ?? "" }, call, now);
    if (answer !== undefined) return this.#callers.answerMoved(waiter, answer);
    const joined = joinable(this.#context, call);
    if (joined !== undefined && !isLate(this.#context.tags, joined)) {
      joined.crowd.addTags(call.tags);
      return this.#callers.move(waiter, joined, "joined");
    }
    const flight = this.#launch(call, copy, "foreground");
    this.#callers.move(waiter, flight, "first");
    call.batch?.expect(1);
    this.#begin(flight);
  }

  /** The answer that a flight has for a call that joins it. While the backend is asked there is none. */
  #answerOf(flight: Flight, call: GetOrSetCall, now: number): Answer | undefined {
    const { loaded } = flight.climb;
    if (loaded !== undefined) return loadedAnswer(loaded);
    if (flight.phase === "reading") return undefined;
    return this.#backoffs.answerOf(this.#callers.fallbackOf(flight), call, now);
  }

  // ---- read

  #begin(flight: Flight): void {
    if (this.#beginUnlessRead(flight)) this.#read(flight);
  }

  /** Begins a flight, unless it begins with its read. @returns whether it does: then its caller sends the read. */
  #beginUnlessRead(flight: Flight): boolean {
    const hasBackend = flight.call.namespace.remote !== undefined;
    if (hasBackend && this.#isCovered(flight)) void this.#replay(flight);
    else {
      const reads = hasBackend && this.#reads(flight);
      const isGuess = reads && this.#guesses(flight);
      if (reads && !isGuess) return true;
      void this.#climb(flight, isGuess);
    }
    return false;
  }

  /**
   * Whether the backend is read first. Skipped for forced loads; and for `current` reads where there are leases: a
   * replica may lag behind the token, but the lease is always granted by the primary.
   */
  #reads({ call }: Flight): boolean {
    const { remote } = call.namespace;
    if (remote === undefined || this.#context.lifecycle.isEnding) return false;
    return !call.isForced && !(call.isCurrent && remote.leases !== undefined);
  }

  /**
   * Whether no read goes before the lease, since it is taken to find nothing: a lease over nothing is granted only
   * where there is no entry, so it is the read, too. Where there is one, the answer has it.
   */
  #guesses(flight: Flight): boolean {
    const { call, climb } = flight;
    const remote = call.namespace.remote!;
    if (!call.namespace.meters.guesses.isLikely || call.isCurrent || call.batch !== undefined) return false;
    // Only a read shows that a key is new, and a new one may need no lease.
    if (call.namespace.newKeys !== undefined) return false;
    // Without versions a lease is granted over an entry, too; a composition has copies while the backend is down.
    if (remote.leases === undefined || !remote.keepsMeta || remote.retryInMs > 0) return false;
    if (!flight.isAwaited || climb.isUnleased || climb.storesNothing || climb.waitsSince !== undefined) return false;
    const { loads, local, trust, clock } = this.#context;
    const now = clock.now();
    if (flight.fallback !== undefined || local?.unconfirmed(call.key.local, now) !== undefined) return false;
    // Where changes are not reported, a load that inherits tags depends on the versions that a read asks for. A hit
    // waits for no slot, and no remembered error replaces it.
    const isReported = trust.isReported(call.key.local, now);
    return isReported && loads.isFree && this.#backoffs.remembered(flight, now) === undefined;
  }

  /** Whether a pending invalidation covers the entry in the backend. A forced load reads no entry. */
  #isCovered({ call, key }: Flight): boolean {
    return !call.isForced && this.#context.recovery?.coversTagged(key, call.tags) === true;
  }

  /** The invalidation is sent first, and the flight begins after it: as do reads without a loader. */
  async #replay(flight: Flight): Promise<void> {
    const { clock, recovery } = this.#context;
    const failure = await flight.budget!.wait(recovery!.replay(), "calls");
    try {
      if (!(failure instanceof Error)) this.#restart(flight);
      const isHidden = this.#isCovered(flight);
      if (failure instanceof Error || (isHidden && !recovery!.isRefused)) this.#unreachable(flight);
      else if (this.#reads(flight)) this.#read(flight, isHidden);
      else this.#found(flight, undefined, clock.now());
    } catch (error) {
      this.#broken(flight, error);
    }
  }

  #read(flight: Flight, isHidden = false): void {
    flight.call.namespace.remote!.reads.readTo(flight, flight.budget!.leftMs, (_, outcome) => {
      const isFound = outcome !== undefined && !(outcome instanceof Error);
      this.#readEnded(flight, isFound && isHidden ? hidden(outcome) : outcome);
    });
  }

  /** The flight begins again: changes until now do not concern what it finds from now on, unless one is under way. */
  #restart(flight: Flight): void {
    const { clock, trust, tags, writes } = this.#context;
    const { local } = flight.key;
    // An entry that was removed meanwhile is not served as fallback.
    if (this.#callers.fallbackOf(flight).entry === undefined) flight.dropFallback();
    flight.asksAgain(clock.now());
    // What it finds is older than a write of this process that is still under way: the fence of that stays.
    if (!writes.has(local)) flight.startOver(trust.epochOf(local), tags.sequence);
  }

  /** Called by the tier: one function for the reads of all calls. */
  readonly #readEnded = (flight: Flight, outcome: ReadOutcome): void => {
    const now = this.#context.clock.now();
    try {
      if (outcome instanceof Error) return this.#readFailed(flight);
      flight.call.namespace.meters.guesses.read(flight.seen === "");
      flight.budget!.answered(now);
      this.#found(flight, outcome, now);
    } catch (error) {
      this.#broken(flight, error);
    }
  };

  #readFailed(flight: Flight): void {
    flight.runInContext(() => this.#unreachable(flight));
  }

  /**
   * No backend can confirm a copy: one that is newer than every call of this process is served as if it were confirmed.
   */
  #unreachable(flight: Flight): void {
    flight.giveUpBackend();
    if (flight.isOver) return;
    const copy = flight.call.isCurrent ? undefined : spareCopy(this.#context, flight.call.namespace, flight.key);
    if (isThenable(copy)) void this.#afterVersions(flight, copy);
    else this.#withoutBackend(flight, copy);
  }

  /** The part of the backend that keeps tag versions is asked, as it answers. */
  async #afterVersions(flight: Flight, asked: PromiseLike<Entry | undefined>): Promise<void> {
    try {
      const copy = await asked;
      if (!flight.isOver) flight.runInContext(() => this.#withoutBackend(flight, copy));
    } catch (error) {
      this.#broken(flight, error);
    }
  }

  #withoutBackend(flight: Flight, copy: Entry | undefined): void {
    const { local, clock, decisions } = this.#context;
    decisions?.note(flight.key.local, "backend", say.describeUnreachable(copy));
    if (copy === undefined) return void this.#climb(flight);
    flight.fallBackOn(newer(copy, flight.fallback) ?? copy, local!.label, "copy");
    this.#decide(flight, clock.now());
  }

  // ---- found

  #found(flight: Flight, found: Entry | undefined, now: number): void {
    if (flight.isOver) return;
    this.#fallBackOn(flight, found, now);
    this.#decide(flight, now);
  }

  /** Takes an entry that was read as the fallback, if it is the best one, and keeps a copy of it. */
  #fallBackOn(flight: Flight, found: Entry | undefined, now: number): void {
    const { recovery, tags, decisions } = this.#context;
    const { namespace, key, policy, isForced } = flight.call;
    const read = found && tags.applyTo(found, now);
    // This process invalidated it, and the backend does not know yet, or did not when it answered.
    const isHidden = read !== undefined && recovery?.hides(key, read) === true;
    decisions?.note(key.local, "backend", say.describeRead(flight, read, isHidden, now));
    if (read?.terms.placeholder !== undefined && !isHidden) this.#foundPlaceholder(flight, read, now);
    else if (flight.seen === "" && namespace.remote?.leases !== undefined) this.#backoffs.shared(key.local);
    const entry = read?.terms.placeholder === undefined ? read : undefined;
    const best = newerThanRead(isHidden ? undefined : entry, flight.fallback);
    if (entry === undefined || best !== entry) return;
    flight.fallBackOn(entry, namespace.remote!.label, "read");
    // A forced load replaces it.
    if (!isForced) promote(this.#context, flight, entry, policy.localTtlMs, now);
  }

  /** The last value of this key was stored nowhere: no caller waits for another such load. */
  #foundPlaceholder(flight: Flight, { staleAt, terms }: Entry, now: number): void {
    if (now >= staleAt || flight.call.isForced) return;
    if (terms.placeholder !== "not-shared") return flight.skipLease("shared");
    flight.skipLease("alone");
    this.#backoffs.unshared(flight, staleAt);
    // Those that joined begin again.
    for (const waiter of flight.crowd.take(({ role }) => role === "joined")) waiter.again!(waiter);
  }

  /** The best entry is known: answers the callers that it is good for, and continues for the others. */
  #decide(flight: Flight, now: number): void {
    const { fallback, fallbackTier, call } = flight;
    const verdict = judge(fallback, now, call.policy);
    if (verdict !== "fresh" || this.#isTooOldForSome(flight, fallback!)) return this.#decideEach(flight, verdict, now);
    this.#callers.end(flight);
    this.#callers.answerAll(flight, hit(fallback!, fallbackTier));
  }

  /** Whether a caller that joined accepts no entry of this age, though the first one does: it waits for the load. */
  #isTooOldForSome(flight: Flight, fallback: Entry): boolean {
    if (flight.hasOnlyCaller) return false;
    return flight.crowd.waiters.some(({ call }) => isTooOld(fallback, call.policy));
  }

  /** Answers the callers that the best entry is good for all the same, and loads for the others, or in the background. */
  #decideEach(flight: Flight, verdict: Verdict, now: number): void {
    const { fallback, fallbackTier: tier, call } = flight;
    // Callers that come while these are answered find what is known.
    flight.queue();
    if (verdict !== "absent") flight.loadsAs(verdict === "ahead" ? "refresh-ahead" : "stale");
    if (fallback !== undefined)
      this.#callers.answerEach(flight, (each) => this.#backoffs.answerOf({ entry: fallback, tier }, each, now));
    if (!flight.isAwaited && (this.#backoffs.isPaused(call.key.local, now) || flight.fencedBy !== undefined))
      return this.#callers.end(flight);
    this.#callers.startSoftTimeouts(flight);
    void this.#climb(flight);
  }

  // ---- the load

  /** From a slot to the answer. What it holds is given back when that is over, however it ends. */
  async #climb(flight: Flight, isGuess = false): Promise<void> {
    const { clock, barrier } = this.#context;
    try {
      const failure = this.#backoffs.remembered(flight, clock.now());
      if (failure !== undefined) return this.#reject(flight, failure);
      if (flight.isOver) return;
      if (flight.phase === "reading") flight.queue();
      const slots = this.#slots(flight);
      const free = isThenable(slots) ? await slots : slots;
      if (free === undefined) return this.#callers.end(flight);
      let refusal: NotGranted | undefined;
      try {
        // Its result would be stored nowhere, so no other process is to wait for it. A guess needs the lease to read.
        if (
          barrier !== undefined &&
          !isGuess &&
          (await barrier.bars(flight.key, dependencies(flight.key.space, flight.tags)))
        )
          flight.skipLease("shared");
        refusal = await this.#lease(flight, isGuess);
        if (refusal === undefined && !flight.isOver) {
          const load = new Load(flight, this.#callers.fallbackOf(flight).entry, this.#context, clock.now());
          let loaded: Loaded;
          try {
            loaded = await this.#load(flight, load);
          } catch (error) {
            return this.#notLoaded(flight, load, error);
          }
          this.#loaded(flight, load, loaded);
          if (flight.isOver) return;
          if (flight.climb.isUnleased && flight.climb.report!.isStorable) await this.#leaseAfterLoad(flight);
          const draft = new Draft(flight, loaded, this.#context, this.#answers);
          if (barrier === undefined)
            this.#stored(flight, draft.begin(clock.now()) ?? (await this.#store(flight, draft)));
          else this.#stored(flight, await this.#storeUnlessBarred(flight, draft));
        }
      } finally {
        // Other loads, of this process and of others, may begin.
        flight.climb.lease?.release();
        free();
      }
      if (refusal !== undefined) await this.#notGranted(flight, refusal);
    } catch (error) {
      this.#broken(flight, error);
    }
  }

  /**
   * How many loads run at the same time. Each flight takes one of `maxLoads` slots, and one of `maxBackgroundLoads` if
   * no caller waits for it; the flights of a batch share theirs, since its loader runs once.
   *
   * A load that a running load waits for takes none: the outer load holds one, so with all slots taken by outer loads
   * nothing would ever end. Also if the inner load began, and was queued, before the outer load asked for it.
   *
   * @returns what frees them; `undefined` for the flight that would be one load too many in the background, or that
   *   would have to wait although its callers are gone and got nothing of it: a later call tries again.
   */
  #slots(flight: Flight): Awaitable<(() => void) | undefined> {
    const { batch } = flight.call;
    const background = flight.isAwaited ? undefined : (batch?.backgroundLoads ?? this.#context.backgroundLoads);
    if (background?.tryTake() === false) return undefined;
    const freeing = (taken?: Slots) => () => {
      taken?.free();
      background?.free();
    };
    const slots = batch?.loads ?? this.#context.loads;
    const { isNested, isUnserved } = flight.crowd;
    if (isNested) batch?.loads.exempt();
    if (isNested) return freeing();
    if (slots.tryTake()) return freeing(slots);
    const slot = batch?.loads ?? new SharedSlot(this.#context.loads);
    flight.queuesFor(slot);
    const taken = isUnserved ? Promise.resolve(false) : slot.take(flight.whenSettled());
    return taken.then((isTaken) => {
      if (isTaken) return freeing(slot);
      background?.free();
      return undefined;
    });
  }

  /**
   * The permission to load, and tag versions, before the loader runs: versions taken later would hide an invalidation.
   *
   *     versions are asked for ─┬─ lease, in the same trip ── granted, or none ───────────────────▶ pinned ─▶ the load
   *     or not yet ─────────────┘    │                           └─ now versions are asked for ──▲
   *                                  └─ held by another process, or stored since ─▶ why there is no lease, and no load
   *
   * Where the backend does not answer, or refuses, the flight loads without a lease, and the result is kept only here.
   *
   * After the answer `climb.lease` is the lease that was granted, or absent: `Lease.answered` drops any other. It may have
   * ended before the load, since a tag changed: then the result is not stored. Versions that are on their way are not
   * known to the lease: a change of their tags meanwhile is found by `#canStore`.
   *
   * @returns why there is no lease, and no load: another process loads, or has stored since.
   */
  async #lease(flight: Flight, isGuess: boolean): Promise<NotGranted | undefined> {
    const { call } = flight;
    const { remote, meters } = call.namespace;
    // A `current` call has read nothing: its lease shows whether there is an entry.
    const hasRead = !call.isCurrent || remote?.leases === undefined;
    if (hasRead) this.#admitNewKey(flight, flight.seen);
    // Made before versions are asked for: a change from then on counts.
    const lease = this.#leaseToRequest(flight);
    const pinsNow = lease === undefined || isGuess || this.#pinsWithLease(flight);
    const pinning = pinsNow ? this.#pin(flight) : undefined;
    // Its answer is awaited after that of the lease: a failure until then is not unhandled.
    if (isThenable(pinning)) pinning.then(undefined, ignore);
    // Before the request: a wake counts from here.
    flight.beginLeasing(lease);
    if (lease !== undefined) {
      if (isGuess) meters.guesses.begins();
      const seen = call.isForced ? TAKE_OVER : flight.seen;
      const as = { hasExpired: this.#hasExpired(flight), isRead: isGuess };
      const answer = lease.answered(await lease.request(seen, as));
      if (isGuess) this.#guessed(flight, answer);
      if (answer instanceof Error)
        this.#reportNoLease(flight, answer instanceof BackendRefusedError ? "refused" : "unreachable");
      else if (answer.kind !== "granted") return answer;
      else if (!hasRead) this.#admitNewKey(flight, answer.seen);
    }
    // Not in this turn: a batch knows how many of its flights to expect once all have begun, and none may arrive before.
    else await DONE;
    const pinned = pinsNow ? pinning : this.#pin(flight);
    flight.pin(isThenable(pinned) ? await this.#inTime(flight, pinned) : pinned);
    // No process may wait for a result that cannot be stored.
    if (!this.#canStore(flight)) flight.climb.lease?.release();
    this.#context.decisions?.note(flight.key.local, "lease", say.describeLease(flight));
    if (call.isForced && this.#replaces(flight)) await this.#readToReplace(flight);
    return undefined;
  }

  /** The lease to ask for. None where there are no leases, where nothing is stored, or where it loads next to others. */
  #leaseToRequest(flight: Flight): Lease | undefined {
    const { storesNothing, isUnleased, isUnreachable } = flight.climb;
    if (storesNothing || isUnleased || flight.call.namespace.remote?.leases === undefined) return undefined;
    if (!isUnreachable) return this.#newLease!(flight);
    this.#reportNoLease(flight, "unreachable");
    return undefined;
  }

  /**
   * Whether versions are asked for in the trip of the lease. Not where this process has a copy that it cannot use: so
   * have others then, all of them ask, most get no lease, and need no versions. One that has an entry to fall back on,
   * or takes the lease from others, is alone; one that has waited for the backend has no time for a second trip.
   */
  #pinsWithLease({ call, fallback, budget }: Flight): boolean {
    if (fallback !== undefined || call.isForced || call.isCurrent || !budget!.isNearlyWhole) return true;
    return this.#context.local?.hasLiving(call.key.local) !== true;
  }

  /** Whether the life of the entry that it saw in the backend has ended: there it may end somewhat later. */
  #hasExpired({ fallback, seen }: Flight): boolean {
    return fallback !== undefined && fallback.version === seen && this.#context.clock.now() >= fallback.expiresAt;
  }

  /** Whether its result may still be stored: it has not ended, is not fenced, and has the tag versions that it needs. */
  #canStore(flight: Flight): boolean {
    const { climb, key, tags, isOver, call } = flight;
    if (isOver || climb.storesNothing) return false;
    if (call.namespace.remote?.versions !== undefined && climb.pinned === undefined) return false;
    return fencedBy(this.#context.tags, flight, dependencies(key.space, tags)) === undefined;
  }

  /** A key that no tier knows is kept nowhere if the budget of its namespace is spent and it was not missed of late. */
  #admitNewKey(flight: Flight, seen: string): void {
    const { call, key, fallback, climb } = flight;
    const { newKeys: budget, meters } = call.namespace;
    if (budget === undefined || climb.storesNothing || call.isForced || fallback !== undefined || seen !== "") return;
    const { newKeys, clock, events, name, decisions } = this.#context;
    if (newKeys.admits(meters, budget, key.local, clock.now())) return;
    flight.keepsNothing();
    meters.of(key.name).unadmitted += 1;
    decisions?.note(
      key.local,
      "lease",
      "none: a new key beyond the budget newKeys, kept nowhere before its second miss",
    );
    events["load:unadmitted"].emit(keyEvent(name, key));
  }

  #guessed(flight: Flight, answer: LeaseAnswer | Error): void {
    const { meters } = flight.call.namespace;
    const kind = answer instanceof Error ? "failed" : answer.kind;
    meters.guesses.ended(kind === "held" ? undefined : kind === "granted");
    if (kind === "entry") meters.of(flight.call.key.name).mispredicted += 1;
  }

  #reportNoLease({ key, call }: Flight, cause: CacheEvents["load:unleased"]["cause"]): void {
    const { label: tier, isBypassed } = call.namespace.remote!;
    if (!isBypassed) this.#context.events["load:unleased"].emit({ ...keyEvent(this.#context.name, key), tier, cause });
  }

  /** Without a trip where the versions are known; a current call may know of a newer one. */
  #pin(flight: Flight): Awaitable<Pinned | undefined> {
    const { isCurrent, namespace } = flight.call;
    const { remote } = namespace;
    const { fallback, tags, climb } = flight;
    if (remote?.versions === undefined || climb.isUnreachable || climb.storesNothing) return undefined;
    const names = fallback === undefined ? tags : [...new Set([...tags, ...fallback.terms.tags])];
    return remote.knownVersions.pin(remote.versions, dependencies(flight.key.space, names), isCurrent);
  }

  /** Tag versions that are asked for; `undefined` if they cannot be had in time. */
  async #inTime<T>(flight: Flight, asked: PromiseLike<T>): Promise<T | undefined> {
    const answer = await flight.budget!.wait(asked);
    return answer instanceof Error ? flight.unreached(answer) : answer;
  }

  /** Another process loads, or has stored since the backend was read. */
  async #notGranted(flight: Flight, answer: NotGranted): Promise<void> {
    const { clock, decisions } = this.#context;
    const now = clock.now();
    decisions?.note(flight.key.local, "lease", say.describeLease(flight, answer));
    if (answer.kind === "held") return this.#heldElsewhere(flight, answer.heldForMs, now);
    if (!flight.isTainted) {
      flight.saw(answer.seen);
      return this.#found(flight, answer.entry, now);
    }
    // Callers may have joined after a change that this entry is older than: the backend is read again, without a wait.
    flight.waitElsewhere(now);
    this.#readAgain(flight);
  }

  /**
   * Another process loads. Callers that wait get its result: the backend is read again when something happens to the
   * key, when the lease has expired, and every `POLL_MS` in any case; sooner where no change of the key is reported.
   * Bounded like a load: a longer wait counts as a failed load.
   *
   * Without callers the flight ends, and for that long no other flight asks for the lease in the background.
   */
  async #heldElsewhere(flight: Flight, heldForMs: number, now: number): Promise<void> {
    const { clock, trust } = this.#context;
    const { policy, batch, key } = flight.call;
    if (!flight.isAwaited) {
      this.#backoffs.pause(key.local, now + Math.min(heldForMs, POLL_MS));
      return this.#callers.end(flight);
    }
    const waitsSince = flight.waitElsewhere(now);
    const leftMs = waitsSince + policy.loadTimeoutMs - now;
    const pollMs = trust.isReported(key.local, now) ? POLL_MS : pollAfter(now - waitsSince);
    batch?.waitsElsewhere(flight);
    if (!flight.climb.isWoken) await flight.nextWake(clock, Math.min(heldForMs, pollMs, leftMs));
    batch?.comesBack(flight);
    if (flight.isOver) return;
    if (clock.now() - waitsSince < policy.loadTimeoutMs) this.#readAgain(flight);
    else this.#failed(flight, elsewhereTimeout(policy.loadTimeoutMs));
  }

  #readAgain(flight: Flight): void {
    this.#restart(flight);
    this.#begin(flight);
  }

  /** Whether a forced load, which has not read the backend, may replace an entry there that it does not know. */
  #replaces({ call, fallback, isOver, climb }: Flight): boolean {
    const { lease, isUnreachable, storesNothing } = climb;
    if (call.namespace.remote === undefined || isOver || isUnreachable || storesNothing) return false;
    return lease === undefined ? fallback === undefined : lease.seen !== "" && lease.seen !== fallback?.version;
  }

  /**
   * The entry that a forced load replaces is its fallback, and its loader may keep it, in a process without a copy, or
   * with an older one, too: it is read under the lease, which says whether there is one. If that fails, the tier has
   * reported it; it, or a change of the key meanwhile, lets the load do without.
   */
  async #readToReplace(flight: Flight): Promise<void> {
    const { clock, trust } = this.#context;
    const { reads } = flight.call.namespace.remote!;
    flight.resend(trust.epochOf(flight.key.local));
    const found = await flight.budget!.wait(reads.read(flight, flight.budget!.leftMs));
    if (found instanceof Error || flight.isOver || flight.isTainted) return;
    this.#fallBackOn(flight, found, clock.now());
    this.#callers.startSoftTimeouts(flight);
  }

  /** Calls the user's loader, within the trace of this load. */
  #load(flight: Flight, load: Load): Promise<Loaded> {
    const { redactKey } = this.#context;
    flight.runs(load);
    const loading = traced(
      "load",
      () => promised<Loaded>((ends) => load.begin(ends)),
      () => (redactKey === undefined ? this.#event(flight) : redacted(this.#event(flight), redactKey)),
    );
    flight.call.namespace.meters.of(flight.key.name).loads += 1;
    return loading;
  }

  /** The part that all events of one load share. Made when its outcome is known: later no caller waits any more. */
  #event({ key, reason, isAwaited }: Flight): Omit<CacheEvents["load:error"], "durationMs" | "error"> {
    return { ...keyEvent(this.#context.name, key), reason, background: !isAwaited };
  }

  #notLoaded(flight: Flight, { startedAt }: Load, error: unknown): void {
    const { clock, decisions, events } = this.#context;
    flight.call.namespace.meters.of(flight.key.name).loadErrors += 1;
    decisions?.note(flight.key.local, "load", say.describeFailure(error));
    const event = this.#event(flight);
    this.#failed(flight, error);
    // After the callers were answered.
    events["load:error"].emit({ ...event, durationMs: clock.now() - startedAt, error });
  }

  #loaded(flight: Flight, { startedAt }: Load, loaded: Loaded): void {
    const { clock, decisions, events } = this.#context;
    const now = clock.now();
    flight.call.namespace.meters.of(flight.key.name).load.record(now - startedAt);
    this.#context.observer?.loaded({
      ...{ space: flight.key.space, key: flight.key.name, startedAt },
      ...{ kind: loaded.kind, value: loaded.value, isOfBatch: flight.call.batch !== undefined },
      hadValue: (flight.fallback?.value ?? null) !== null,
    });
    if (flight.isOver) return;
    const isStorable = loaded.kind === "value" || loaded.kind === "not-modified";
    const event = events.load.isObserved ? { ...this.#event(flight), durationMs: now - startedAt } : undefined;
    flight.store(loaded.value, { event, isStorable }, loaded.kind === "not-shared");
    if (loaded.kind === "not-shared") this.#backoffs.unshared(flight, now + PLACEHOLDER_MS);
    this.#backoffs.loaded(flight.key.local);
    decisions?.note(flight.key.local, "load", say.describeLoad(flight, now - startedAt));
  }

  // ---- the store

  /**
   * The lease for a value that was loaded without one, in parallel with others. Granted only over what the flight saw
   * before it loaded, so that the value replaces no change since then.
   */
  async #leaseAfterLoad(flight: Flight): Promise<void> {
    const { seen, call } = flight;
    const { pinned, isUnreachable } = flight.climb;
    if (call.namespace.remote?.leases === undefined || isUnreachable || seen === "" || pinned === undefined) return;
    const lease = this.#newLease!(flight);
    flight.leasesAfterLoad(lease);
    const answer = lease.answered(await lease.request(seen));
    if (answer instanceof Error) return;
    if (answer.kind === "granted") lease.pinned(pinned);
    if (answer.kind === "granted" && answer.seen === seen) return;
    lease.release();
    flight.lose();
  }

  /** Stores nothing of what a transaction may be changing; one that began meanwhile takes back what was stored. */
  async #storeUnlessBarred(flight: Flight, draft: Draft): Promise<StoreResult> {
    if (await draft.isBarred()) return this.#answers.fenced(flight, "transaction");
    const result = draft.begin(this.#context.clock.now());
    return result === undefined ? this.#store(flight, draft) : draft.withdraw(result);
  }

  /**
   * Writes in its turn among the writes of the key. When its time is spent, the callers get the loaded value; the
   * flight keeps waiting.
   */
  async #store(flight: Flight, draft: Draft): Promise<StoreResult> {
    const { writes } = this.#context;
    const found = draft.versions();
    const encoding = draft.encode(isThenable(found) ? await this.#inTime(flight, found) : found);
    const refusal = isThenable(encoding) ? await encoding : encoding;
    if (refusal !== undefined) return refusal;
    const turns = writes.turn(flight.key.local);
    const isFirst = !isThenable(turns);
    const answered = flight.budget!.limit(isFirst ? "call" : "calls", () => this.#storesOn(flight));
    const turn = isFirst ? turns : await turns;
    let result: StoreResult;
    try {
      let answer: WriteAnswer;
      try {
        answer = await draft.send();
      } catch (error) {
        answer = error as Error;
      }
      const sent = draft.sent(answer);
      result = this.#context.barrier === undefined ? sent : await draft.withdraw(sent);
    } finally {
      writes.end(turn);
      answered();
    }
    return draft.settled(result);
  }

  /** The time for its store is spent: its callers need not wait for it. */
  #storesOn(flight: Flight): void {
    flight.runInContext(() => {
      try {
        this.#callers.answerAll(flight, loadedAnswer(flight.climb.loaded!));
      } catch (error) {
        this.#broken(flight, error);
      }
    });
  }

  #stored(flight: Flight, result: StoreResult): void {
    const { clock, decisions, local } = this.#context;
    const { key, call, fallback } = flight;
    decisions?.note(key.local, "store", say.describeStore(flight, result, local));
    const isWithheld = result === "no-store" || result === "not-shared";
    if (!isWithheld) this.#backoffs.shared(key.local);
    // The stale entry stays: without a pause each hit of it would load again. A value for all was made of stale ones,
    // which are being refreshed.
    else if (fallback !== undefined)
      this.#backoffs.pause(
        key.local,
        clock.now() + (flight.climb.report!.isStorable ? POLL_MS : call.policy.errorBackoffMs),
      );
    this.#answer(flight, result);
  }

  // ---- the end

  #answer(flight: Flight, result: StoreResult): void {
    const { report, loaded } = flight.climb;
    const event = report?.event;
    if (event !== undefined) this.#context.events.load.emit({ ...event, result });
    this.#callers.end(flight);
    this.#callers.answerAll(flight, { ...loadedAnswer(loaded!), isStored: isStored(result) });
  }

  /** An exception of a step: the callers settle. */
  #broken(flight: Flight, error: unknown): void {
    this.#answers.broken(flight, error);
    // They get the value.
    if (flight.phase === "storing") return this.#answer(flight, "refused");
    if (!flight.isOver) return this.#failed(flight, error);
    // It was thrown between the end of the flight and the last answer.
    this.#callers.rejectAll(flight, error);
  }

  #failed(flight: Flight, error: unknown): void {
    if (flight.isOver) return;
    const failure: Failure = { error, options: flight.climb.running?.options };
    this.#backoffs.failed(flight, failure, this.#callers.fallbackOf(flight).entry, this.#context.clock.now());
    this.#reject(flight, failure);
  }

  #reject(flight: Flight, failure: Failure): void {
    // Ended in this very tick: the next caller starts a new load, which never overlaps this one.
    this.#callers.end(flight);
    this.#callers.failAll(flight, failure);
  }
}

/**
 * The flight that `call` may join: no change, no forced call, and no event of a tag that is known for it, ended that.
 * Its loader may still add a tag that had an event: see {@link isLate}.
 */
function joinable({ flights, tags }: Copies, call: GetOrSetCall): Flight | undefined {
  const flight = flights.joinable(call.key.local, call.startedAt);
  if (IN_WORKER && (flight?.climb.running?.endOverdue(call.startedAt) === true || !SHARES_PROMISES)) return undefined;
  if (flight === undefined || !isLate(tags, flight)) return flight;
  const { tagSequence, heardSequence } = flight;
  if (tags.hadEvents(flight.dependsOn, tagSequence, heardSequence)) return undefined;
  if (call.tags.length !== 0 && tags.hadEvents(dependencies(call.key.space, call.tags), tagSequence, heardSequence))
    return undefined;
  return flight;
}

/**
 * Whether a tag event has happened since the flight began. A caller that joins after one gets its result only if none
 * of the tags of that result had one, which shows when the load ends.
 */
const isLate = (tags: TagEvents, { key, tagSequence, changedSince }: Flight): boolean =>
  tags.hasEvents(key.space, tagSequence, changedSince);

/** Given as the seen version to `acquire`, it takes the lease from any holder. */
const TAKE_OVER = "*";
const DONE = Promise.resolve();

/** Another process loads for longer than a load may take. */
const elsewhereTimeout = (loadTimeoutMs: number): LoadTimeoutError =>
  new LoadTimeoutError(`no value within loadTimeout, ${loadTimeoutMs} ms: another process is loading it`, {
    operation: "load",
  });
