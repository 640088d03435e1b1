import type { Awaitable } from "../contracts/awaitable.ts";
import { encodedMarker, type Encoded } from "../entry/codec.ts";
import { newEntry, storedEntry, type Entry, type LifeLimits, type Marker } from "../entry/entry.ts";
import { dependencies, NO_TAGS, type EntryKey } from "../entry/key.ts";
import { lifetimeOf } from "../entry/policy.ts";
import { termsIn } from "../entry/terms.ts";
import { ConfigurationError, EncodeError, type CacheError } from "../contracts/errors.ts";
import type { CacheEvents, FencedBy } from "../contracts/events.ts";
import type { Epoch } from "../coherence/parts.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";
import { isThenable, whenReady } from "../primitives/thenable.ts";
import { versionsFor, type Pinned } from "../tags/tag-versions.ts";
import { BackendRefusedError } from "../tiers/backend-calls.ts";
import type { EntryLeases, EntryTier, StoreStatus } from "../tiers/entry-tier.ts";
import { orPending } from "../tiers/recovery.ts";
import { loadedAnswer, type Answers } from "./answers.ts";
import type { Copies, Reporting, Writing } from "./context.ts";
import { fencedBy, type Flight } from "./flight.ts";
import type { Loaded } from "./load.ts";
import type { UsedValues } from "./used-values.ts";
import type { Waiters } from "./waiters.ts";
import { ignore } from "../primitives/ignore.ts";

/** The outcome of storing a loaded value, as the event `load` reports it. */
export type StoreResult = CacheEvents["load"]["result"];

/** A loaded value that may be stored. */
interface Draft {
  readonly flight: Flight;
  /** Without tag versions and encoding. */
  readonly entry: Entry;
  readonly result: "stored" | "not-modified";
  readonly used: UsedValues | undefined;
  /** In the place of a value that the backend cannot take. */
  readonly marker?: Marker;
}

/**
 * From a loaded value to its tiers: the backend, under the tag versions pinned before the load, then the local tier;
 * unless fenced.
 *
 * If anything fails here, the callers still get the value. Nothing is waited for longer than the flight may wait for
 * the backend.
 */
export class LoadedStore {
  readonly #context: Reporting & Copies & Writing;
  readonly #waiters: Waiters;
  readonly #answers: Answers;

  constructor(context: Reporting & Copies & Writing, waiters: Waiters, answers: Answers) {
    this.#context = context;
    this.#waiters = waiters;
    this.#answers = answers;
  }

  /** First: what may be stored? Rejects only if a tier breaks its contract, see {@link reportBroken}. */
  store(flight: Flight, loaded: Loaded, pinned: Pinned | undefined): Awaitable<StoreResult> {
    const isKept = loaded.kind === "not-modified";
    // From here on an event of one of these ends joining; even if the value is stored nowhere.
    const named = [...tagsOf(flight, isKept ? flight.fallback : undefined, loaded), ...loaded.named];
    flight.dependOn(dependencies(flight.key.space, [...new Set(named)]));
    flight.isProven = flight.dependsOn.every((each) => pinned?.versions.has(each) === true);
    if (loaded.kind === "no-store" || loaded.kind === "not-shared")
      return this.#mark(flight, loaded, loaded.kind, pinned);
    if (flight.storesNothing) return "no-store";
    const { clock } = this.#context;
    const { namespace, key, policy } = flight.call;
    const { options, used } = loaded;
    const kept = isKept ? flight.fallback : undefined;
    const names = tagsOf(flight, kept, loaded);
    const dependsOn = dependencies(key.space, names);
    const fence = fencedBy(this.#context.tags, flight, dependsOn);
    if (fence !== undefined) return this.#fenced(flight, fence);
    const life = lifetimeOf(loaded.value, policy, loaded.options);
    if (life === undefined) return this.#remove(flight, dependsOn);
    const now = clock.now();
    const usedForMs = used?.freshForMs(now) ?? Infinity;
    // Made of what is stale, or is not stored: it replaces nothing.
    if (usedForMs <= 0) return this.#mark(flight, loaded, "no-store", pinned);
    const hasMeta = names.length !== 0 || options?.etag !== undefined || options?.lastModified !== undefined;
    if (namespace.remote?.keepsMeta === false && hasMeta) {
      this.#reportUnwritable(flight, noRoomForMeta(namespace.remote.label));
      return "refused";
    }
    const etag = options?.etag ?? kept?.terms.etag;
    const lastModified = options?.lastModified ?? kept?.terms.lastModified;
    const entry = newEntry({
      value: loaded.value,
      ttlMs: Math.min(life.ttlMs, usedForMs),
      terms: termsIn(key.space, life, { tags: names, etag, lastModified }),
      now,
      tagSequence: flight.tagSequence,
      version: flight.lease?.token,
    });
    const result = loaded.kind === "not-modified" ? "not-modified" : "stored";
    flight.makes(entry);
    return this.#storeUnderVersions({ flight, entry, result, used }, pinned);
  }

  /** Reports that a tier broke its contract: while a loaded value was stored, or before it was there. */
  reportBroken(flight: Flight, cause: unknown): "refused" {
    const { label: tier } = this.#context.local ?? flight.call.namespace.remote!;
    const [operation, work] = flight.loaded === undefined ? ["read", "a read"] : ["store", "storing a loaded value"];
    const text = `${work} failed, and no tier may fail like this; see the cause`;
    this.#reportUnwritable(flight, new ConfigurationError(text, { tier, operation, cause }));
    return "refused";
  }

  /** Second: under which versions? A value that must not reach the backend is kept only here. */
  #storeUnderVersions(draft: Draft, pinned: Pinned | undefined): Awaitable<StoreResult> {
    const { trust } = this.#context;
    const { flight, entry, used } = draft;
    const { remote } = flight.call.namespace;
    if (remote === undefined) {
      this.#overtake(flight);
      return this.#keepLocally(draft, entry, EPOCH_ALWAYS);
    }
    if (
      flight.isUnreachable ||
      (remote.versions !== undefined && pinned === undefined) ||
      (remote.leases !== undefined && flight.lease === undefined)
    )
      return this.#keepAlone(
        draft,
        underPinned(entry, pinned),
        used === undefined ? this.#epochOfRefused(flight) : trust.unconfirmed,
      );
    const versions = remote.versions === undefined ? undefined : this.#versionsFor(draft, pinned!);
    return whenReady(versions, (each) => this.#storeUnder(draft, remote, pinned, each));
  }

  #storeUnder(
    draft: Draft,
    remote: EntryTier,
    pinned: Pinned | undefined,
    versions: Entry["versions"] | "fenced" | "unreachable",
  ): Awaitable<StoreResult> {
    const { flight, entry } = draft;
    if (versions === "fenced") return this.#fenced(flight, "tags");
    if (versions === "unreachable") return this.#keepAlone(draft, entry, this.#context.trust.unconfirmed);
    flight.makes({ ...entry, versions });
    if (!flight.isProven && pinned !== undefined) {
      const proven = new Set([...pinned.versions.keys(), ...entry.terms.dependsOn]);
      flight.isProven = flight.dependsOn.every((each) => proven.has(each));
    }
    return this.#encodeAndSend(draft, remote, versions);
  }

  /**
   * A value that the backend cannot take is kept in memory alone. Where the backend has nothing, a marker with the life
   * of the value says so: other processes load for themselves, side by side, and what ends the marker ends the copies.
   */
  #encodeAndSend(draft: Draft, remote: EntryTier, versions: Entry["versions"]): Awaitable<StoreResult> {
    const { flight, entry } = draft;
    const renewed = draft.result === "not-modified" ? renewable(flight, { ...entry, versions }) : undefined;
    if (renewed !== undefined) return this.#sendInTurn(draft, remote, renewed, undefined);
    const send = (sent: Draft, encoded: Encoded): Promise<StoreResult> =>
      this.#sendInTurn(sent, remote, storedEntry(entry, versions, encoded), encoded);
    const unwritable = (error: unknown): Awaitable<StoreResult> => {
      this.#reportUnwritable(flight, error as EncodeError);
      return flight.lease?.seen === "" && remote.keepsMeta
        ? send({ ...draft, marker: "not-stored" }, encodedMarker("not-stored"))
        : this.#keepAlone(draft, { ...entry, versions }, this.#epochOfRefused(flight));
    };
    let encoding: Awaitable<Encoded>;
    try {
      encoding = remote.encode(entry.value);
    } catch (error) {
      return unwritable(error);
    }
    return isThenable(encoding) ? encoding.then((encoded) => send(draft, encoded), unwritable) : send(draft, encoding);
  }

  #sendInTurn(...[draft, remote, entry, encoded]: SendArguments): Promise<StoreResult> {
    const { flight } = draft;
    const write = this.#context.writes.run(flight.key.local, () => this.#send(draft, remote, entry, encoded));
    return this.#answeredInTime(flight, write, (result) => {
      const fence = fencedBy(this.#context.tags, flight, entry.terms.dependsOn);
      return fence === undefined ? result : this.#fenced(flight, fence);
    });
  }

  /**
   * Third, in its turn among the writes of this key: sends the entry, and keeps a copy of it. One that is renewed in
   * place keeps its version, and the lease is not ended by that.
   */
  async #send(...[draft, remote, entry, encoded]: SendArguments): Promise<StoreResult> {
    const { flights, recovery, trust } = this.#context;
    const { flight } = draft;
    const { key, lease } = flight;
    // Its turn may have come late: a later call of this process is newer.
    if (fencedBy(this.#context.tags, flight, draft.entry.terms.dependsOn) !== undefined) return "refused";
    // Without leases nothing else keeps it from undoing a change of another process.
    if (lease === undefined && flight.isTainted) {
      flight.lose();
      return "refused";
    }
    try {
      // From here on the copy is the stored entry, unless a change is received.
      if (encoded === undefined) flight.resend(trust.epochOf(key.local));
      else flight.sendStore(trust.epochOf(key.local));
      const sent = draft.marker === undefined ? entry : { ...entry, terms: { ...entry.terms, marker: draft.marker } };
      const status = await sending(remote, flight, sent, encoded);
      if (encoded !== undefined) lease?.end();
      if (status === "overtaken") {
        flight.lose();
        return "refused";
      }
      // A forced load is a write of this process: anything that began before it is older.
      if (flight.call.isForced) recovery?.acknowledgedKey(key);
      else recovery?.forgetKey(key);
      if (status === "stored") this.#overtake(flight);
      // If the backend refused the entry, it has nothing to confirm the copy by.
      const epoch = status === "stored" ? flights.copyEpoch(flight) : trust.unconfirmed;
      const kept =
        draft.marker === undefined ? this.#keepLocally(draft, entry, epoch) : this.#keepAlone(draft, entry, epoch);
      if (status === "stored" && !flights.isUntainted(flight) && lease !== undefined)
        void this.confirm(remote.leases!, key, entry.version!);
      if (status !== "stored") return "refused";
      return draft.marker === undefined ? draft.result : kept;
    } catch (error) {
      if (error instanceof EncodeError) this.#reportUnwritable(flight, error);
      const isRefused = error instanceof BackendRefusedError || error instanceof EncodeError;
      return this.#keepAlone(draft, entry, isRefused ? this.#epochOfRefused(flight) : trust.unconfirmed);
    }
  }

  /** The load is later than the calls of many keys under way, unless one of them has fenced it. */
  #overtake(flight: Flight): void {
    if (flight.fencedBy === undefined) this.#context.bulkWrites.overtake(flight.key.local, DONE);
  }

  /**
   * The epoch of a copy that cannot be encoded, or whose lease, versions or store the backend refused: it is trusted
   * like one that was stored. The key was read before the load, so every change by a cache is reported, although the
   * backend has no entry. A forced load, and one after a token, does not read it: it depends on the lease.
   */
  #epochOfRefused(flight: Flight): Epoch {
    const { flights, trust } = this.#context;
    const { isForced, isCurrent } = flight.call;
    const wasRead = flight.lease !== undefined || !(isForced || isCurrent);
    return flight.isUnreachable || !wasRead ? trust.unconfirmed : flights.copyEpoch(flight);
  }

  /** A value that the backend does not take. */
  #keepAlone(draft: Draft, entry: Entry, epoch: Epoch): "stored" | "not-modified" | "refused" {
    return this.#keepLocally(draft, { ...entry, isAlone: true }, epoch);
  }

  #keepLocally({ flight, result }: Draft, entry: Entry, epoch: Epoch): "stored" | "not-modified" | "refused" {
    const { local, flights } = this.#context;
    const { key, policy } = flight.call;
    // A finished flight is unregistered, so a later fence would not reach it.
    if (flight.isOver || fencedBy(this.#context.tags, flight, entry.terms.dependsOn) !== undefined) return "refused";
    flights.fenceOlder(key.local, flight);
    const isKept = local?.keep(key.local, entry, policy.localTtlMs ?? Infinity, epoch) === true;
    return isKept && local.tier.get(key.local) !== undefined ? result : "refused";
  }

  /** A load whose result has no lifetime removes the entry that was there. */
  async #remove(flight: Flight, dependsOn: readonly string[]): Promise<"refused"> {
    const { local, flights, writes, recovery } = this.#context;
    const { key, lease } = flight;
    const { remote } = flight.call.namespace;
    flights.fenceOlder(key.local, flight);
    local?.tier.delete(key.local);
    if (remote === undefined) return "refused";
    await this.#answeredInTime(
      flight,
      writes.run(key.local, async () => {
        if ((await orPending(recovery, key, () => remote.remove(key))) !== "pending") lease?.end();
      }),
      ignore,
    );
    // A read before the acknowledgement may have found the old entry.
    if (fencedBy(this.#context.tags, flight, dependsOn) === undefined) {
      flights.outdateReads(key.local);
      local?.tier.delete(key.local);
    }
    return "refused";
  }

  /**
   * The copy of the entry that this process has just stored: the change message of its own write, which looks like that
   * of any other process, left it unconfirmed. After an ordinary store no caller waits for it. Never rejects.
   */
  confirm(leases: EntryLeases, key: EntryKey, version: string): Promise<void> {
    const { local, trust, writes } = this.#context;
    if (local === undefined || !local.holds(key.local, version)) return DONE;
    const epoch = trust.epochOf(key.local);
    const confirming = leases.confirm(key).then((now) => {
      if (now === version) local.confirm(key.local, version, epoch);
    }, ignore);
    return writes.include(confirming);
  }

  /**
   * Where the backend has nothing, a marker that ends and is invalidated like an entry: callers elsewhere need not wait
   * for such loads one after another. If it cannot be stored they do, as the tier has reported.
   */
  async #mark(
    flight: Flight,
    loaded: Loaded,
    kind: "no-store" | "not-shared",
    pinned: Pinned | undefined,
  ): Promise<StoreResult> {
    const { clock, writes } = this.#context;
    const { key, lease, fallback, call } = flight;
    const { remote } = call.namespace;
    const isEmpty = lease?.seen === "" && fallback === undefined;
    if (!isEmpty || loaded.value === undefined || flight.storesNothing || !remote!.keepsMeta) return kind;
    const marker: Marker = kind === "no-store" ? "not-stored" : kind;
    const encoded = encodedMarker(marker);
    const terms = termsIn(key.space, NO_LIMITS, { ...NO_LABELS, tags: tagsOf(flight, undefined, loaded) });
    const entry = newEntry({
      value: null,
      ttlMs: MARKED_MS,
      terms: { ...terms, marker },
      now: clock.now(),
      tagSequence: flight.tagSequence,
      version: lease.token,
    });
    if (remote!.versions !== undefined && pinned === undefined) return kind;
    const versions =
      remote!.versions && (await this.#versionsFor({ flight, entry, result: "stored", used: loaded.used }, pinned!));
    if (typeof versions === "string") return kind;
    const send = async (): Promise<void> => {
      if (fencedBy(this.#context.tags, flight, terms.dependsOn) !== undefined) return;
      await remote!.leases!.store(
        key,
        { entry: storedEntry(entry, versions, encoded), encoded, versions },
        lease.token,
        "",
      );
      lease.end();
    };
    return this.#answeredInTime(flight, writes.run(key.local, send).catch(ignore), () => kind);
  }

  #versionsFor(
    { flight, entry, used }: Draft,
    pinned: Pinned,
  ): Awaitable<Entry["versions"] | "fenced" | "unreachable"> {
    const { dependsOn } = entry.terms;
    const versions = versionsFor(flight.call.namespace.remote!.versions!, pinned, dependsOn);
    const allowed = (found: Entry["versions"]): Entry["versions"] | "fenced" | "unreachable" =>
      found === undefined ? "fenced" : (used?.forbids(dependsOn, found) ?? found);
    if (!isThenable(versions)) return allowed(versions);
    return flight.budget.limit(this.#context.clock, versions, "call", allowed, () => "unreachable");
  }

  #fenced(flight: Flight, by: FencedBy): "fenced" {
    const { events } = this.#context;
    flight.call.namespace.meter.fenced += 1;
    if (events.fenced.isObserved) events.fenced.emit({ ...this.#answers.keyEvent(flight.key), by });
    return "fenced";
  }

  /** The callers get the value, and it is stored nowhere. */
  #reportUnwritable(flight: Flight, error: CacheError): void {
    this.#context.events["backend:error"].emit({
      cache: this.#context.name,
      namespace: flight.key.space.path,
      key: flight.key.name,
      tier: error.tier ?? "",
      operation: error.operation ?? "encode",
      error,
    });
  }

  /** When the time is spent, the callers get the loaded value; the flight keeps waiting. @param then what follows. */
  #answeredInTime<T, R>(flight: Flight, write: Promise<T>, then: (written: T) => R): Promise<R> {
    const late = (error: unknown, how: "failed" | "late"): Awaitable<typeof LATE> =>
      how === "late" ? LATE : Promise.reject(error);
    return flight.budget
      .limit<T, T | typeof LATE>(this.#context.clock, write, "calls", (written) => written, late)
      .then((written) => {
        if (written !== LATE) return then(written);
        // Here, and not in the timer, which belongs to no call: this may call `waitUntil`.
        this.#waiters.answerAll(flight, loadedAnswer(flight.loaded!));
        return write.then(then);
      });
  }
}

const LATE = Symbol("late");

/** How long a key counts as one whose value is not stored, or not shared: then callers wait for one load again. */
export const MARKED_MS = 10_000;
const NO_LIMITS: LifeLimits = { staleWhileRevalidateMs: 0, staleIfErrorMs: 0, localTtlMs: Infinity };
const NO_LABELS = { etag: undefined, lastModified: undefined };

type SendArguments = [draft: Draft, remote: EntryTier, entry: Entry, encoded: Encoded | undefined];

/**
 * The entry that a load found not modified, as the backend can renew it: under the version and in the form that it has
 * there, with the life and the terms of `made`. `undefined` if the backend has another one, or no leases.
 */
function renewable({ lease, fallback }: Flight, made: Entry): Entry | undefined {
  if (lease === undefined || fallback?.encoding === undefined || fallback.version !== lease.seen) return undefined;
  const { version, encoding, encodedBytes, uncompressedBytes } = fallback;
  if (encodedBytes === undefined) return undefined;
  return { ...made, version, encoding, encodedBytes, uncompressedBytes };
}

/** Sends an entry of a load. @param encoded `undefined`: it is renewed in place, and its value is not sent. */
function sending(remote: EntryTier, flight: Flight, entry: Entry, encoded: Encoded | undefined): Promise<StoreStatus> {
  const { key, lease } = flight;
  if (encoded === undefined)
    return remote.leases!.touch(key, entry).then((isSame) => (isSame ? "stored" : "overtaken"));
  const sent = { entry, encoded, versions: entry.versions };
  return lease === undefined ? remote.write(key, sent) : remote.leases!.store(key, sent, lease.token, lease.seen);
}

/** With its tag versions, if all of them were pinned; without them a copy is trusted until any tag event. */
function underPinned(entry: Entry, pinned: Pinned | undefined): Entry {
  const versions = entry.terms.dependsOn.flatMap((key) => pinned?.versions.get(key) ?? []);
  return versions.length === entry.terms.dependsOn.length ? { ...entry, versions } : entry;
}

/** Tags of the callers, of a kept entry, of the loader; each once. */
function tagsOf(flight: Flight, kept: Entry | undefined, loaded: Loaded): readonly string[] {
  const names = [...flight.tags, ...(kept?.terms.tags ?? []), ...(loaded.options?.tags ?? [])];
  return names.length === 0 ? NO_TAGS : [...new Set(names)];
}

const noRoomForMeta = (label: string): EncodeError =>
  new EncodeError(`${label}: its layout has no room for tags and validators; the value is not stored`, {
    tier: label,
    operation: "encode",
  });
const DONE = Promise.resolve();
