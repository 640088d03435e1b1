import type { Chains } from "./chains.ts";
import type { Clock } from "./clock.ts";
import type { Encoded } from "./codec.ts";
import { judge, lifeOf, newer, standsIn, type Entry } from "./entry.ts";
import { BackendUnavailableError, EncodeError, type CacheError, LoadTimeoutError } from "./errors.ts";
import { traced, type CacheEvents, type Events, type FencedBy } from "./events.ts";
import { Flight, type Call, type Flights, type Space, Waiter } from "./flights.ts";
import { dependencies } from "./key.ts";
import { isLoading, Load, reentrant, whileLoading, type Loaded } from "./load.ts";
import type { LocalCopies } from "./local-copies.ts";
import { isThenable } from "./once.ts";
import { lifetimeOf, type Served } from "./policy.ts";
import { orPending, type Recovery } from "./recovery.ts";
import type { Slots } from "./slots.ts";
import type { Meter } from "./stats.ts";
import { versionsFor, type Pinned, type Tags } from "./tags.ts";

/** What the parts of one cache share. */
export interface Core {
  readonly name: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly local: LocalCopies | undefined;
  readonly recovery: Recovery | undefined;
  readonly events: Events;
  readonly meter: Meter;
  readonly tags: Tags;
  readonly flights: Flights;
  /** Writes to the backend, in order, by local key. */
  readonly chains: Chains;
  readonly loads: Slots;
  readonly backgroundLoads: Slots;
  readonly waitUntil: ((work: Promise<void>) => void) | undefined;
  isClosed: boolean;
}

/** How one call ends. */
export interface Answer {
  readonly status: "hit" | "stale" | "miss";
  readonly value: unknown;
  readonly entry?: Entry | undefined;
  readonly tier?: string;
  readonly cause?: "revalidating" | "error" | "timeout";
  readonly error?: unknown;
}

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
 *     pin tag versions, load ──failed──▶ what staleIfError covers, or the error, for everyone
 *        │
 *     store in the backend, then locally, unless fenced; answer
 *
 * Promises kept here: nothing is promoted or stored that a fence overtook; a failed flight leaves in the tick in which
 * it fails, so that two loads never run at once for its sake; each caller ends exactly once, within his own limits.
 */
export class Ladder {
  readonly #core: Core;
  /** By local key, until when a failed load is not tried again. */
  readonly #backoffs = new Map<string, number>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** A fresh local copy: counted, and handed out as this caller gets it. */
  hit(space: Space, key: string, startedAt: number, held: Entry): unknown {
    const { local, meter, events } = this.#core;
    local!.meter.hits += 1;
    meter.hits += 1;
    if (events.hit.isObserved) events.hit.emit({ ...this.#keyEvent({ space, key }), tier: local!.label, durationMs: this.#core.clock.now() - startedAt });
    return local!.isShared ? held.value : local!.handOut(held.value);
  }

  /** What a local copy alone could not answer. `held` is that copy, if there is one. */
  fetch(call: Call, held: Entry | undefined): Promise<unknown> {
    const { answer, flight } = this.#enter(call, held);
    if (flight !== undefined)
      this.#proceed(
        flight,
        !this.#reads(flight) ? undefined
        : this.#isCovered(flight) ? this.#readAfterReplay(flight)
        : call.space.remote!.read(flight, flight.backendLeftMs),
      );
    return answer;
  }

  /** {@link fetch} for many calls of one namespace: one trip to the backend. */
  fetchMany(calls: readonly (readonly [Call, Entry | undefined])[]): readonly { readonly answer: Promise<unknown>; readonly flight: Flight | undefined }[] {
    const entered = calls.map(([call, held]) => this.#enter(call, held));
    const flights = entered.flatMap(({ flight }) => flight ?? []);
    const reading = flights.filter((flight) => this.#reads(flight) && !this.#isCovered(flight));
    const sent = reading[0]?.call.space.remote!.readMany(reading, reading[0].backendLeftMs) ?? [];
    const reads = new Map(reading.map((flight, i) => [flight, sent[i]]));
    for (const flight of flights) this.#proceed(flight, reads.get(flight) ?? (this.#reads(flight) ? this.#readAfterReplay(flight) : undefined));
    return entered;
  }

  /** The rungs before the backend: a stale copy, another caller's flight, else a flight of its own. */
  #enter(call: Call, held: Entry | undefined): { readonly answer: Promise<unknown>; readonly flight: Flight | undefined } {
    const { flights, tags } = this.#core;
    const isOwn = call.isForced || call.isAfter;
    const joinable = flights.joinable(call.at);
    const joined = isOwn || joinable === undefined || tags.hasCalls(call.space.place, joinable.tagsAt) ? undefined : joinable;
    const verdict = isOwn ? "absent" : judge(held, call.startedAt, call.policy);
    switch (verdict) {
      case "fresh":
      case "ahead":
      case "revalidate": {
        const isBackedOff = this.#isBackedOff(call.at, call.startedAt);
        const label = this.#core.local!.label;
        const answer = Promise.resolve(this.serve(call, false, verdict === "revalidate" ? stale(held!, label, isBackedOff ? "error" : "revalidating") : hit(held!, label)));
        const refreshes = verdict !== "fresh" && joined === undefined && !isBackedOff && !isLoading(this.#core, call.at);
        return { answer, flight: refreshes ? this.#launch(call, held, true) : undefined };
      }
      case "reserve":
      case "absent": {
        if (isLoading(this.#core, call.at)) return { answer: this.#reject(call, reentrant(call.key)), flight: undefined };
        if (call.signal?.aborted === true) return { answer: this.#reject(call, call.signal.reason), flight: undefined };
        if (joined !== undefined) return { answer: this.#join(joined, call), flight: undefined };
        const flight = this.#launch(call, held, false);
        return { answer: this.#wait(flight, call, false), flight };
      }
    }
  }

  #launch(call: Call, held: Entry | undefined, isBackground: boolean): Flight {
    const { flights, tags, local, clock, waitUntil } = this.#core;
    const isHeld = held !== undefined && clock.now() < held.deadAt && !call.isAfter;
    const reason = call.isForced ? "forced" : !isHeld ? "miss" : judge(held, call.startedAt, call.policy) === "ahead" ? "refresh-ahead" : "stale";
    const flight = new Flight(call, tags.now, reason, isBackground);
    if (isHeld) {
      flight.reserve = held;
      flight.reserveTier = local!.label;
    }
    flights.add(call.at, flight);
    if (call.isForced || call.isAfter) flights.supersede(call.at, flight);
    if (isBackground) waitUntil?.(flight.whenSettled());
    return flight;
  }

  #join(flight: Flight, call: Call): Promise<unknown> {
    const { meter, events } = this.#core;
    meter.coalesced += 1;
    if (events.coalesced.isObserved) events.coalesced.emit(this.#keyEvent(call));
    if (call.tags.length !== 0) flight.addTags(call.tags);
    if (flight.loaded !== undefined) return Promise.resolve(this.serve(call, true, { status: "miss", value: flight.loaded.value }));
    // A flight that went on behind an answer has it for late callers too.
    switch (flight.isBackground ? judge(flight.reserve, call.startedAt, call.policy) : "absent") {
      case "fresh":
      case "ahead":
        return Promise.resolve(this.serve(call, true, hit(flight.reserve!, flight.reserveTier)));
      case "revalidate":
        return Promise.resolve(this.serve(call, true, stale(flight.reserve!, flight.reserveTier, "revalidating")));
      case "reserve":
      case "absent":
        return this.#wait(flight, call, true);
    }
  }

  /** Whether the backend is asked first. A forced load has no use for what it holds. */
  #reads(flight: Flight): boolean {
    return flight.call.space.remote !== undefined && !flight.call.isForced;
  }

  /** Whether an invalidation that waits for the backend covers what would be found there. */
  #isCovered(flight: Flight): boolean {
    const { recovery } = this.#core;
    return recovery !== undefined && recovery.size !== 0 && recovery.covers(flight.place, flight.key, dependencies(flight.place, flight.expectedTags));
  }

  /** The invalidation goes first; while it cannot, the backend is as good as away. */
  async #readAfterReplay(flight: Flight): Promise<Entry | undefined> {
    const { remote } = flight.call.space;
    await this.#inTime(flight, this.#core.recovery!.replay());
    if (this.#isCovered(flight)) throw new BackendUnavailableError(`${remote!.label}: not asked to read, since an invalidation waits for it`, { tier: remote!.label, operation: "read" });
    return remote!.read(flight, flight.backendLeftMs);
  }

  #proceed(flight: Flight, read: Promise<Entry | undefined> | undefined): void {
    if (read === undefined) {
      void this.#load(flight);
      return;
    }
    read.then(
      (entry) => this.#found(flight, entry),
      () => {
        flight.isAway = true;
        void this.#load(flight);
      },
    );
  }

  #found(flight: Flight, found: Entry | undefined): void {
    if (flight.isOver) return;
    const { local, clock, recovery, tags } = this.#core;
    const { space, key, at, policy } = flight.call;
    const now = clock.now();
    flight.backendLeftMs = space.remote!.deadlineMs - (now - flight.call.startedAt);
    const label = space.remote!.label;
    const entry = found && tags.hold(found, now);
    // What this process invalidated, and the backend does not know of yet, is not there.
    const isCovered = entry !== undefined && recovery !== undefined && recovery.size !== 0 && recovery.covers(space.place, key, entry.dependsOn);
    const hadReserve = flight.reserve !== undefined;
    const best = newer(isCovered ? undefined : entry, flight.reserve);
    if (best !== undefined && best === entry) {
      flight.reserve = entry;
      flight.reserveTier = label;
      if (now < entry.staleAt && flight.fencedBy === undefined) local?.put(at, entry, policy.localTtlMs ?? Infinity);
    }
    const verdict = judge(best, now, policy);
    switch (verdict) {
      case "fresh":
        this.#end(flight);
        this.#answerAll(flight, () => hit(best!, flight.reserveTier));
        return;
      case "ahead":
      case "revalidate":
        if (!flight.isBackground) this.#goBehind(flight, verdict === "ahead" ? hit(best!, flight.reserveTier) : stale(best!, flight.reserveTier, "revalidating"));
        if (!flight.isOver) void this.#load(flight);
        return;
      case "reserve":
      case "absent":
        if (verdict === "reserve") flight.reason = "stale";
        if (!hadReserve) for (const waiter of flight.waiters) this.#limitWait(flight, waiter);
        void this.#load(flight);
    }
  }

  /** Answers everyone with what there is, and goes on as a refresh that nobody waits for. */
  #goBehind(flight: Flight, answer: Answer): void {
    const isBackedOff = this.#isBackedOff(flight.at, this.#core.clock.now());
    flight.isBackground = true;
    flight.reason = answer.status === "hit" ? "refresh-ahead" : "stale";
    if (isBackedOff || flight.fencedBy !== undefined) this.#end(flight);
    else this.#core.waitUntil?.(flight.whenSettled());
    this.#answerAll(flight, () => (isBackedOff && answer.status === "stale" ? { ...answer, cause: "error" } : answer));
  }

  /** Never rejects. */
  async #load(flight: Flight): Promise<void> {
    const { clock, loads, backgroundLoads } = this.#core;
    flight.isReading = false;
    if (flight.isOver) return;
    const now = clock.now();
    if (this.#isBackedOff(flight.at, now) && flight.waiters.every(({ call }) => standsIn(flight.reserve, now, call.policy))) {
      this.#end(flight);
      this.#answerAll(flight, () => stale(flight.reserve!, flight.reserveTier, "error"));
      return;
    }
    // The load around this one waits for it, and would keep the slot that it waits for.
    const isCounted = flight.call.batch === undefined && !isLoading(this.#core);
    // Somebody may have joined who has to wait: then it is no longer one that can be left to a later call.
    const isBehind = flight.isBackground && flight.waiters.length === 0;
    if (isBehind && !backgroundLoads.tryTake()) {
      // Too many at once: a later call will try again.
      this.#end(flight);
      return;
    }
    try {
      if (isCounted && !loads.tryTake() && !(await loads.take(flight.whenSettled()))) return;
      try {
        await this.#loadAndStore(flight);
      } finally {
        if (isCounted) loads.free();
      }
    } finally {
      if (isBehind) backgroundLoads.free();
    }
  }

  async #loadAndStore(flight: Flight): Promise<void> {
    const { clock, meter, events, local } = this.#core;
    const { call } = flight;
    const pinned = await this.#pin(flight);
    if (flight.isOver) return;
    const startedAt = clock.now();
    const outcome = traced("load", () => {
      flight.running = whileLoading(this.#core, flight.at, () => new Load({
        key: call.key,
        load: call.load,
        reason: flight.reason,
        background: flight.isBackground,
        stale: this.#reserveOf(flight),
        handOut: (value) => local?.handOut(value) ?? value,
        timeoutMs: call.policy.loadTimeoutMs,
      }, clock), (load) => load.outcome);
      return flight.running.outcome;
    }, () => ({ ...this.#keyEvent(call), reason: flight.reason, background: flight.isBackground }));
    meter.loads += 1;
    let loaded: Loaded;
    try {
      loaded = await outcome;
    } catch (error) {
      meter.loadErrors += 1;
      this.#failed(flight, error);
      events["load:error"].emit({ ...this.#keyEvent(call), reason: flight.reason, background: flight.isBackground, durationMs: clock.now() - startedAt, error });
      return;
    }
    const durationMs = clock.now() - startedAt;
    meter.load.record(durationMs);
    if (flight.isOver) return;
    flight.loaded = { value: loaded.value };
    this.#backoffs.delete(flight.at);
    const result = await this.#store(flight, loaded, pinned);
    if (events.load.isObserved) events.load.emit({ ...this.#keyEvent(call), reason: flight.reason, background: flight.isBackground, durationMs, result });
    this.#end(flight);
    this.#answerAll(flight, () => ({ status: "miss", value: loaded.value }));
  }

  /** Tag versions are taken before the loader runs: taken after it, an invalidation during the load would go unseen. */
  async #pin(flight: Flight): Promise<Pinned | undefined> {
    const { space, batch } = flight.call;
    const versions = space.remote?.versions;
    if (versions === undefined || flight.isAway) return undefined;
    const keys = dependencies(space.place, [...flight.tags, ...(flight.reserve?.tags ?? [])].filter(isFirst));
    try {
      const shared = batch !== undefined && flight.reserve === undefined;
      const pinning = shared ? (batch.pinned ??= versions.pin(keys)) : versions.pin(keys);
      const { at, versions: found } = await this.#inTime(flight, pinning);
      return { at, versions: new Map(keys.map((key, i) => [key, found[i]!])) };
    } catch {
      flight.isAway = true;
      return undefined;
    }
  }

  async #store(flight: Flight, loaded: Loaded, pinned: Pinned | undefined): Promise<CacheEvents["load"]["result"]> {
    const { tags, local, clock, random, flights, chains, recovery } = this.#core;
    const { space, key, at, policy } = flight.call;
    const { place, remote } = space;
    if (loaded.kind === "no-store") return "no-store";
    const kept = loaded.kind === "not-modified" ? flight.reserve : undefined;
    const names = [...flight.tags, ...(kept?.tags ?? []), ...(loaded.options?.tags ?? [])].filter(isFirst);
    const dependsOn = dependencies(place, names);
    const fencedBy = (): FencedBy | undefined =>
      flight.fencedBy ??
      (!tags.wasCalled(dependsOn, flight.tagsAt) ? undefined : tags.wasInvalidated(place.tagPrefixes, flight.tagsAt) ? "clear" : "tags");
    if (fencedBy() !== undefined) return this.#fenced(flight, fencedBy()!);
    const life = lifetimeOf(loaded.value, policy, loaded.options, random);
    if (life.ttlMs <= 0) {
      flights.fenceOlder(at, flight);
      local?.tier.delete(at);
      if (remote !== undefined) await this.#within(flight, chains.run(at, () => orPending(recovery, place, key, () => remote.remove(key, place))));
      return "refused";
    }
    if (remote?.keepsMeta === false && (names.length !== 0 || loaded.options?.etag !== undefined || loaded.options?.lastModified !== undefined)) {
      this.#unwritable(flight, new EncodeError(`${remote.label}: its layout has no room for tags and validators; the value is not stored`, { tier: remote.label, operation: "encode" }));
      return "refused";
    }
    const now = clock.now();
    const expiresAt = now + life.ttlMs + Math.max(life.staleWhileRevalidateMs, life.staleIfErrorMs);
    const entry = (encoded?: Encoded): Entry => ({
      value: loaded.value,
      ...life,
      staleAt: now + life.ttlMs,
      expiresAt,
      deadAt: expiresAt,
      tags: names,
      dependsOn,
      checkedAt: flight.tagsAt,
      etag: loaded.options?.etag ?? kept?.etag,
      lastModified: loaded.options?.lastModified ?? kept?.lastModified,
      ...(encoded !== undefined && { encoding: encoded.encoding, encodedBytes: encoded.data.length }),
    });
    const stored = loaded.kind === "not-modified" ? "not-modified" : "stored";
    const keepLocally = (encoded?: Encoded): "stored" | "not-modified" | "refused" => {
      // What has ended hears of no fence any more.
      if (flight.isOver || fencedBy() !== undefined) return "refused";
      flights.fenceOlder(at, flight);
      const error = local?.put(at, entry(encoded), policy.localTtlMs ?? Infinity);
      if (error !== undefined) this.#unwritable(flight, error);
      return local === undefined || error !== undefined ? "refused" : stored;
    };
    try {
      if (remote === undefined || flight.isAway || (remote.versions !== undefined && pinned === undefined)) return keepLocally();
      const versions = remote.versions === undefined ? undefined : await this.#versionsFor(flight, pinned!, names);
      if (versions === "fenced") return this.#fenced(flight, "tags");
      if (versions === "away") return keepLocally();
      const encoding = remote.encode(loaded.value);
      const encoded = isThenable(encoding) ? await encoding : encoding;
      let result: "stored" | "not-modified" | "refused" = "refused";
      await this.#within(flight, chains.run(at, async () => {
        // Its turn may have come late: what was called meanwhile is newer.
        if (fencedBy() !== undefined) return;
        try {
          const status = await remote.write(entry(encoded), encoded, versions, key, place);
          recovery?.forgetKey(place, key);
          keepLocally(encoded);
          result = status === "stored" ? stored : status;
        } catch (error) {
          if (error instanceof EncodeError) this.#unwritable(flight, error);
          else result = keepLocally(encoded);
        }
      }));
      return fencedBy() === undefined ? result : this.#fenced(flight, fencedBy()!);
    } catch (error) {
      if (!(error instanceof EncodeError)) throw error;
      this.#unwritable(flight, error);
      return "refused";
    }
  }

  /** The value is handed out, and kept nowhere. */
  #unwritable(flight: Flight, error: CacheError): void {
    this.#core.events["backend:error"].emit({ cache: this.#core.name, namespace: flight.place.path, tier: error.tier ?? "", operation: error.operation ?? "encode", error });
  }

  async #versionsFor(flight: Flight, pinned: Pinned, tags: readonly string[]): Promise<Entry["versions"] | "fenced" | "away"> {
    const { remote, place } = flight.call.space;
    try {
      return (await this.#inTime(flight, versionsFor(remote!.versions!, pinned, place, tags))) ?? "fenced";
    } catch {
      return "away";
    }
  }

  #fenced(flight: Flight, by: FencedBy): "fenced" {
    const { meter, events } = this.#core;
    meter.fenced += 1;
    if (events.fenced.isObserved) events.fenced.emit({ ...this.#keyEvent(flight.call), by });
    return "fenced";
  }

  /** What `work` gives, within the time that this flight may still wait for the backend. The work goes on, and is bounded by itself. */
  async #inTime<T>(flight: Flight, work: Promise<T>): Promise<T> {
    const { clock } = this.#core;
    const { label } = flight.call.space.remote!;
    const sentAt = clock.now();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const cancel = clock.schedule(
      () => reject(new BackendUnavailableError(`${label}: no time is left to wait for it`, { tier: label, operation: "getOrSet" })),
      Math.max(0, flight.backendLeftMs),
    );
    work.then(resolve, reject);
    try {
      return await promise;
    } finally {
      cancel();
      flight.backendLeftMs -= clock.now() - sentAt;
    }
  }

  /** Waits for a write, but no longer than this flight may wait for the backend; the write goes on. A failure was reported by the tier. */
  async #within(flight: Flight, write: Promise<unknown>): Promise<void> {
    const { clock } = this.#core;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.schedule(() => {
      this.#answerAll(flight, () => ({ status: "miss", value: flight.loaded?.value }));
    }, Math.max(0, flight.backendLeftMs));
    write.then(() => resolve(), () => resolve());
    await promise;
    cancel();
  }

  #failed(flight: Flight, error: unknown): void {
    const { clock } = this.#core;
    if (flight.isOver) return;
    const now = clock.now();
    const reserve = this.#reserveOf(flight);
    if (reserve !== undefined) this.#backOff(flight.at, now + flight.call.policy.errorBackoffMs);
    const cause = error instanceof LoadTimeoutError ? "timeout" : "error";
    this.#end(flight);
    for (const waiter of flight.takeAll()) {
      if (standsIn(reserve, now, waiter.call.policy)) waiter.resolve(this.serve(waiter.call, waiter.isCoalesced, { ...stale(reserve, flight.reserveTier, cause), error }));
      else waiter.reject(this.#missed(waiter.call, error));
    }
  }

  /** The copy that may stand in: not one that was deleted or invalidated since. */
  #reserveOf(flight: Flight): Entry | undefined {
    const { reserve } = flight;
    if (reserve === undefined || this.#core.clock.now() >= reserve.deadAt) return undefined;
    if (flight.fencedBy !== undefined && flight.fencedBy !== "stale") return undefined;
    return this.#core.tags.wasInvalidated(reserve.dependsOn, flight.tagsAt) ? undefined : reserve;
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

  // ---- callers

  #wait(flight: Flight, call: Call, isCoalesced: boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const waiter = new Waiter(call, isCoalesced, resolve, reject);
      flight.await(waiter);
      const { hardTimeoutMs } = call.policy;
      if (hardTimeoutMs !== Infinity) waiter.until(this.#core.clock.schedule(() => this.#outOfTime(flight, waiter, "hard"), hardTimeoutMs));
      this.#limitWait(flight, waiter);
      const { signal } = call;
      if (signal !== undefined) {
        const leave = (): void => this.#leave(flight, waiter, signal.reason);
        signal.addEventListener("abort", leave, { once: true });
        waiter.until(() => signal.removeEventListener("abort", leave));
      }
    });
  }

  /** The soft timeout counts from the call, and only where there is something to serve instead. */
  #limitWait(flight: Flight, waiter: Waiter): void {
    const { softTimeoutMs } = waiter.call.policy;
    if (softTimeoutMs === Infinity || flight.reserve === undefined) return;
    const leftMs = waiter.call.startedAt + softTimeoutMs - this.#core.clock.now();
    waiter.until(this.#core.clock.schedule(() => this.#outOfTime(flight, waiter, "soft"), Math.max(0, leftMs)));
  }

  #outOfTime(flight: Flight, waiter: Waiter, limit: "soft" | "hard"): void {
    const { call } = waiter;
    const reserve = this.#reserveOf(flight);
    const covered = standsIn(reserve, this.#core.clock.now(), call.policy);
    if (limit === "soft" && !covered && flight.loaded === undefined) return;
    if (!flight.take(waiter)) return;
    if (flight.loaded !== undefined) waiter.resolve(this.serve(call, waiter.isCoalesced, { status: "miss", value: flight.loaded.value }));
    else if (covered) waiter.resolve(this.serve(call, waiter.isCoalesced, stale(reserve, flight.reserveTier, "timeout")));
    else waiter.reject(this.#missed(call, new LoadTimeoutError(`no value within hardTimeout, ${call.policy.hardTimeoutMs} ms; the load goes on`, { operation: "getOrSet" })));
    this.#goOnAlone(flight);
  }

  /** The load that nobody waits for any more still stores its result. */
  #goOnAlone(flight: Flight): void {
    if (flight.waiters.length !== 0 || flight.isOver || flight.isBackground) return;
    flight.isBackground = true;
    this.#core.waitUntil?.(flight.whenSettled());
  }

  #leave(flight: Flight, waiter: Waiter, reason: unknown): void {
    if (!flight.take(waiter)) return;
    flight.aborted += 1;
    waiter.reject(this.#missed(waiter.call, reason));
    // Whoever ran out of time is still to find the result, and one that is there already is kept.
    if (flight.aborted < flight.joined || flight.isBackground || flight.loaded !== undefined) this.#goOnAlone(flight);
    else this.abort(flight, reason);
  }

  /** Ends a flight at once; its callers reject with `reason`. */
  abort(flight: Flight, reason: unknown): void {
    this.#end(flight);
    for (const waiter of flight.takeAll()) waiter.reject(this.#missed(waiter.call, reason));
    flight.running?.abort(reason);
  }

  #end(flight: Flight): void {
    if (flight.isOver) return;
    this.#core.flights.remove(flight);
    flight.settled();
  }

  #answerAll(flight: Flight, answer: () => Answer): void {
    for (const waiter of flight.takeAll()) {
      try {
        waiter.resolve(this.serve(waiter.call, waiter.isCoalesced, answer()));
      } catch (error) {
        waiter.reject(error);
      }
    }
  }

  #reject(call: Call, error: unknown): Promise<never> {
    return Promise.reject(this.#missed(call, error));
  }

  #missed(call: Call, error: unknown): unknown {
    this.count(call, { status: "miss", value: undefined });
    return error;
  }

  /** Counts and reports one answer, and gives the value as this caller gets it. */
  serve(call: Call, isCoalesced: boolean, answer: Answer): unknown {
    this.count(call, answer);
    if (call.onServed !== undefined) {
      try {
        call.onServed(this.#served(answer, isCoalesced));
      } catch {
        // Watching an answer must not change it.
      }
    }
    return this.#core.local === undefined ? answer.value : this.#core.local.handOut(answer.value);
  }

  #served({ status, entry, tier, cause, error }: Answer, coalesced: boolean): Served {
    const life = entry === undefined ? { ageMs: 0, freshForMs: 0 } : lifeOf(entry, this.#core.clock.now());
    return {
      status,
      ...(tier !== undefined && { tier }),
      ageMs: life.ageMs,
      freshForMs: life.freshForMs,
      coalesced,
      ...(cause !== undefined && { cause }),
      ...(error !== undefined && { error }),
    };
  }

  /** Exactly one hit, stale hit or miss. */
  count(call: Pick<Call, "space" | "key" | "startedAt">, { status, tier, cause }: Answer, isRemoteAsked = true): void {
    const { meter, local, events, clock } = this.#core;
    const { remote } = call.space;
    if (local !== undefined) {
      if (tier === local.label) local.meter.hits += 1;
      else local.meter.misses += 1;
    }
    if (remote !== undefined && isRemoteAsked && (local === undefined || tier !== local.label)) {
      if (tier === undefined) remote.meter.misses += 1;
      else remote.meter.hits += 1;
    }
    switch (status) {
      case "hit":
        meter.hits += 1;
        if (events.hit.isObserved) events.hit.emit({ ...this.#keyEvent(call), tier: tier!, durationMs: clock.now() - call.startedAt });
        return;
      case "stale":
        meter.staleHits += 1;
        if (events.stale.isObserved) events.stale.emit({ ...this.#keyEvent(call), tier: tier!, durationMs: clock.now() - call.startedAt, cause: cause! });
        return;
      case "miss":
        meter.misses += 1;
        if (events.miss.isObserved) events.miss.emit({ ...this.#keyEvent(call), durationMs: clock.now() - call.startedAt });
    }
  }

  #keyEvent(call: Pick<Call, "space" | "key">): { cache: string; namespace: readonly string[]; key: string } {
    return { cache: this.#core.name, namespace: call.space.place.path, key: call.key };
  }
}

const MAX_BACKOFFS = 10_000;

export const hit = (entry: Entry, tier: string): Answer => ({ status: "hit", value: entry.value, entry, tier });
export const stale = (entry: Entry, tier: string, cause: "revalidating" | "error" | "timeout"): Answer => ({ status: "stale", value: entry.value, entry, tier, cause });
const isFirst = <T>(each: T, i: number, all: readonly T[]): boolean => all.indexOf(each) === i;
