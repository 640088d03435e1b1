import { LoadTimeoutError } from "../contracts/errors.ts";
import type { Entry } from "../entry/entry.ts";
import { canServeOnError, judge, newer } from "../entry/freshness.ts";
import { entryKey, localKey } from "../entry/key.ts";
import type { Pinned } from "../tags/tag-versions.ts";
import type { LeaseAnswer } from "../tiers/entry-tier.ts";
import { Answers, hit, loadedAnswer, stale } from "./answers.ts";
import { promote, readAfterReplay } from "./backend-read.ts";
import type { GetOrSetCall, NamespaceContext } from "./call.ts";
import type { EngineContext } from "./context.ts";
import { describeLease, describeLoad, describeRead, describeStore, describeUnreachable } from "./explanations.ts";
import { ErrorBackoffs } from "./error-backoffs.ts";
import { inTime } from "./flight-limits.ts";
import { FlightLoads } from "./flight-loads.ts";
import type { Flight } from "./flight.ts";
import { joinable, launch } from "./launch.ts";
import { LeaseAcquisition } from "./lease-acquisition.ts";
import { POLL_MS } from "./lease.ts";
import type { Loaded } from "./load.ts";
import type { LoadedStore } from "./loaded-store.ts";
import { isLoading, reentrant } from "./loading.ts";
import type { Waiters } from "./waiters.ts";

/** The answer to one call, and the flight that the call began, if it began one. */
export interface Entered {
  readonly answer: Promise<unknown>;
  readonly flight: Flight | undefined;
}

/**
 * The ladder of `getOrSet`, the one way in which a value is found or loaded:
 *
 *     local copy ──fresh──▶ answer                              (before this file: `NamespaceView`)
 *        │ stale within staleWhileRevalidate ─▶ answer, go on in the background
 *     join a flight of this key
 *        │
 *     read the backend ──fresh──▶ promote, answer
 *        │ stale within staleWhileRevalidate ─▶ answer, go on in the background
 *     back off after a failure ──covered by staleIfError──▶ answer
 *        │
 *     take the lease, pin tag versions ──held elsewhere──▶ wait for that load, then read the backend again
 *        │                       └──stored since──▶ as found in the backend
 *     load ──failed──▶ what staleIfError covers, or the error, for all callers
 *        │
 *     store in the backend under the lease, then locally, unless fenced; answer
 *
 * Promises kept here: nothing is promoted or stored that a fence overtook; a failed flight ends in the tick in which it
 * fails, so two loads never run at once because of it; each caller ends exactly once, within its own timeouts.
 */
export class ReadThrough {
  readonly #context: EngineContext;
  readonly #waiters: Waiters;
  readonly #loadedStore: LoadedStore;
  readonly #leases: LeaseAcquisition;
  readonly #answers: Answers;
  readonly #loads: FlightLoads;
  readonly #backoffs = new ErrorBackoffs();

  constructor(context: EngineContext, waiters: Waiters, loadedStore: LoadedStore) {
    this.#context = context;
    this.#waiters = waiters;
    this.#loadedStore = loadedStore;
    this.#leases = new LeaseAcquisition(context);
    this.#answers = new Answers(context);
    this.#loads = new FlightLoads(context, waiters);
  }

  /** A fresh local copy: counted, and returned as this caller gets it. */
  hit(namespace: NamespaceContext, key: string, startedAt: number, held: Entry): unknown {
    const { local, meter, events, clock, decisions } = this.#context;
    decisions?.note(localKey(namespace.keySpace, key), "call", `hit, from ${local!.label}`);
    local!.meter.hits += 1;
    meter.hits += 1;
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
    const { answer, flight } = this.#enter(call, held);
    if (flight === undefined) return answer;
    if (this.#isCovered(flight)) this.#proceed(flight, this.#readAfterReplay(flight));
    else if (this.#reads(flight)) this.#proceed(flight, call.namespace.remote!.read(flight, flight.backendLeftMs));
    else void this.#load(flight);
    return answer;
  }

  /** {@link fetch} for many calls of one namespace: one trip to the backend. */
  fetchMany(calls: readonly (readonly [GetOrSetCall, Entry | undefined])[]): readonly Entered[] {
    const entered = calls.map(([call, held]) => this.#enter(call, held));
    const flights = entered.flatMap(({ flight }) => flight ?? []);
    const reading = flights.filter((flight) => this.#reads(flight) && !this.#isCovered(flight));
    const sent = reading[0]?.call.namespace.remote!.readMany(reading, reading[0].backendLeftMs) ?? [];
    const reads = new Map(reading.map((flight, i) => [flight, sent[i]]));
    for (const flight of flights) {
      const read = reads.get(flight) ?? (this.#isCovered(flight) ? this.#readAfterReplay(flight) : undefined);
      if (read === undefined) void this.#load(flight);
      else this.#proceed(flight, read);
    }
    return entered;
  }

  // ---- before the backend

  /** A stale copy, or the flight of another caller, or else a flight of its own. */
  #enter(call: GetOrSetCall, held: Entry | undefined): Entered {
    const { decisions, local } = this.#context;
    if (decisions !== undefined && local !== undefined)
      decisions.note(call.key.local, "copy", local.explain(call.key.local, call.startedAt));
    const isOwn = call.isForced || call.isAfter;
    const joined = isOwn ? undefined : joinable(this.#context, call);
    const verdict = isOwn ? "absent" : judge(held, call.startedAt, call.policy);
    switch (verdict) {
      case "fresh":
      case "ahead":
      case "revalidate": {
        const isBackedOff = this.#backoffs.isActive(call.key.local, call.startedAt);
        const { label } = local!;
        const answer = Promise.resolve(
          this.#answers.serve(
            call,
            "first",
            verdict === "revalidate" ? stale(held!, label, isBackedOff ? "error" : "revalidating") : hit(held!, label),
          ),
        );
        const refreshes =
          verdict !== "fresh" && joined === undefined && !isBackedOff && !isLoading(this.#context, call.key.local);
        return { answer, flight: refreshes ? launch(this.#context, call, held, "background") : undefined };
      }
      case "fallback":
      case "absent": {
        if (isLoading(this.#context, call.key.local))
          return { answer: this.#answers.reject(call, reentrant(call.key.name)), flight: undefined };
        if (call.signal?.aborted === true)
          return { answer: this.#answers.reject(call, call.signal.reason), flight: undefined };
        if (joined !== undefined) return { answer: this.#join(joined, call), flight: undefined };
        const flight = launch(this.#context, call, held, "foreground");
        return { answer: this.#waiters.wait(flight, call, "first"), flight };
      }
    }
  }

  #join(flight: Flight, call: GetOrSetCall): Promise<unknown> {
    const { meter, events } = this.#context;
    meter.coalesced += 1;
    if (events.coalesced.isObserved) events.coalesced.emit(this.#answers.keyEvent(call.key));
    if (call.tags.length !== 0) flight.addTags(call.tags);
    if (flight.loaded !== undefined)
      return Promise.resolve(this.#answers.serve(call, "joined", loadedAnswer(flight.loaded.value)));
    // The answer that a flight in the background went on after is there for late callers too.
    switch (flight.isBackground ? judge(flight.fallback, call.startedAt, call.policy) : "absent") {
      case "fresh":
      case "ahead":
        return Promise.resolve(this.#answers.serve(call, "joined", hit(flight.fallback!, flight.fallbackTier)));
      case "revalidate":
        return Promise.resolve(
          this.#answers.serve(call, "joined", stale(flight.fallback!, flight.fallbackTier, "revalidating")),
        );
      case "fallback":
      case "absent":
        return this.#waiters.wait(flight, call, "joined");
    }
  }

  // ---- the backend

  /**
   * Whether the backend is read first. Skipped for forced loads; and for `after` reads where there are leases: a
   * replica may lag behind the token, but the lease is always granted by the primary.
   */
  #reads({ call }: Flight): boolean {
    const { remote } = call.namespace;
    return remote !== undefined && !call.isForced && !(call.isAfter && remote.leases !== undefined);
  }

  /** Whether a pending invalidation covers the entry in the backend. A forced load reads no entry. */
  #isCovered(flight: Flight): boolean {
    const { recovery } = this.#context;
    return !flight.call.isForced && recovery?.coversTagged(flight.key, flight.expectedTags) === true;
  }

  #readAfterReplay(flight: Flight): Promise<Entry | undefined> {
    const { remote } = flight.call.namespace;
    return readAfterReplay(
      remote!.label,
      () => this.#isCovered(flight),
      () => inTime(this.#context.clock, flight, this.#context.recovery!.replay()),
      () => (this.#reads(flight) ? remote!.read(flight, flight.backendLeftMs) : undefined),
    );
  }

  #proceed(flight: Flight, read: Promise<Entry | undefined>): void {
    read.then(
      (entry) => {
        flight.readAnswered(this.#context.clock.now());
        this.#found(flight, entry);
      },
      () => this.#unreachable(flight),
    );
  }

  /**
   * No backend can confirm a copy: one that is newer than every call of this process is served as if it were confirmed.
   */
  #unreachable(flight: Flight): void {
    flight.becomeUnreachable();
    if (flight.isOver) return;
    const { local, clock, decisions } = this.#context;
    const copy = flight.call.isAfter ? undefined : local?.unconfirmed(flight.key.local, clock.now());
    decisions?.note(flight.key.local, "backend", describeUnreachable(copy));
    if (copy === undefined) return void this.#load(flight);
    const best = newer(copy, flight.fallback);
    flight.fallBackOn(best, local!.label, "copy");
    this.#decide(flight, best);
  }

  #found(flight: Flight, found: Entry | undefined): void {
    if (flight.isOver) return;
    const { clock, recovery, tags, decisions } = this.#context;
    const { namespace, key, policy } = flight.call;
    const now = clock.now();
    const entry = found && tags.applyTo(found, now);
    // This process invalidated it, and the backend does not know yet.
    const isHidden = entry !== undefined && recovery?.covers(key, entry.dependsOn) === true;
    decisions?.note(key.local, "backend", describeRead(flight, entry, isHidden, now));
    const best = newer(isHidden ? undefined : entry, flight.fallback);
    if (best !== undefined && best === entry) {
      flight.fallBackOn(entry, namespace.remote!.label, "read");
      promote(this.#context, flight, entry, policy.localTtlMs, now);
    }
    this.#decide(flight, best);
  }

  /** Answers, or goes on, once the best entry is known. */
  #decide(flight: Flight, best: Entry | undefined): void {
    const now = this.#context.clock.now();
    switch (judge(best, now, flight.call.policy)) {
      case "fresh":
        this.#waiters.end(flight);
        this.#waiters.answerAll(flight, () => hit(best!, flight.fallbackTier));
        return;
      case "ahead":
      case "revalidate":
        if (!flight.isBackground) this.#answerAndGoOn(flight, best!, now);
        break;
      case "fallback":
        flight.loadBecause("stale");
        break;
      case "absent":
        break;
    }
    if (flight.isOver) return;
    // The fallback is known only now.
    for (const waiter of flight.waiters) this.#waiters.startSoftTimeout(flight, waiter);
    void this.#load(flight);
  }

  /** Answers the callers that accept the entry as it is, and goes on for the others, or in the background. */
  #answerAndGoOn(flight: Flight, entry: Entry, now: number): void {
    const isFresh = now < entry.staleAt;
    const isBackedOff = this.#backoffs.isActive(flight.key.local, now);
    const takes = ({ policy }: GetOrSetCall): boolean => isFresh || judge(entry, now, policy) === "revalidate";
    flight.loadBecause(isFresh ? "refresh-ahead" : "stale");
    if (flight.waiters.every(({ call }) => takes(call))) {
      flight.goToBackground();
      if (isBackedOff || flight.fencedBy !== undefined) this.#waiters.end(flight);
      else this.#context.waitUntil?.(flight.whenSettled());
    }
    const answer = isFresh
      ? hit(entry, flight.fallbackTier)
      : stale(entry, flight.fallbackTier, isBackedOff ? "error" : "revalidating");
    this.#waiters.answerAll(flight, () => answer, takes);
  }

  // ---- the load

  /** Never rejects. */
  async #load(flight: Flight): Promise<void> {
    const { loads, backgroundLoads, decisions } = this.#context;
    if (flight.isOver) return;
    flight.queue();
    if (this.#answersByBackoff(flight)) return;
    // A nested load takes no slot: the load around it waits for it and holds one.
    const isCounted = flight.call.batch === undefined && !isLoading(this.#context);
    // A caller that has to wait may have joined: then the load cannot be left to a later call.
    const isUnawaited = flight.isBackground && flight.waiters.length === 0;
    if (isUnawaited && !backgroundLoads.tryTake()) {
      // Too many at once: a later call tries again.
      this.#waiters.end(flight);
      return;
    }
    let elsewhere: Exclude<LeaseAnswer, { readonly kind: "granted" }> | undefined;
    try {
      if (isCounted && !loads.tryTake() && !(await loads.take(flight.whenSettled()))) return;
      try {
        const acquired = await this.#leases.acquire(flight);
        decisions?.note(flight.key.local, "lease", describeLease(acquired, flight));
        if (acquired.kind === "held" || acquired.kind === "entry") elsewhere = acquired;
        else if (!flight.isOver) await this.#loadAndStore(flight, acquired.pinned);
      } finally {
        // In any case, other processes may load.
        flight.lease?.release();
        if (isCounted) loads.free();
      }
    } finally {
      if (isUnawaited) backgroundLoads.free();
    }
    if (elsewhere?.kind === "entry") {
      // Another process has stored since the backend was read.
      flight.saw(elsewhere.seen);
      this.#found(flight, elsewhere.entry);
    }
    // Compared again: a caller that has to wait may have joined meanwhile.
    else if (elsewhere !== undefined && flight.isBackground && flight.waiters.length === 0) this.#waiters.end(flight);
    else if (elsewhere !== undefined) await this.#waitElsewhere(flight, elsewhere.heldForMs);
  }

  /** Within the back-off after a failed load, callers that `staleIfError` covers are answered without another load. */
  #answersByBackoff(flight: Flight): boolean {
    const now = this.#context.clock.now();
    if (
      flight.call.isForced ||
      !this.#backoffs.isActive(flight.key.local, now) ||
      !flight.waiters.every(({ call }) => canServeOnError(flight.fallback, now, call.policy))
    )
      return false;
    this.#waiters.end(flight);
    this.#waiters.answerAll(flight, () => stale(flight.fallback!, flight.fallbackTier, "error"));
    return true;
  }

  /**
   * Another process loads: reads the backend again when something happens to the key, when the lease has expired, and
   * every `POLL_MS` in any case. Bounded like a load: a longer wait counts as a failed load.
   */
  async #waitElsewhere(flight: Flight, heldForMs: number): Promise<void> {
    const { clock, trust, tags } = this.#context;
    const { loadTimeoutMs } = flight.call.policy;
    const now = clock.now();
    const waitsSince = flight.waitElsewhere(now);
    const leftMs = waitsSince + loadTimeoutMs - now;
    const { batch } = flight.call;
    batch?.paused();
    if (!flight.isWoken) await flight.nextWake(clock, Math.min(heldForMs, POLL_MS, leftMs));
    batch?.resumed();
    if (flight.isOver) return;
    if (clock.now() - waitsSince >= loadTimeoutMs) return this.#failed(flight, elsewhereTimeout(loadTimeoutMs));
    // An entry that was removed meanwhile is not served as fallback.
    if (this.#waiters.fallbackOf(flight) === undefined) flight.dropFallback();
    flight.restart(trust.epoch, tags.sequence, clock.now());
    this.#proceed(flight, this.#readAfterReplay(flight));
  }

  async #loadAndStore(flight: Flight, pinned: Pinned | undefined): Promise<void> {
    const { clock, meter, decisions } = this.#context;
    const startedAt = clock.now();
    const outcome = this.#loads.run(flight);
    let loaded: Loaded;
    try {
      loaded = await outcome;
    } catch (error) {
      this.#loads.countFailure(flight, error);
      this.#failed(flight, error);
      this.#loads.reportFailure(flight, error, clock.now() - startedAt);
      return;
    }
    const durationMs = clock.now() - startedAt;
    meter.load.record(durationMs);
    if (flight.isOver) return;
    flight.store(loaded.value);
    this.#backoffs.end(flight.key.local);
    decisions?.note(flight.key.local, "load", describeLoad(flight, durationMs));
    const result = await this.#loadedStore.store(flight, loaded, pinned);
    decisions?.note(flight.key.local, "store", describeStore(flight, result));
    this.#loads.report(flight, result, durationMs);
    this.#waiters.end(flight);
    this.#waiters.answerAll(flight, () => loadedAnswer(loaded.value));
  }

  #failed(flight: Flight, error: unknown): void {
    if (flight.isOver) return;
    if (this.#waiters.fallbackOf(flight) !== undefined)
      this.#backoffs.begin(flight.key.local, this.#context.clock.now() + flight.call.policy.errorBackoffMs);
    // Ended in this very tick: the next caller starts a new load, which never runs beside this one.
    this.#waiters.end(flight);
    this.#waiters.failAll(flight, error);
  }

  /** A write made the failed load obsolete. */
  endBackoff(localKey: string): void {
    this.#backoffs.end(localKey);
  }
}

const elsewhereTimeout = (loadTimeoutMs: number): LoadTimeoutError =>
  new LoadTimeoutError(`no value within loadTimeout, ${loadTimeoutMs} ms: another process is loading it`, {
    operation: "load",
  });
