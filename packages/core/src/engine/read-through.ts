import { hit, stale, type Waiters } from "./waiters.ts";
import type { EngineContext } from "./context.ts";
import { judge, newer, canServeOnError, type Entry } from "../entry/entry.ts";
import { LoadTimeoutError } from "../contracts/errors.ts";
import { traced } from "../contracts/events.ts";
import type { GetOrSetCall, NamespaceContext } from "./call.ts";
import type { LeaseAnswer } from "../tiers/entry-tier.ts";
import { Flight } from "./flights.ts";
import { entryKey, localKey } from "../entry/key.ts";
import { isLoading, Load, reentrant, whileLoading, type Loaded } from "./load.ts";
import { POLL_MS } from "./lease.ts";
import { unasked } from "../tiers/recovery.ts";
import type { LoadedStore } from "./loaded-store.ts";
import type { Pinned } from "../tags/tag-versions.ts";

/**
 * The ladder of `getOrSet`, the one way in which a value is found or loaded:
 *
 *     local copy ──fresh──▶ answer                              (before this file: `Namespace`)
 *        │ stale within staleWhileRevalidate ─▶ answer, go on behind
 *     join a flight of this key
 *        │
 *     read the backend ──fresh──▶ promote, answer
 *        │ stale within staleWhileRevalidate ─▶ answer, go on behind
 *     back off after a failure ──covered by staleIfError──▶ answer
 *        │
 *     take the lease, pin tag versions ──held elsewhere──▶ wait for that load, then read the backend again
 *        │                       └──stored since──▶ as found in the backend
 *     load ──failed──▶ what staleIfError covers, or the error, for everyone
 *        │
 *     store in the backend under the lease, then locally, unless fenced; answer
 *
 * Promises kept here: nothing is promoted or stored that a fence overtook; a failed flight leaves in the tick in which
 * it fails, so that two loads never run at once for its sake; each caller ends exactly once, within his own limits.
 */
export class ReadThrough {
  readonly #context: EngineContext;
  readonly #waiters: Waiters;
  readonly #loadedStore: LoadedStore;
  /** By local key, until when a failed load is not tried again. */
  readonly #backoffs = new Map<string, number>();

  constructor(context: EngineContext, waiters: Waiters, loadedStore: LoadedStore) {
    this.#context = context;
    this.#waiters = waiters;
    this.#loadedStore = loadedStore;
  }

  /** A fresh local copy: counted, and handed out as this caller gets it. */
  hit(namespace: NamespaceContext, key: string, startedAt: number, held: Entry): unknown {
    const { local, meter, events, clock, decisions } = this.#context;
    decisions?.note(localKey(namespace.keySpace, key), "call", `hit, from ${local!.label}`);
    local!.meter.hits += 1;
    meter.hits += 1;
    if (events.hit.isObserved)
      events.hit.emit({
        ...this.#waiters.keyEvent(entryKey(namespace.keySpace, key)),
        tier: local!.label,
        durationMs: clock.now() - startedAt,
      });
    return local!.isShared ? held.value : local!.handOut(held.value);
  }

  /** What a local copy alone could not answer. `held` is that copy, if there is one. */
  fetch(call: GetOrSetCall, held: Entry | undefined): Promise<unknown> {
    const { answer, flight } = this.#enter(call, held);
    if (flight !== undefined)
      this.#proceed(
        flight,
        this.#isCovered(flight)
          ? this.#readAfterReplay(flight)
          : this.#reads(flight)
            ? call.namespace.remote!.read(flight, flight.backendLeftMs)
            : undefined,
      );
    return answer;
  }

  /** {@link fetch} for many calls of one namespace: one trip to the backend. */
  fetchMany(
    calls: readonly (readonly [GetOrSetCall, Entry | undefined])[],
  ): readonly { readonly answer: Promise<unknown>; readonly flight: Flight | undefined }[] {
    const entered = calls.map(([call, held]) => this.#enter(call, held));
    const flights = entered.flatMap(({ flight }) => flight ?? []);
    const reading = flights.filter((flight) => this.#reads(flight) && !this.#isCovered(flight));
    const sent = reading[0]?.call.namespace.remote!.readMany(reading, reading[0].backendLeftMs) ?? [];
    const reads = new Map(reading.map((flight, i) => [flight, sent[i]]));
    for (const flight of flights)
      this.#proceed(flight, reads.get(flight) ?? (this.#isCovered(flight) ? this.#readAfterReplay(flight) : undefined));
    return entered;
  }

  /** The rungs before the backend: a stale copy, another caller's flight, else a flight of its own. */
  #enter(
    call: GetOrSetCall,
    held: Entry | undefined,
  ): { readonly answer: Promise<unknown>; readonly flight: Flight | undefined } {
    const { flights, tags, decisions, local } = this.#context;
    if (decisions !== undefined && local !== undefined)
      decisions.note(call.key.local, "copy", local.explain(call.key.local, call.startedAt));
    const isOwn = call.isForced || call.isAfter;
    const joinable = flights.joinable(call.key.local, call.startedAt);
    const joined =
      isOwn ||
      joinable === undefined ||
      tags.hasEvents(call.namespace.keySpace, joinable.tagSequence, joinable.heardSequence)
        ? undefined
        : joinable;
    const verdict = isOwn ? "absent" : judge(held, call.startedAt, call.policy);
    switch (verdict) {
      case "fresh":
      case "ahead":
      case "revalidate": {
        const isBackedOff = this.#isBackedOff(call.key.local, call.startedAt);
        const { label } = local!;
        const answer = Promise.resolve(
          this.#waiters.serve(
            call,
            false,
            verdict === "revalidate" ? stale(held!, label, isBackedOff ? "error" : "revalidating") : hit(held!, label),
          ),
        );
        const refreshes =
          verdict !== "fresh" && joined === undefined && !isBackedOff && !isLoading(this.#context, call.key.local);
        return { answer, flight: refreshes ? this.#launch(call, held, true) : undefined };
      }
      case "fallback":
      case "absent": {
        if (isLoading(this.#context, call.key.local))
          return { answer: this.#waiters.reject(call, reentrant(call.key.name)), flight: undefined };
        if (call.signal?.aborted === true)
          return { answer: this.#waiters.reject(call, call.signal.reason), flight: undefined };
        if (joined !== undefined) return { answer: this.#join(joined, call), flight: undefined };
        const flight = this.#launch(call, held, false);
        return { answer: this.#waiters.wait(flight, call, false), flight };
      }
    }
  }

  #launch(call: GetOrSetCall, held: Entry | undefined, isBackground: boolean): Flight {
    const { flights, tags, local, clock, waitUntil } = this.#context;
    const isHeld = held !== undefined && clock.now() < held.deadAt && !call.isAfter;
    const reason = call.isForced
      ? "forced"
      : !isHeld
        ? "miss"
        : judge(held, call.startedAt, call.policy) === "ahead"
          ? "refresh-ahead"
          : "stale";
    const flight = new Flight(call, tags.sequence, reason, isBackground);
    if (isHeld) {
      flight.fallback = held;
      flight.fallbackTier = local!.label;
      flight.hasCopy = true;
    }
    flights.add(call.key.local, flight);
    if (call.isForced || call.isAfter) flights.supersede(call.key.local, flight);
    if (isBackground) waitUntil?.(flight.whenSettled());
    return flight;
  }

  #join(flight: Flight, call: GetOrSetCall): Promise<unknown> {
    const { meter, events } = this.#context;
    meter.coalesced += 1;
    if (events.coalesced.isObserved) events.coalesced.emit(this.#waiters.keyEvent(call.key));
    if (call.tags.length !== 0) flight.addTags(call.tags);
    if (flight.loaded !== undefined)
      return Promise.resolve(this.#waiters.serve(call, true, { status: "miss", value: flight.loaded.value }));
    // A flight that went on behind an answer has it for late callers too.
    switch (flight.isBackground ? judge(flight.fallback, call.startedAt, call.policy) : "absent") {
      case "fresh":
      case "ahead":
        return Promise.resolve(this.#waiters.serve(call, true, hit(flight.fallback!, flight.fallbackTier)));
      case "revalidate":
        return Promise.resolve(
          this.#waiters.serve(call, true, stale(flight.fallback!, flight.fallbackTier, "revalidating")),
        );
      case "fallback":
      case "absent":
        return this.#waiters.wait(flight, call, true);
    }
  }

  /**
   * Whether the backend is asked first. A forced load has no use for what it holds; and a read may be answered by a replica, which
   * is too old for a token: whoever asks for the lease is answered by where writes go.
   */
  #reads({
    call: {
      namespace: { remote },
      isForced,
      isAfter,
    },
  }: Flight): boolean {
    return remote !== undefined && !isForced && !(isAfter && remote.leases !== undefined);
  }

  /** Whether an invalidation that waits for the backend covers what would be found there. A forced load looks for nothing. */
  #isCovered(flight: Flight): boolean {
    const { recovery } = this.#context;
    return !flight.call.isForced && recovery?.coversTagged(flight.key, flight.expectedTags) === true;
  }

  /** The invalidation goes first; while it cannot, the backend is as good as away. */
  async #readAfterReplay(flight: Flight): Promise<Entry | undefined> {
    const { remote } = flight.call.namespace;
    if (this.#isCovered(flight)) await this.#loadedStore.inTime(flight, this.#context.recovery!.replay());
    if (this.#isCovered(flight)) throw unasked(remote!.label);
    return this.#reads(flight) ? remote!.read(flight, flight.backendLeftMs) : undefined;
  }

  #proceed(flight: Flight, read: Promise<Entry | undefined> | undefined): void {
    if (read === undefined) {
      void this.#load(flight);
      return;
    }
    read.then(
      (entry) => {
        const { namespace } = flight.call;
        const now = this.#context.clock.now();
        flight.backendLeftMs = namespace.remote!.deadlineMs - (now - flight.readAt);
        this.#found(flight, entry);
      },
      () => this.#away(flight),
    );
  }

  /** There is nobody to confirm a copy: one that is newer than every call of this process is the answer, as if it were. */
  #away(flight: Flight): void {
    flight.isAway = true;
    if (flight.isOver) return;
    const { local, clock, decisions } = this.#context;
    const copy = flight.call.isAfter ? undefined : local?.unconfirmed(flight.key.local, clock.now());
    decisions?.note(flight.key.local, "backend", copy === undefined ? "away" : "away: the copy stands in for it");
    if (copy === undefined) return void this.#load(flight);
    flight.fallback = newer(copy, flight.fallback);
    flight.fallbackTier = local!.label;
    this.#decide(flight, flight.fallback);
  }

  #found(flight: Flight, found: Entry | undefined): void {
    if (flight.isOver) return;
    const { local, clock, recovery, tags, flights, decisions } = this.#context;
    const { namespace, key, policy } = flight.call;
    const now = clock.now();
    const label = namespace.remote!.label;
    const entry = found && tags.applyTo(found, now);
    // What this process invalidated, and the backend does not know of yet, is not there.
    const isCovered = entry !== undefined && recovery?.covers(key, entry.dependsOn) === true;
    if (decisions !== undefined) {
      const state = isCovered
        ? "hidden: an invalidation of it is pending"
        : entry === undefined
          ? flight.seen === ""
            ? "nothing"
            : "an entry that is not valid"
          : now < entry.staleAt
            ? "fresh"
            : "stale";
      decisions.note(
        key.local,
        "backend",
        `${state}${flight.seen === "" ? "" : `, version ${flight.seen}`}${flight.isTainted ? "; changed meanwhile: no copy is kept" : ""}`,
      );
    }
    const best = newer(isCovered ? undefined : entry, flight.fallback);
    if (best !== undefined && best === entry) {
      flight.fallback = entry;
      flight.fallbackTier = label;
      flight.hasCopy = false;
      if (now < entry.staleAt && !flight.isTainted)
        local?.put(key.local, entry, policy.localTtlMs ?? Infinity, flights.copyEpoch(flight));
    }
    this.#decide(flight, best);
  }

  /** What becomes of a flight once it is known what there is. */
  #decide(flight: Flight, best: Entry | undefined): void {
    const { clock } = this.#context;
    const { policy } = flight.call;
    const now = clock.now();
    const verdict = judge(best, now, policy);
    switch (verdict) {
      case "fresh":
        this.#waiters.end(flight);
        this.#waiters.answerAll(flight, () => hit(best!, flight.fallbackTier));
        return;
      case "ahead":
      case "revalidate":
        if (!flight.isBackground) this.#goBehind(flight, best!, now);
        break;
      case "fallback":
        flight.reason = "stale";
        break;
      case "absent":
        break;
    }
    if (flight.isOver) return;
    // Only now is it known what could be served instead.
    for (const waiter of flight.waiters) this.#waiters.limitWait(flight, waiter);
    void this.#load(flight);
  }

  /** Answers those who take it as it is, and goes on: for the others, or as a refresh that nobody waits for. */
  #goBehind(flight: Flight, entry: Entry, now: number): void {
    const isFresh = now < entry.staleAt;
    const isBackedOff = this.#isBackedOff(flight.key.local, now);
    const takes = ({ policy }: GetOrSetCall): boolean => isFresh || judge(entry, now, policy) === "revalidate";
    flight.reason = isFresh ? "refresh-ahead" : "stale";
    if (flight.waiters.every(({ call }) => takes(call))) {
      flight.isBackground = true;
      if (isBackedOff || flight.fencedBy !== undefined) this.#waiters.end(flight);
      else this.#context.waitUntil?.(flight.whenSettled());
    }
    const answer = isFresh
      ? hit(entry, flight.fallbackTier)
      : stale(entry, flight.fallbackTier, isBackedOff ? "error" : "revalidating");
    this.#waiters.answerAll(flight, () => answer, takes);
  }

  /** Never rejects. */
  async #load(flight: Flight): Promise<void> {
    const { clock, loads, backgroundLoads } = this.#context;
    flight.isReading = false;
    if (flight.isOver) return;
    const now = clock.now();
    if (
      !flight.call.isForced &&
      this.#isBackedOff(flight.key.local, now) &&
      flight.waiters.every(({ call }) => canServeOnError(flight.fallback, now, call.policy))
    ) {
      this.#waiters.end(flight);
      this.#waiters.answerAll(flight, () => stale(flight.fallback!, flight.fallbackTier, "error"));
      return;
    }
    // The load around this one waits for it, and would keep the slot that it waits for.
    const isCounted = flight.call.batch === undefined && !isLoading(this.#context);
    // Somebody may have joined who has to wait: then it is no longer one that can be left to a later call.
    const isBehind = flight.isBackground && flight.waiters.length === 0;
    if (isBehind && !backgroundLoads.tryTake()) {
      // Too many at once: a later call will try again.
      this.#waiters.end(flight);
      return;
    }
    let elsewhere: Exclude<LeaseAnswer, { readonly kind: "granted" }> | undefined;
    try {
      if (isCounted && !loads.tryTake() && !(await loads.take(flight.whenSettled()))) return;
      try {
        const acquired = await this.#loadedStore.acquire(flight);
        this.#context.decisions?.note(flight.key.local, "lease", describeLease(acquired, flight));
        if (acquired.kind === "held" || acquired.kind === "entry") elsewhere = acquired;
        else if (!flight.isOver) await this.#loadAndStore(flight, acquired.pinned);
      } finally {
        // Whatever happened, others may load.
        flight.lease?.release();
        if (isCounted) loads.free();
      }
    } finally {
      if (isBehind) backgroundLoads.free();
    }
    if (elsewhere?.kind === "entry") this.#storedSince(flight, elsewhere);
    // Again: somebody who has to wait may have joined meanwhile.
    else if (elsewhere !== undefined && flight.isBackground && flight.waiters.length === 0) this.#waiters.end(flight);
    else if (elsewhere !== undefined) await this.#waitForOthers(flight, elsewhere.heldForMs);
  }

  /** Somebody has stored since the backend was read. */
  #storedSince(flight: Flight, { seen, entry }: Extract<LeaseAnswer, { readonly kind: "entry" }>): void {
    flight.seen = seen;
    this.#found(flight, entry);
  }

  /**
   * Another process loads: asks the backend again when something happens to the key, when the lease has run out, and once
   * in a while in any case. Bounded like a load: what takes longer counts as one that failed.
   */
  async #waitForOthers(flight: Flight, heldForMs: number): Promise<void> {
    const { clock, trust, tags } = this.#context;
    const { loadTimeoutMs } = flight.call.policy;
    const now = clock.now();
    flight.waitsSince ??= now;
    const leftMs = flight.waitsSince + loadTimeoutMs - now;
    const { batch } = flight.call;
    batch?.paused();
    if (!flight.isWoken) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const cancel = clock.schedule(resolve, Math.min(heldForMs, POLL_MS, leftMs));
      flight.wake = resolve;
      void flight.whenSettled().then(resolve);
      await promise;
      cancel();
      flight.wake = undefined;
    }
    batch?.resumed();
    if (flight.isOver) return;
    if (clock.now() - flight.waitsSince >= loadTimeoutMs)
      return this.#failed(
        flight,
        new LoadTimeoutError(`no value within loadTimeout, ${loadTimeoutMs} ms: another process is loading it`, {
          operation: "load",
        }),
      );
    // What was removed meanwhile does not stand in.
    flight.fallback = this.#waiters.fallbackOf(flight);
    flight.restart(trust.epoch, tags.sequence, clock.now());
    this.#proceed(flight, this.#readAfterReplay(flight));
  }

  async #loadAndStore(flight: Flight, pinned: Pinned | undefined): Promise<void> {
    const { clock, meter, events, local } = this.#context;
    const { call } = flight;
    const startedAt = clock.now();
    const outcome = traced(
      "load",
      () => {
        flight.running = whileLoading(
          this.#context,
          flight.key.local,
          () =>
            new Load(
              {
                key: call.key.name,
                load: call.load,
                reason: flight.reason,
                background: flight.isBackground,
                stale: this.#waiters.fallbackOf(flight),
                handOut: (value) => local?.handOut(value) ?? value,
                timeoutMs: call.policy.loadTimeoutMs,
              },
              clock,
            ),
          (load) => load.outcome,
        );
        return flight.running.outcome;
      },
      () => ({ ...this.#waiters.keyEvent(call.key), reason: flight.reason, background: flight.isBackground }),
    );
    meter.loads += 1;
    let loaded: Loaded;
    try {
      loaded = await outcome;
    } catch (error) {
      meter.loadErrors += 1;
      this.#context.decisions?.note(
        flight.key.local,
        "load",
        `failed: ${error instanceof Error ? error.name : typeof error}`,
      );
      this.#failed(flight, error);
      events["load:error"].emit({
        ...this.#waiters.keyEvent(call.key),
        reason: flight.reason,
        background: flight.isBackground,
        durationMs: clock.now() - startedAt,
        error,
      });
      return;
    }
    const durationMs = clock.now() - startedAt;
    meter.load.record(durationMs);
    if (flight.isOver) return;
    flight.loaded = { value: loaded.value };
    this.#backoffs.delete(flight.key.local);
    this.#context.decisions?.note(
      flight.key.local,
      "load",
      `${flight.reason}${flight.isBackground ? ", in the background" : ""}, ${Math.round(durationMs)} ms`,
    );
    const result = await this.#loadedStore.store(flight, loaded, pinned);
    this.#context.decisions?.note(
      flight.key.local,
      "store",
      `${result}${flight.fencedBy === undefined ? "" : ` by ${flight.fencedBy}`}${result === "stored" && flight.lease !== undefined ? `, version ${flight.lease.token}` : ""}`,
    );
    if (events.load.isObserved)
      events.load.emit({
        ...this.#waiters.keyEvent(call.key),
        reason: flight.reason,
        background: flight.isBackground,
        durationMs,
        result,
      });
    this.#waiters.end(flight);
    this.#waiters.answerAll(flight, () => ({ status: "miss", value: loaded.value }));
  }

  #failed(flight: Flight, error: unknown): void {
    if (flight.isOver) return;
    if (this.#waiters.fallbackOf(flight) !== undefined)
      this.#backOff(flight.key.local, this.#context.clock.now() + flight.call.policy.errorBackoffMs);
    // Out of the way in this very tick: whoever comes next starts anew, and never beside it.
    this.#waiters.end(flight);
    this.#waiters.failAll(flight, error);
  }

  #isBackedOff(at: string, now: number): boolean {
    const until = this.#backoffs.get(at);
    return until !== undefined && now < until;
  }

  #backOff(at: string, until: number): void {
    if (this.#backoffs.size >= MAX_BACKOFFS) this.#backoffs.delete(this.#backoffs.keys().next().value!);
    this.#backoffs.set(at, until);
  }

  /** A write made the failure of a load pointless. */
  endBackoff(at: string): void {
    if (this.#backoffs.size !== 0) this.#backoffs.delete(at);
  }
}

const MAX_BACKOFFS = 10_000;

function describeLease(acquired: Awaited<ReturnType<LoadedStore["acquire"]>>, { lease, isAway }: Flight): string {
  switch (acquired.kind) {
    case "leased":
      return `granted, ${lease?.token ?? ""}`;
    case "alone":
      return isAway ? "none: the backend is away" : "none";
    case "held":
      return `held elsewhere, for ${Math.round(acquired.heldForMs)} ms at most`;
    case "entry":
      return `somebody stored since, version ${acquired.seen}`;
  }
}
