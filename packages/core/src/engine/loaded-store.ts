import type { Waiters } from "./waiters.ts";
import type { Encoded } from "../entry/codec.ts";
import type { EngineContext } from "./context.ts";
import type { Entry } from "../entry/entry.ts";
import { BackendUnavailableError, EncodeError, type CacheError } from "../contracts/errors.ts";
import type { CacheEvents, FencedBy } from "../contracts/events.ts";
import type { EntryLeases, LeaseAnswer } from "../tiers/entry-tier.ts";
import type { Flight } from "./flights.ts";
import { dependencies, type EntryKey } from "../entry/key.ts";
import { Lease, LEASE_MS } from "./lease.ts";
import type { Loaded } from "./load.ts";
import { isThenable } from "../primitives/once.ts";
import { lifetimeOf } from "../entry/policy.ts";
import { orPending } from "../tiers/recovery.ts";
import { compareVersions, versionsFor, type Pinned } from "../tags/tag-versions.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";

/**
 * From a loaded value to its tiers: versions pinned before, then the backend, then the local tier, unless fenced.
 *
 * Whatever goes wrong here, the value is handed out. Nothing is waited for longer than the flight may wait for the backend.
 */
export class LoadedStore {
  readonly #context: EngineContext;
  readonly #waiters: Waiters;

  constructor(context: EngineContext, waiters: Waiters) {
    this.#context = context;
    this.#waiters = waiters;
  }

  /**
   * The permission to load, and tag versions, in one trip. Both are taken before the loader runs: versions taken after it
   * would let an invalidation during the load go unseen.
   *
   * `alone`: load without a lease. Where the backend is away, or refused it, the result is kept here only.
   */
  async acquire(
    flight: Flight,
  ): Promise<
    | { readonly kind: "leased" | "alone"; readonly pinned: Pinned | undefined }
    | Exclude<LeaseAnswer, { readonly kind: "granted" }>
  > {
    const { clock, tags, flights, leases: held } = this.#context;
    const { namespace, key, isForced } = flight.call;
    const leases = namespace.remote?.leases;
    if (leases === undefined || flight.isAway)
      return { kind: "alone", pinned: await this.#pinned(flight, this.#pin(flight)) };
    const { versions } = namespace.remote!;
    let pinned: Pinned | undefined;
    const lease = new Lease({
      leases,
      clock,
      key,
      among: held,
      versionsNow: (names) => versions!.read(names),
      lost: (by) => flights.fenceOne(flight, by),
      freed: () => flights.wake(flight.key.local),
      unharmed: () => {
        const { fallback } = flight;
        // What was invalidated before they were taken, and is heard of only now, answers nobody who comes from now on.
        const isHarmed =
          fallback !== undefined &&
          compareVersions(
            fallback.versions,
            fallback.dependsOn.map((each) => pinned?.versions.get(each)),
          ) !== "current";
        if (!isHarmed) flight.heardSequence = tags.sequence;
      },
    });
    const { token } = lease;
    flight.lease = lease;
    const pinning = this.#pin(flight);
    pinning?.catch(ignore);
    flight.isWoken = false;
    const acquiring = leases.acquire(flight, token, LEASE_MS, isForced ? TAKE_OVER : flight.seen);
    let answer: LeaseAnswer;
    try {
      answer = await this.inTime(flight, acquiring);
    } catch (error) {
      lease.end();
      flight.lease = undefined;
      // Granted too late for anybody to use.
      acquiring.then(({ kind }) => (kind === "granted" ? leases.release(key, token) : undefined)).catch(ignore);
      // Refused, for want of memory say, is an answer: only who does not answer is away.
      if (error instanceof BackendUnavailableError) flight.isAway = true;
      return { kind: "alone", pinned: await this.#pinned(flight, pinning) };
    }
    if (answer.kind !== "granted") {
      lease.end();
      flight.lease = undefined;
      return answer;
    }
    lease.granted(answer.seen);
    pinned = await this.#pinned(flight, pinning);
    if (pinned !== undefined) lease.pinned(pinned);
    // Nobody may wait for what cannot be stored: fenced on the way, or without the versions it would be stored under.
    if (
      flight.isOver ||
      (versions !== undefined && pinned === undefined) ||
      this.#fencedBy(flight, dependencies(flight.key.space, flight.tags)) !== undefined
    )
      lease.release();
    return { kind: "leased", pinned };
  }

  #pin(flight: Flight): Promise<Pinned> | undefined {
    const { namespace, batch } = flight.call;
    const versions = namespace.remote?.versions;
    if (versions === undefined || flight.isAway) return undefined;
    const keys = dependencies(flight.key.space, [...flight.tags, ...(flight.fallback?.tags ?? [])].filter(isFirst));
    const shared = batch !== undefined && flight.fallback === undefined;
    const pinning = shared ? (batch.pinned ??= versions.pin(keys)) : versions.pin(keys);
    return pinning.then(({ at, versions: found }) => ({
      at,
      versions: new Map(keys.map((key, i) => [key, found[i]!])),
    }));
  }

  async #pinned(flight: Flight, pinning: Promise<Pinned> | undefined): Promise<Pinned | undefined> {
    if (pinning === undefined) return undefined;
    try {
      return await this.inTime(flight, pinning);
    } catch {
      flight.isAway = true;
      return undefined;
    }
  }

  #fencedBy(flight: Flight, dependsOn: readonly string[]): FencedBy | undefined {
    const { tags } = this.#context;
    if (flight.fencedBy !== undefined) return flight.fencedBy;
    if (!tags.wasCalled(dependsOn, flight.tagSequence)) return undefined;
    return tags.wasInvalidated(flight.key.space.tagPrefixes, flight.tagSequence) ? "clear" : "tags";
  }

  async store(flight: Flight, loaded: Loaded, pinned: Pinned | undefined): Promise<CacheEvents["load"]["result"]> {
    const { local, clock, random, flights, writes, recovery, trust } = this.#context;
    const { namespace, key, policy, isForced } = flight.call;
    const { remote } = namespace;
    if (loaded.kind === "no-store") return "no-store";
    const kept = loaded.kind === "not-modified" ? flight.fallback : undefined;
    const names = [...flight.tags, ...(kept?.tags ?? []), ...(loaded.options?.tags ?? [])].filter(isFirst);
    const dependsOn = dependencies(key.space, names);
    const fencedBy = (): FencedBy | undefined => this.#fencedBy(flight, dependsOn);
    const { lease } = flight;
    if (fencedBy() !== undefined) return this.#fenced(flight, fencedBy()!);
    const life = lifetimeOf(loaded.value, policy, loaded.options, random);
    if (life.ttlMs <= 0) {
      const drop = (): void => {
        flights.fenceOlder(key.local, flight);
        local?.tier.delete(key.local);
      };
      drop();
      if (remote === undefined) return "refused";
      await this.#within(
        flight,
        writes.run(key.local, async () => {
          if ((await orPending(recovery, key, () => remote.remove(key))) !== "pending") lease?.end();
        }),
      );
      // What was read before the acknowledgement may be what was there.
      if (fencedBy() === undefined) drop();
      flights.releaseFenced(key.local);
      return "refused";
    }
    if (
      remote?.keepsMeta === false &&
      (names.length !== 0 || loaded.options?.etag !== undefined || loaded.options?.lastModified !== undefined)
    ) {
      this.#unwritable(
        flight,
        new EncodeError(`${remote.label}: its layout has no room for tags and validators; the value is not stored`, {
          tier: remote.label,
          operation: "encode",
        }),
      );
      return "refused";
    }
    const now = clock.now();
    const expiresAt = now + life.ttlMs + Math.max(life.staleWhileRevalidateMs, life.staleIfErrorMs);
    let versions: Entry["versions"];
    const entry = (encoded?: Encoded): Entry => ({
      value: loaded.value,
      ...life,
      staleAt: now + life.ttlMs,
      expiresAt,
      deadAt: expiresAt,
      tags: names,
      dependsOn,
      versions,
      version: lease?.token,
      epoch: undefined,
      tagSequence: flight.tagSequence,
      etag: loaded.options?.etag ?? kept?.etag,
      lastModified: loaded.options?.lastModified ?? kept?.lastModified,
      ...(encoded !== undefined && { encoding: encoded.encoding, encodedBytes: encoded.data.length }),
    });
    const stored = loaded.kind === "not-modified" ? "not-modified" : "stored";
    const keepLocally = (epoch: number, encoded?: Encoded): "stored" | "not-modified" | "refused" => {
      // What has ended hears of no fence any more.
      if (flight.isOver || fencedBy() !== undefined) return "refused";
      flights.fenceOlder(key.local, flight);
      const error = local?.put(key.local, entry(encoded), policy.localTtlMs ?? Infinity, epoch);
      if (error !== undefined) this.#unwritable(flight, error);
      return error === undefined && local?.tier.get(key.local) !== undefined ? stored : "refused";
    };
    try {
      if (remote === undefined) return keepLocally(EPOCH_ALWAYS);
      if (
        flight.isAway ||
        (remote.versions !== undefined && pinned === undefined) ||
        (remote.leases !== undefined && lease === undefined)
      )
        return keepLocally(trust.unconfirmed);
      const found = remote.versions === undefined ? undefined : await this.#versionsFor(flight, pinned!, names);
      if (found === "fenced") return this.#fenced(flight, "tags");
      if (found === "away") return keepLocally(trust.unconfirmed);
      versions = found;
      const encoding = remote.encode(loaded.value);
      const encoded = isThenable(encoding) ? await encoding : encoding;
      let result: "stored" | "not-modified" | "refused" = "refused";
      await this.#within(
        flight,
        writes.run(key.local, async () => {
          // Its turn may have come late: what was called meanwhile is newer.
          if (fencedBy() !== undefined) return;
          // Without leases nothing else keeps it from undoing what was done elsewhere.
          if (lease === undefined && flight.isTainted) return void (flight.fencedBy = "lease");
          try {
            // From here on the copy is what this stores, unless something is heard.
            flight.resent(trust.epoch);
            const write = { entry: entry(encoded), encoded, versions };
            const status =
              lease === undefined
                ? await remote.write(key, write)
                : await remote.leases!.store(key, write, lease.token, lease.seen);
            lease?.end();
            if (status === "overtaken") {
              flight.fencedBy ??= "lease";
              return;
            }
            // A forced load is a write of this process: what began before it is older.
            if (isForced) recovery?.acknowledgedKey(key);
            else recovery?.forgetKey(key);
            // Of what was refused nothing is there to confirm it by.
            keepLocally(status === "stored" ? flights.copyEpoch(flight) : trust.unconfirmed, encoded);
            if (status === "stored" && !flights.isUntainted(flight) && lease !== undefined)
              this.confirm(remote.leases!, key, lease.token);
            result = status === "stored" ? stored : status;
          } catch (error) {
            if (error instanceof EncodeError) this.#unwritable(flight, error);
            else result = keepLocally(trust.unconfirmed, encoded);
          }
        }),
      );
      return fencedBy() === undefined ? result : this.#fenced(flight, fencedBy()!);
    } catch (error) {
      if (!(error instanceof EncodeError)) throw error;
      this.#unwritable(flight, error);
      return "refused";
    }
  }

  /**
   * The copy of what this process has just stored: hearing of its own write, which looks like anybody's, left it
   * unconfirmed. Asked behind the answer, so that nobody waits.
   */
  confirm(leases: EntryLeases, key: EntryKey, version: string): void {
    const { local, trust } = this.#context;
    if (local === undefined || !local.holds(key.local, version)) return;
    const { epoch } = trust;
    leases.confirm(key).then((now) => {
      if (now === version) local.confirm(key.local, version, epoch);
    }, ignore);
  }

  /** The value is handed out, and kept nowhere. */
  #unwritable(flight: Flight, error: CacheError): void {
    this.#context.events["backend:error"].emit({
      cache: this.#context.name,
      namespace: flight.key.space.path,
      tier: error.tier ?? "",
      operation: error.operation ?? "encode",
      error,
    });
  }

  async #versionsFor(
    flight: Flight,
    pinned: Pinned,
    tags: readonly string[],
  ): Promise<Entry["versions"] | "fenced" | "away"> {
    const { remote } = flight.call.namespace;
    try {
      return (await this.inTime(flight, versionsFor(remote!.versions!, pinned, flight.key.space, tags))) ?? "fenced";
    } catch {
      return "away";
    }
  }

  #fenced(flight: Flight, by: FencedBy): "fenced" {
    const { meter, events } = this.#context;
    meter.fenced += 1;
    if (events.fenced.isObserved) events.fenced.emit({ ...this.#waiters.keyEvent(flight.key), by });
    return "fenced";
  }

  /** What `work` gives, within the time that this flight may still wait for the backend. The work goes on, and is bounded by itself. */
  async inTime<T>(flight: Flight, work: Promise<T>): Promise<T> {
    const { clock } = this.#context;
    const { label } = flight.call.namespace.remote!;
    const sentAt = clock.now();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const cancel = clock.schedule(
      () =>
        reject(
          new BackendUnavailableError(`${label}: no time is left to wait for it`, {
            tier: label,
            operation: "getOrSet",
          }),
        ),
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
    const { clock } = this.#context;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.schedule(
      () => {
        this.#waiters.answerAll(flight, () => ({ status: "miss", value: flight.loaded?.value }));
      },
      Math.max(0, flight.backendLeftMs),
    );
    write.then(
      () => resolve(),
      () => resolve(),
    );
    await promise;
    cancel();
  }
}

const isFirst = <T>(each: T, i: number, all: readonly T[]): boolean => all.indexOf(each) === i;
const ignore = (): void => undefined;
/** As `seen`: whoever holds the lease loses it. */
const TAKE_OVER = "*";
