import { hit, stale, type Callers } from "./waiters.ts";
import type { Core } from "./context.ts";
import { judge, newer, standsIn, type Entry } from "../entry/entry.ts";
import { LoadTimeoutError } from "../contracts/errors.ts";
import { traced } from "../contracts/events.ts";
import type { Call, Space } from "./call.ts";
import type { LeaseAnswer } from "../tiers/entry-tier.ts";
import { Flight } from "./flights.ts";
import { dependencies, localKey } from "../entry/key.ts";
import { isLoading, Load, reentrant, whileLoading, type Loaded } from "./load.ts";
import { POLL_MS } from "./lease.ts";
import { unasked } from "../tiers/recovery.ts";
import type { Storing } from "./store-loaded.ts";
import type { Pinned } from "../tags/tag-events.ts";

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
export class Ladder {
  readonly #core: Core;
  readonly #callers: Callers;
  readonly #storing: Storing;
  /** By local key, until when a failed load is not tried again. */
  readonly #backoffs = new Map<string, number>();

  constructor(core: Core, callers: Callers, storing: Storing) {
    this.#core = core;
    this.#callers = callers;
    this.#storing = storing;
  }

  /** A fresh local copy: counted, and handed out as this caller gets it. */
  hit(space: Space, key: string, startedAt: number, held: Entry): unknown {
    const { local, meter, events, clock, journal } = this.#core;
    journal?.note(localKey(space.place, key), "call", `hit, from ${local!.label}`);
    local!.meter.hits += 1;
    meter.hits += 1;
    if (events.hit.isObserved)
      events.hit.emit({
        ...this.#callers.keyEvent({ space, key }),
        tier: local!.label,
        durationMs: clock.now() - startedAt,
      });
    return local!.isShared ? held.value : local!.handOut(held.value);
  }

  /** What a local copy alone could not answer. `held` is that copy, if there is one. */
  fetch(call: Call, held: Entry | undefined): Promise<unknown> {
    const { answer, flight } = this.#enter(call, held);
    if (flight !== undefined)
      this.#proceed(
        flight,
        this.#isCovered(flight)
          ? this.#readAfterReplay(flight)
          : this.#reads(flight)
            ? call.space.remote!.read(flight, flight.backendLeftMs)
            : undefined,
      );
    return answer;
  }

  /** {@link fetch} for many calls of one namespace: one trip to the backend. */
  fetchMany(
    calls: readonly (readonly [Call, Entry | undefined])[],
  ): readonly { readonly answer: Promise<unknown>; readonly flight: Flight | undefined }[] {
    const entered = calls.map(([call, held]) => this.#enter(call, held));
    const flights = entered.flatMap(({ flight }) => flight ?? []);
    const reading = flights.filter((flight) => this.#reads(flight) && !this.#isCovered(flight));
    const sent = reading[0]?.call.space.remote!.readMany(reading, reading[0].backendLeftMs) ?? [];
    const reads = new Map(reading.map((flight, i) => [flight, sent[i]]));
    for (const flight of flights)
      this.#proceed(flight, reads.get(flight) ?? (this.#isCovered(flight) ? this.#readAfterReplay(flight) : undefined));
    return entered;
  }

  /** The rungs before the backend: a stale copy, another caller's flight, else a flight of its own. */
  #enter(
    call: Call,
    held: Entry | undefined,
  ): { readonly answer: Promise<unknown>; readonly flight: Flight | undefined } {
    const { flights, tags, journal, local } = this.#core;
    if (journal !== undefined && local !== undefined)
      journal.note(call.at, "copy", local.explain(call.at, call.startedAt));
    const isOwn = call.isForced || call.isAfter;
    const joinable = flights.joinable(call.at, call.startedAt);
    const joined =
      isOwn || joinable === undefined || tags.hasEvents(call.space.place, joinable.tagsAt, joinable.heardAt)
        ? undefined
        : joinable;
    const verdict = isOwn ? "absent" : judge(held, call.startedAt, call.policy);
    switch (verdict) {
      case "fresh":
      case "ahead":
      case "revalidate": {
        const isBackedOff = this.#isBackedOff(call.at, call.startedAt);
        const { label } = local!;
        const answer = Promise.resolve(
          this.#callers.serve(
            call,
            false,
            verdict === "revalidate" ? stale(held!, label, isBackedOff ? "error" : "revalidating") : hit(held!, label),
          ),
        );
        const refreshes =
          verdict !== "fresh" && joined === undefined && !isBackedOff && !isLoading(this.#core, call.at);
        return { answer, flight: refreshes ? this.#launch(call, held, true) : undefined };
      }
      case "reserve":
      case "absent": {
        if (isLoading(this.#core, call.at))
          return { answer: this.#callers.reject(call, reentrant(call.key)), flight: undefined };
        if (call.signal?.aborted === true)
          return { answer: this.#callers.reject(call, call.signal.reason), flight: undefined };
        if (joined !== undefined) return { answer: this.#join(joined, call), flight: undefined };
        const flight = this.#launch(call, held, false);
        return { answer: this.#callers.wait(flight, call, false), flight };
      }
    }
  }

  #launch(call: Call, held: Entry | undefined, isBackground: boolean): Flight {
    const { flights, tags, local, clock, waitUntil } = this.#core;
    const isHeld = held !== undefined && clock.now() < held.deadAt && !call.isAfter;
    const reason = call.isForced
      ? "forced"
      : !isHeld
        ? "miss"
        : judge(held, call.startedAt, call.policy) === "ahead"
          ? "refresh-ahead"
          : "stale";
    const flight = new Flight(call, tags.now, reason, isBackground);
    if (isHeld) {
      flight.reserve = held;
      flight.reserveTier = local!.label;
      flight.hasCopy = true;
    }
    flights.add(call.at, flight);
    if (call.isForced || call.isAfter) flights.supersede(call.at, flight);
    if (isBackground) waitUntil?.(flight.whenSettled());
    return flight;
  }

  #join(flight: Flight, call: Call): Promise<unknown> {
    const { meter, events } = this.#core;
    meter.coalesced += 1;
    if (events.coalesced.isObserved) events.coalesced.emit(this.#callers.keyEvent(call));
    if (call.tags.length !== 0) flight.addTags(call.tags);
    if (flight.loaded !== undefined)
      return Promise.resolve(this.#callers.serve(call, true, { status: "miss", value: flight.loaded.value }));
    // A flight that went on behind an answer has it for late callers too.
    switch (flight.isBackground ? judge(flight.reserve, call.startedAt, call.policy) : "absent") {
      case "fresh":
      case "ahead":
        return Promise.resolve(this.#callers.serve(call, true, hit(flight.reserve!, flight.reserveTier)));
      case "revalidate":
        return Promise.resolve(
          this.#callers.serve(call, true, stale(flight.reserve!, flight.reserveTier, "revalidating")),
        );
      case "reserve":
      case "absent":
        return this.#callers.wait(flight, call, true);
    }
  }

  /**
   * Whether the backend is asked first. A forced load has no use for what it holds; and a read may be answered by a replica, which
   * is too old for a token: whoever asks for the lease is answered by where writes go.
   */
  #reads({
    call: {
      space: { remote },
      isForced,
      isAfter,
    },
  }: Flight): boolean {
    return remote !== undefined && !isForced && !(isAfter && remote.leases !== undefined);
  }

  /** Whether an invalidation that waits for the backend covers what would be found there. A forced load looks for nothing. */
  #isCovered(flight: Flight): boolean {
    const { recovery } = this.#core;
    return (
      !flight.call.isForced &&
      recovery !== undefined &&
      recovery.size !== 0 &&
      recovery.covers(flight.place, flight.key, dependencies(flight.place, flight.expectedTags))
    );
  }

  /** The invalidation goes first; while it cannot, the backend is as good as away. */
  async #readAfterReplay(flight: Flight): Promise<Entry | undefined> {
    const { remote } = flight.call.space;
    if (this.#isCovered(flight)) await this.#storing.inTime(flight, this.#core.recovery!.replay());
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
        const { space } = flight.call;
        const now = this.#core.clock.now();
        flight.backendLeftMs = space.remote!.deadlineMs - (now - flight.readAt);
        this.#found(flight, entry);
      },
      () => this.#away(flight),
    );
  }

  /** There is nobody to confirm a copy: one that is newer than every call of this process is the answer, as if it were. */
  #away(flight: Flight): void {
    flight.isAway = true;
    if (flight.isOver) return;
    const { local, clock, journal } = this.#core;
    const copy = flight.call.isAfter ? undefined : local?.unconfirmed(flight.at, clock.now());
    journal?.note(flight.at, "backend", copy === undefined ? "away" : "away: the copy stands in for it");
    if (copy === undefined) return void this.#load(flight);
    flight.reserve = newer(copy, flight.reserve);
    flight.reserveTier = local!.label;
    this.#judge(flight, flight.reserve);
  }

  #found(flight: Flight, found: Entry | undefined): void {
    if (flight.isOver) return;
    const { local, clock, recovery, tags, trust, flights, journal } = this.#core;
    const { space, key, at, policy } = flight.call;
    const now = clock.now();
    const label = space.remote!.label;
    const entry = found && tags.hold(found, now);
    // What this process invalidated, and the backend does not know of yet, is not there.
    const isCovered =
      entry !== undefined &&
      recovery !== undefined &&
      recovery.size !== 0 &&
      recovery.covers(space.place, key, entry.dependsOn);
    if (journal !== undefined) {
      const state = isCovered
        ? "hidden: an invalidation of it is pending"
        : entry === undefined
          ? flight.seen === ""
            ? "nothing"
            : "an entry that is not valid"
          : now < entry.staleAt
            ? "fresh"
            : "stale";
      journal.note(
        at,
        "backend",
        `${state}${flight.seen === "" ? "" : `, version ${flight.seen}`}${flight.isBroken ? "; changed meanwhile: no copy is kept" : ""}`,
      );
    }
    const best = newer(isCovered ? undefined : entry, flight.reserve);
    if (best !== undefined && best === entry) {
      flight.reserve = entry;
      flight.reserveTier = label;
      flight.hasCopy = false;
      if (now < entry.staleAt && !flight.isBroken)
        local?.put(at, entry, policy.localTtlMs ?? Infinity, flights.isSound(flight) ? trust.epoch : trust.unconfirmed);
    }
    this.#judge(flight, best);
  }

  /** What becomes of a flight once it is known what there is. */
  #judge(flight: Flight, best: Entry | undefined): void {
    const { clock } = this.#core;
    const { policy } = flight.call;
    const now = clock.now();
    const verdict = judge(best, now, policy);
    switch (verdict) {
      case "fresh":
        this.#callers.end(flight);
        this.#callers.answerAll(flight, () => hit(best!, flight.reserveTier));
        return;
      case "ahead":
      case "revalidate":
        if (!flight.isBackground) this.#goBehind(flight, best!, now);
        break;
      case "reserve":
        flight.reason = "stale";
        break;
      case "absent":
        break;
    }
    if (flight.isOver) return;
    // Only now is it known what could be served instead.
    for (const waiter of flight.waiters) this.#callers.limitWait(flight, waiter);
    void this.#load(flight);
  }

  /** Answers those who take it as it is, and goes on: for the others, or as a refresh that nobody waits for. */
  #goBehind(flight: Flight, entry: Entry, now: number): void {
    const isFresh = now < entry.staleAt;
    const isBackedOff = this.#isBackedOff(flight.at, now);
    const takes = ({ policy }: Call): boolean => isFresh || judge(entry, now, policy) === "revalidate";
    flight.reason = isFresh ? "refresh-ahead" : "stale";
    if (flight.waiters.every(({ call }) => takes(call))) {
      flight.isBackground = true;
      if (isBackedOff || flight.fencedBy !== undefined) this.#callers.end(flight);
      else this.#core.waitUntil?.(flight.whenSettled());
    }
    const answer = isFresh
      ? hit(entry, flight.reserveTier)
      : stale(entry, flight.reserveTier, isBackedOff ? "error" : "revalidating");
    this.#callers.answerAll(flight, () => answer, takes);
  }

  /** Never rejects. */
  async #load(flight: Flight): Promise<void> {
    const { clock, loads, backgroundLoads } = this.#core;
    flight.isReading = false;
    if (flight.isOver) return;
    const now = clock.now();
    if (
      !flight.call.isForced &&
      this.#isBackedOff(flight.at, now) &&
      flight.waiters.every(({ call }) => standsIn(flight.reserve, now, call.policy))
    ) {
      this.#callers.end(flight);
      this.#callers.answerAll(flight, () => stale(flight.reserve!, flight.reserveTier, "error"));
      return;
    }
    // The load around this one waits for it, and would keep the slot that it waits for.
    const isCounted = flight.call.batch === undefined && !isLoading(this.#core);
    // Somebody may have joined who has to wait: then it is no longer one that can be left to a later call.
    const isBehind = flight.isBackground && flight.waiters.length === 0;
    if (isBehind && !backgroundLoads.tryTake()) {
      // Too many at once: a later call will try again.
      this.#callers.end(flight);
      return;
    }
    let elsewhere: Exclude<LeaseAnswer, { readonly kind: "granted" }> | undefined;
    try {
      if (isCounted && !loads.tryTake() && !(await loads.take(flight.whenSettled()))) return;
      try {
        const acquired = await this.#storing.acquire(flight);
        this.#core.journal?.note(flight.at, "lease", describeLease(acquired, flight));
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
    else if (elsewhere !== undefined && flight.isBackground && flight.waiters.length === 0) this.#callers.end(flight);
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
    const { clock, trust, tags } = this.#core;
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
    flight.reserve = this.#callers.reserveOf(flight);
    flight.restart(trust.epoch, tags.now, clock.now());
    this.#proceed(flight, this.#readAfterReplay(flight));
  }

  async #loadAndStore(flight: Flight, pinned: Pinned | undefined): Promise<void> {
    const { clock, meter, events, local } = this.#core;
    const { call } = flight;
    const startedAt = clock.now();
    const outcome = traced(
      "load",
      () => {
        flight.running = whileLoading(
          this.#core,
          flight.at,
          () =>
            new Load(
              {
                key: call.key,
                load: call.load,
                reason: flight.reason,
                background: flight.isBackground,
                stale: this.#callers.reserveOf(flight),
                handOut: (value) => local?.handOut(value) ?? value,
                timeoutMs: call.policy.loadTimeoutMs,
              },
              clock,
            ),
          (load) => load.outcome,
        );
        return flight.running.outcome;
      },
      () => ({ ...this.#callers.keyEvent(call), reason: flight.reason, background: flight.isBackground }),
    );
    meter.loads += 1;
    let loaded: Loaded;
    try {
      loaded = await outcome;
    } catch (error) {
      meter.loadErrors += 1;
      this.#core.journal?.note(flight.at, "load", `failed: ${error instanceof Error ? error.name : typeof error}`);
      this.#failed(flight, error);
      events["load:error"].emit({
        ...this.#callers.keyEvent(call),
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
    this.#backoffs.delete(flight.at);
    this.#core.journal?.note(
      flight.at,
      "load",
      `${flight.reason}${flight.isBackground ? ", in the background" : ""}, ${Math.round(durationMs)} ms`,
    );
    const result = await this.#storing.store(flight, loaded, pinned);
    this.#core.journal?.note(
      flight.at,
      "store",
      `${result}${flight.fencedBy === undefined ? "" : ` by ${flight.fencedBy}`}${result === "stored" && flight.lease !== undefined ? `, version ${flight.lease.token}` : ""}`,
    );
    if (events.load.isObserved)
      events.load.emit({
        ...this.#callers.keyEvent(call),
        reason: flight.reason,
        background: flight.isBackground,
        durationMs,
        result,
      });
    this.#callers.end(flight);
    this.#callers.answerAll(flight, () => ({ status: "miss", value: loaded.value }));
  }

  #failed(flight: Flight, error: unknown): void {
    if (flight.isOver) return;
    if (this.#callers.reserveOf(flight) !== undefined)
      this.#backOff(flight.at, this.#core.clock.now() + flight.call.policy.errorBackoffMs);
    // Out of the way in this very tick: whoever comes next starts anew, and never beside it.
    this.#callers.end(flight);
    this.#callers.failAll(flight, error);
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

function describeLease(acquired: Awaited<ReturnType<Storing["acquire"]>>, { lease, isAway }: Flight): string {
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
