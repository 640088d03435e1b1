import type { LoadReason } from "../contracts/events.ts";
import type { Entry } from "../entry/entry.ts";
import { judge, newer, newerThanRead, type Verdict } from "../entry/freshness.ts";
import { dependencies, entryKey, localKey } from "../entry/key.ts";
import { ignore } from "../primitives/ignore.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import type { ReadOutcome } from "../tiers/entry-tier.ts";
import { type Answer, type Answers, hit, loadedAnswer, type Offer } from "./answers.ts";
import type { Backoffs } from "./backoffs.ts";
import type { GetOrSetCall, NamespaceContext } from "./call.ts";
import type { Copies, Life, Limits, Reporting, Writing } from "./context.ts";
import type { Ends, Waiter } from "./crowd.ts";
import { describeRead, describeUnreachable } from "./explanations.ts";
import { Flight, type Side } from "./flight.ts";
import { LoadThrough, type Steps } from "./load-through.ts";
import { isLoading, reentrant, usedByCaller } from "./loading.ts";
import { promote, readAfterReplay } from "./reads.ts";
import { suitsAll, type Waiters } from "./waiters.ts";

/** One of many calls: the local copy, if there is one, and how the call ends. */
export interface Entering {
  readonly call: GetOrSetCall;
  readonly held: Entry | undefined;
  readonly ends: Ends;
}

type ReadContext = Reporting & Copies & Limits & Life & Pick<Writing, "writes" | "recovery">;

/**
 * The ladder of `getOrSet`, the one way in which a value is found or loaded:
 *
 *     local copy ──fresh──▶ answer                              (before this file: `NamespaceView`)
 *        │ may be served stale ─▶ answer, go on in the background
 *     join a flight of this key ──it knows an entry, or the value──▶ answer
 *        │
 *     read the backend ──fresh──▶ promote, answer
 *        │ may be served stale ─▶ promote, answer, go on in the background
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
 * Promises kept here, and below in {@link LoadThrough}: nothing is promoted or stored that a fence overtook; a failed
 * flight ends in the tick in which it fails, so two loads never overlap because of it; each caller ends exactly once,
 * within its own timeouts.
 */
export class ReadThrough {
  readonly #context: ReadContext;
  readonly #waiters: Waiters;
  readonly #answers: Answers;
  readonly #backoffs: Backoffs;
  readonly #below: LoadThrough;

  constructor(context: ReadContext, steps: Steps) {
    this.#context = context;
    this.#answers = steps.answers;
    this.#waiters = steps.waiters;
    this.#backoffs = steps.backoffs;
    this.#below = new LoadThrough(context, steps, {
      fallBackOn: (flight, found) => this.#fallBackOn(flight, found),
      found: (flight, found) => this.#found(flight, found),
      readAgain: (flight) => this.#readAgain(flight),
    });
  }

  /** A fresh local copy: counted, and returned as this caller gets it. */
  hit(namespace: NamespaceContext, key: string, startedAt: number, held: Entry): unknown {
    const { local, events, clock, decisions } = this.#context;
    decisions?.note(localKey(namespace.keySpace, key), "call", `hit, from ${local!.label}`);
    local!.meter.hits += 1;
    namespace.meter.hits += 1;
    usedByCaller()?.add(this.#context, namespace.remote, held);
    if (events.hit.isObserved)
      events.hit.emit({
        ...this.#answers.keyEvent(entryKey(namespace.keySpace, key)),
        tier: local!.label,
        durationMs: clock.now() - startedAt,
      });
    return local!.isShared ? held.value : local!.handOut(held.value);
  }

  /** Answers a call that a fresh local copy alone did not answer. @param held the local copy, if there is one. */
  fetch(call: GetOrSetCall, held: Entry | undefined): Promise<unknown> {
    const ends = Promise.withResolvers<unknown>();
    const flight = this.#enter({ call, held, ends });
    if (flight !== undefined && this.#readsNow(flight))
      call.namespace.remote!.readTo(flight, flight.budget.leftMs, (outcome) => this.#readEnded(flight, outcome));
    return ends.promise;
  }

  /** {@link fetch} for many calls of one namespace: one trip to the backend. @returns the flights that they began. */
  fetchMany(entering: readonly Entering[]): readonly Flight[] {
    const flights: Flight[] = [];
    for (const each of entering) {
      const flight = this.#enter(each);
      if (flight !== undefined) flights.push(flight);
    }
    this.#begin(flights);
    return flights;
  }

  #begin(flights: readonly Flight[]): void {
    const reading = flights.filter((flight) => this.#readsNow(flight));
    const [first] = reading;
    first?.call.namespace.remote!.readMany(reading, first.budget.leftMs, (i, outcome) =>
      this.#readEnded(reading[i]!, outcome),
    );
  }

  /** Begins a flight, but for the read that the caller sends if it is `true`. */
  #readsNow(flight: Flight): boolean {
    if (this.#isCovered(flight)) this.#proceed(flight, this.#readAfterReplay(flight));
    else if (this.#reads(flight)) return true;
    else this.#below.load(flight);
    return false;
  }

  // ---- before the backend

  /** The answer of a copy, or of the flight of another caller, or else of the flight that it returns. */
  #enter({ call, held, ends }: Entering): Flight | undefined {
    const { decisions, local } = this.#context;
    const { key, startedAt } = call;
    if (decisions !== undefined && local !== undefined)
      decisions.note(key.local, "copy", local.explain(key.local, startedAt));
    const isOwn = call.isForced || call.isCurrent;
    const joined = isOwn ? undefined : joinable(this.#context, call);
    const copy = { entry: isOwn ? undefined : held, tier: local?.label ?? "" };
    const answer = this.#backoffs.answerOf(copy, call, startedAt);
    if (answer !== undefined) {
      const refreshes = joined === undefined && this.#refreshes(call, held);
      // Before the caller is answered: its listener may ask for the same key.
      const flight = refreshes ? this.#launch(call, held, "background") : undefined;
      ends.resolve(this.#answers.serve(call, "first", answer));
      return flight;
    }
    if (isLoading(this.#context, key.local)) {
      const error = reentrant(this.#context.redactKey?.(key.name) ?? key.name);
      ends.reject(this.#answers.failed(call, error));
    } else if (call.signal?.aborted === true) ends.reject(this.#answers.failed(call, call.signal.reason));
    else if (this.#waiters.refuses(call)) this.#waiters.refuse(call, copy, ends);
    else if (joined !== undefined) this.#join(joined, call, ends);
    else {
      const flight = this.#launch(call, held, "foreground");
      this.#waiters.wait(flight, call, "first", ends);
      return flight;
    }
    return undefined;
  }

  /** Begins a flight, registered before anything is sent. @param held the local copy, if there is one. */
  #launch(call: GetOrSetCall, held: Entry | undefined, side: Side): Flight {
    const { flights, tags, local, clock, waitUntil, lifecycle } = this.#context;
    const copy = held !== undefined && clock.now() < held.deadAt && !call.isCurrent ? held : undefined;
    const flight = new Flight(call, tags.sequence, reasonOf(call, copy), side);
    if (copy !== undefined) flight.fallBackOn(copy, local!.label, "copy");
    if (!lifecycle.isOpen) flight.storesNothing = true;
    flights.add(call.key.local, flight);
    if (call.isForced || call.isCurrent) flights.supersede(call.key.local, flight);
    if (side === "background" && flight.crowd.outlive()) waitUntil?.(flight.whenSettled());
    // One that is forced, or current, depends on the lease.
    if (!call.isForced && !call.isCurrent && this.#backoffs.isUnshared(call.key.local, call.startedAt)) {
      flight.isAlone = true;
      flight.supersede();
    }
    return flight;
  }

  /** Whether a copy that is served is refreshed in the background. */
  #refreshes({ key, startedAt, policy }: GetOrSetCall, held: Entry | undefined): boolean {
    return (
      judge(held, startedAt, policy) !== "fresh" &&
      this.#context.lifecycle.isOpen &&
      !this.#backoffs.isPaused(key.local, startedAt) &&
      !isLoading(this.#context, key.local)
    );
  }

  #join(flight: Flight, call: GetOrSetCall, ends: Ends): void {
    const { events, clock } = this.#context;
    call.namespace.meter.coalesced += 1;
    if (call.tags.length !== 0) flight.crowd.addTags(call.tags);
    const late = isLate(this.#context.tags, flight);
    const known = this.#known(flight, call, clock.now());
    const answer =
      known !== undefined && this.#waiters.suits(flight, { role: "joined", isLate: late }, known) ? known : undefined;
    if (answer === undefined)
      this.#waiters.wait(flight, call, "joined", ends, { again: (waiter) => this.#again(waiter), isLate: late });
    else ends.resolve(this.#answers.serve(call, "joined", answer));
    if (answer === undefined && isLoading(this.#context)) flight.skipQueue();
    // After it waits: a listener may end the flight.
    if (events.coalesced.isObserved) events.coalesced.emit(this.#answers.keyEvent(call.key));
  }

  /**
   * The result of the flight that a caller joined was not for it: it is for one caller, or a tag of it had an event
   * before the caller joined. It joins no flight from before any tag event, so it waits for one more at most.
   */
  #again(waiter: Waiter<Flight>): void {
    const { clock, local } = this.#context;
    const now = clock.now();
    const call = { ...waiter.call, startedAt: now };
    const held = local?.get(call.key.local, now);
    const answer = this.#backoffs.answerOf({ entry: held, tier: local?.label ?? "" }, call, now);
    if (answer !== undefined) return this.#waiters.answerMoved(waiter, answer);
    const joined = joinable(this.#context, call);
    if (joined !== undefined && !isLate(this.#context.tags, joined)) {
      if (call.tags.length !== 0) joined.crowd.addTags(call.tags);
      this.#waiters.move(waiter, joined);
      if (waiter.isNested) joined.skipQueue();
      return;
    }
    waiter.role = "first";
    const flight = this.#launch(call, held, "foreground");
    this.#waiters.move(waiter, flight);
    call.batch?.joins();
    this.#begin([flight]);
  }

  /** The answer that a flight has for a call that joins it. While the backend is asked there is none. */
  #known(flight: Flight, call: GetOrSetCall, now: number): Answer | undefined {
    if (flight.loaded !== undefined) return loadedAnswer(flight.loaded);
    if (flight.phase === "reading") return undefined;
    return this.#backoffs.answerOf(this.#waiters.fallbackOf(flight), call, now);
  }

  // ---- the backend

  /**
   * Whether the backend is read first. Skipped for forced loads; and for `after` reads where there are leases: a
   * replica may lag behind the token, but the lease is always granted by the primary.
   */
  #reads({ call }: Flight): boolean {
    const { remote } = call.namespace;
    if (remote === undefined || this.#context.lifecycle.isEnding) return false;
    return !call.isForced && !(call.isCurrent && remote.leases !== undefined);
  }

  /** Whether a pending invalidation covers the entry in the backend. A forced load reads no entry. */
  #isCovered(flight: Flight): boolean {
    const { recovery } = this.#context;
    return !flight.call.isForced && recovery?.coversTagged(flight.key, flight.expectedTags) === true;
  }

  #readAfterReplay(flight: Flight): Promise<Entry | undefined> {
    const { remote } = flight.call.namespace;
    const { clock, recovery, writes } = this.#context;
    return readAfterReplay(
      remote!.label,
      recovery,
      () => this.#isCovered(flight),
      async () => {
        await flight.budget.limit(clock, recovery!.replay(), "calls", ignore, (error) => {
          throw error;
        });
        // A write of this process that is still under way has fenced the flight for good.
        if (!writes.has(flight.key.local)) this.#restart(flight);
      },
      () => (this.#reads(flight) ? remote!.read(flight, flight.budget.leftMs) : undefined),
    );
  }

  /** The flight begins again: changes until now do not concern what it finds from now on. */
  #restart(flight: Flight): void {
    const { clock, trust, tags } = this.#context;
    // An entry that was removed meanwhile is not served as fallback.
    if (this.#waiters.fallbackOf(flight).entry === undefined) flight.dropFallback();
    flight.restart(trust.epochOf(flight.key.local), tags.sequence, clock.now());
  }

  #readAgain(flight: Flight): void {
    this.#restart(flight);
    this.#proceed(flight, this.#readAfterReplay(flight));
  }

  #proceed(flight: Flight, read: Promise<Entry | undefined>): void {
    read.then(
      (entry) => this.#readEnded(flight, entry),
      (error: Error) => this.#readEnded(flight, error),
    );
  }

  #readEnded(flight: Flight, outcome: ReadOutcome): void {
    try {
      if (outcome instanceof Error) return this.#unreachable(flight);
      flight.budget.spend(this.#context.clock.now());
      this.#found(flight, outcome);
    } catch (error) {
      this.#below.broken(flight, error);
    }
  }

  /**
   * No backend can confirm a copy: one that is newer than every call of this process is served as if it were confirmed.
   */
  #unreachable(flight: Flight): void {
    flight.isUnreachable = true;
    if (flight.isOver) return;
    const { local, clock, decisions } = this.#context;
    const copy = flight.call.isCurrent ? undefined : local?.unconfirmed(flight.key.local, clock.now());
    decisions?.note(flight.key.local, "backend", describeUnreachable(copy));
    if (copy === undefined) return this.#below.load(flight);
    flight.fallBackOn(newer(copy, flight.fallback), local!.label, "copy");
    this.#decide(flight);
  }

  #found(flight: Flight, found: Entry | undefined): void {
    if (flight.isOver) return;
    this.#fallBackOn(flight, found);
    this.#decide(flight);
  }

  /** Takes an entry that was read as the fallback, if it is the best one, and keeps a copy of it. */
  #fallBackOn(flight: Flight, found: Entry | undefined): void {
    const { clock, recovery, tags, decisions } = this.#context;
    const { namespace, key, policy } = flight.call;
    const now = clock.now();
    const read = found && tags.applyTo(found, now);
    // This process invalidated it, and the backend does not know yet, or did not when it answered.
    const isHidden = read !== undefined && recovery?.hides(key, read) === true;
    decisions?.note(key.local, "backend", describeRead(flight, read, isHidden, now));
    if (read?.terms.marker !== undefined && !isHidden) this.#marked(flight, read);
    else if (flight.seen === "" && namespace.remote?.leases !== undefined) this.#backoffs.shared(key.local);
    const entry = read?.terms.marker === undefined ? read : undefined;
    const best = newerThanRead(isHidden ? undefined : entry, flight.fallback);
    if (best !== undefined && best === entry) {
      flight.fallBackOn(entry, namespace.remote!.label, "read");
      // A forced load replaces it.
      if (!flight.call.isForced) promote(this.#context, flight, entry, policy.localTtlMs, now);
    }
  }

  /** The last value of this key was stored nowhere: no caller waits for another such load. */
  #marked(flight: Flight, { staleAt, terms }: Entry): void {
    if (this.#context.clock.now() >= staleAt || flight.call.isForced) return;
    flight.isAlone = true;
    if (terms.marker !== "not-shared") return;
    this.#backoffs.unshared(flight, staleAt);
    flight.supersede();
    this.#waiters.startAnew(flight);
  }

  /** The best entry is known: answers the callers that it is good for, and continues for the others. */
  #decide(flight: Flight): void {
    const { fallback, call } = flight;
    const now = this.#context.clock.now();
    const verdict = judge(fallback, now, call.policy);
    if (verdict !== "fresh" || !suitsAll(flight)) return this.#goOn(flight, verdict, now);
    this.#waiters.end(flight);
    this.#waiters.answerAll(flight, hit(fallback!, flight.fallbackTier));
  }

  #goOn(flight: Flight, verdict: Verdict, now: number): void {
    const { fallback, fallbackTier: tier, call } = flight;
    if (verdict !== "absent") flight.reason = verdict === "ahead" ? "refresh-ahead" : "stale";
    // Callers that come while these are answered find what is known.
    flight.queue();
    if (fallback !== undefined) this.#answerFrom(flight, { entry: fallback, tier }, now);
    if (!flight.isAwaited && (this.#backoffs.isPaused(call.key.local, now) || flight.fencedBy !== undefined))
      return this.#waiters.end(flight);
    // The fallback is known only now.
    for (const waiter of flight.crowd.waiters) this.#waiters.startSoftTimeout(flight, waiter);
    this.#below.load(flight);
  }

  /** Answers the callers that the offer is good for. */
  #answerFrom(flight: Flight, offer: Offer, now: number): void {
    this.#waiters.answerEach(flight, (call) => this.#backoffs.answerOf(offer, call, now));
  }
}

/**
 * The flight that `call` may join: no change, no forced call, and no event of a tag that is known for it, ended that.
 * Its loader may still add a tag that had an event: see {@link isLate}.
 */
function joinable({ flights, tags }: Copies, call: GetOrSetCall): Flight | undefined {
  const flight = flights.joinable(call.key.local, call.startedAt);
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

/** @param copy the local copy, while it may be served. */
function reasonOf(call: GetOrSetCall, copy: Entry | undefined): LoadReason {
  if (call.isForced) return "forced";
  if (copy === undefined) return "miss";
  return judge(copy, call.startedAt, call.policy) === "ahead" ? "refresh-ahead" : "stale";
}
