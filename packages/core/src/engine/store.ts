import type { Guard } from "../coherence/guards.ts";
import type { Epoch } from "../coherence/parts.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { DeleteStatus } from "../contracts/backend.ts";
import type { TagVersion } from "../contracts/capabilities.ts";
import { EncodeError } from "../contracts/errors.ts";
import type { CacheEvents, FencedBy } from "../contracts/events.ts";
import { encodedPlaceholder, type Encoded } from "../entry/codec.ts";
import { newEntry, storedEntry, type Entry, type Labels, type LifeLimits, type Placeholder } from "../entry/entry.ts";
import { dependencies, NO_TAGS, type EntryKey } from "../entry/key.ts";
import { lifetimeOf } from "../entry/policy.ts";
import { termsIn } from "../entry/terms.ts";
import { haveEqualItems } from "../primitives/equal-items.ts";
import { ignore } from "../primitives/ignore.ts";
import { promised } from "../primitives/settlers.ts";
import { isThenable, whenReady } from "../primitives/thenable.ts";
import { versionsFor } from "../tags/tag-versions.ts";
import { BackendRefusedError } from "../tiers/backend-calls.ts";
import type { EntryLeases, StoreStatus } from "../tiers/entry-tier.ts";
import { orPending } from "../tiers/recovery.ts";
import type { Answers } from "./answers.ts";
import { noRoomForMeta } from "./call.ts";
import type { Copies, Reporting, Writing } from "./context.ts";
import { fencedBy, type Flight } from "./flight.ts";
import type { Loaded } from "./load.ts";

/** The outcome of storing a loaded value, as the event `load` reports it. */
export type StoreResult = CacheEvents["load"]["result"];
/** The answer of a backend to a write; `undefined` where it was not sent. */
export type WriteAnswer = StoreStatus | Error | undefined;
/** Whether the value of a load is in a tier now. */
export const isStored = (result: StoreResult): boolean => result === "stored" || result === "not-modified";
/** The versions that an entry is stored under, or why there are none. */
export type UsableVersions = readonly TagVersion[] | "none" | "fenced" | "unreachable";

type StoringContext = Reporting & Copies & Writing;

/**
 * The result of a load on its way into the tiers: into the backend, under the tag versions pinned before the load, then
 * into memory. The steps of its flight call these methods, from top to bottom; each may end it with a result.
 *
 *     begin ─┬─ entry ───────┐                      ┌─ entry ───────┐
 *            ├─ placeholder ─┼─▶ versions ─▶ encode ├─ renewal ─────┼─▶ send ─▶ sent ─▶ settled
 *            └─ removal ─────┘                      ├─ placeholder ─┤
 *                                                   └─ removal ─────┘
 *
 * From `encode` on it has what the backend is to store; `send` is called in its turn among the writes of the key. Memory
 * gets a copy in `sent`, or earlier where the backend is not asked. It ends early
 *
 * - in begin: fenced; withheld, and no placeholder is needed or possible; without a lifetime, and nothing there to remove;
 *   kept in memory alone, since there is no backend, no answer of it, or no lease
 * - in encode: fenced by an event of one of its tags; kept in memory alone, since versions or bytes cannot be had
 * - in send: fenced while it waited for its turn, or overtaken by another process: nothing is sent
 * - in sent: overtaken; kept in memory alone, since the backend failed or refused it
 * - in settled: fenced while the store was under way
 *
 * If anything fails here, the callers still get the value. A transaction that is open keeps it from `begin`, and one that
 * began meanwhile takes it back: {@link isBarred}, {@link withdraw}.
 */
export class Draft {
  readonly #flight: Flight;
  readonly #loaded: Loaded;
  readonly #context: StoringContext;
  readonly #answers: Answers;
  readonly #tags: readonly string[];
  readonly #dependsOn: readonly string[];
  #entry!: Entry;
  /** If all goes well. */
  #result: StoreResult = "refused";
  #sends: "entry" | "renewal" | "placeholder" | "removal" = "entry";
  #encoded!: Encoded;
  /** The placeholder to store instead of a value that is not to be stored, or that the backend cannot take. */
  #placeholder: Placeholder | undefined;
  /** Whether a change of the key was reported before the store was sent. */
  #wasTainted = false;
  /** `Recovery.takeovers` when the store was sent. */
  #takeovers: number | undefined;

  constructor(flight: Flight, loaded: Loaded, context: StoringContext, answers: Answers) {
    const { space } = flight.key;
    const kept = loaded.kind === "not-modified" ? flight.fallback?.terms.tags : undefined;
    const tags = [...flight.tags, ...(kept ?? NO_TAGS), ...(loaded.options?.tags ?? NO_TAGS)];
    this.#flight = flight;
    this.#loaded = loaded;
    this.#context = context;
    this.#answers = answers;
    // From the callers, a kept entry, and the loader; each once.
    this.#tags = tags.length === 0 ? NO_TAGS : [...new Set(tags)];
    this.#dependsOn = dependencies(space, this.#tags);
    // From here on an event of one of these ends joining; even if the value is stored nowhere.
    const { named } = loaded;
    const all = named.length === 0 ? this.#tags : [...new Set([...tags, ...named])];
    flight.dependOn(all === this.#tags ? this.#dependsOn : dependencies(space, all), all);
  }

  /** Whether a transaction that is open may change it: then it is stored nowhere. */
  isBarred(): Awaitable<boolean> {
    return this.#context.barrier?.bars(this.#flight.key, this.#dependsOn) ?? false;
  }

  /** Takes back what was stored while a transaction began. */
  async withdraw(result: StoreResult): Promise<StoreResult> {
    if (!isStored(result) || !(await this.isBarred())) return result;
    const { flights, local } = this.#context;
    const { key, call } = this.#flight;
    flights.fenceOlder(key.local, this.#flight);
    local?.tier.delete(key.local);
    if (call.namespace.remote !== undefined) await this.#sendRemoval();
    flights.outdateReads(key.local);
    local?.tier.delete(key.local);
    return this.#answers.fenced(this.#flight, "transaction");
  }

  /** Decides if anything is stored, and which entry. */
  begin(now: number): StoreResult | undefined {
    const flight = this.#flight;
    const { namespace, key, policy } = flight.call;
    const { kind, value, options, used } = this.#loaded;
    if (kind === "no-store" || kind === "not-shared") return this.#placeholderFor(kind, now);
    if (flight.climb.storesNothing) return "no-store";
    const fence = this.#fence();
    if (fence !== undefined) return this.#answers.fenced(flight, fence);
    const life = kind === "nothing" ? undefined : lifetimeOf(value, policy, options);
    if (life === undefined) return this.#remove();
    this.#context.notice?.(namespace, key.name, value, policy.givenTtl);
    const usedForMs = used?.freshForMs(now) ?? Infinity;
    // Made of what is stale, or is not stored: it replaces nothing.
    if (usedForMs <= 0) return this.#placeholderFor("no-store", now);
    const tags = this.#tags;
    const hasMeta = tags.length !== 0 || options?.etag !== undefined || options?.lastModified !== undefined;
    if (namespace.remote?.keepsMeta === false && hasMeta)
      return this.#answers.unwritable(flight, noRoomForMeta(namespace.remote.label));
    const kept = kind === "not-modified" ? flight.fallback?.terms : undefined;
    const { etag = kept?.etag, lastModified = kept?.lastModified } = options ?? {};
    const limits = usedForMs === Infinity ? life : { ...life, inheritedMs: usedForMs };
    this.#result = kind === "not-modified" ? kind : "stored";
    this.#becomes(
      newEntry({
        value,
        ttlMs: Math.min(life.ttlMs, usedForMs),
        terms: termsIn(key.space, limits, { tags, etag, lastModified }),
        now,
        tagSequence: flight.tagSequence,
        version: flight.climb.lease?.token,
      }),
    );
    return this.#onlyHere();
  }

  /** A value that must not reach the backend is kept only here. */
  #onlyHere(): StoreResult | undefined {
    const { pinned, lease, isUnreachable } = this.#flight.climb;
    const { remote } = this.#flight.call.namespace;
    if (remote === undefined) return this.#keep(EPOCH_ALWAYS);
    const isUnversioned = remote.versions !== undefined && pinned === undefined;
    if (!isUnreachable && !isUnversioned && (remote.leases === undefined || lease !== undefined)) return undefined;
    // With its tag versions, if all of them were pinned; without them a copy is trusted until any tag event.
    const versions = this.#dependsOn.flatMap((key) => pinned?.versions.get(key) ?? []);
    if (versions.length === this.#dependsOn.length) this.#entry = { ...this.#entry, versions };
    const isOfOthers = this.#loaded.used !== undefined;
    return this.#keepAlone(isOfOthers ? this.#epochUnconfirmed() : this.#epochOfRefused());
  }

  /**
   * Where the backend has nothing, a placeholder that ends and is invalidated like an entry: callers elsewhere need not
   * wait for such loads one after another. If it cannot be stored they do, as the tier has reported.
   */
  #placeholderFor(kind: "no-store" | "not-shared", now: number): StoreResult | undefined {
    const { key, fallback, call, tagSequence } = this.#flight;
    const { lease, storesNothing, pinned } = this.#flight.climb;
    const { remote } = call.namespace;
    const isEmpty = lease?.seen === "" && fallback === undefined;
    if (!isEmpty || this.#loaded.value === undefined || storesNothing || !remote!.keepsMeta) return kind;
    if (remote!.versions !== undefined && pinned === undefined) return kind;
    this.#result = kind;
    this.#sends = "placeholder";
    this.#placeholder = kind === "no-store" ? "not-stored" : kind;
    const terms = {
      ...termsIn(key.space, NO_LIMITS, { ...NO_LABELS, tags: this.#tags }),
      placeholder: this.#placeholder,
    };
    this.#entry = newEntry({ value: null, ttlMs: PLACEHOLDER_MS, terms, now, tagSequence, version: lease.token });
    return undefined;
  }

  /** A load that found nothing, or whose result has no lifetime, removes the entry that was there. */
  #remove(): StoreResult | undefined {
    const { local, flights } = this.#context;
    const { key, call, fallback, climb } = this.#flight;
    const isNothing = this.#loaded.kind === "nothing";
    // Most loads that find nothing replace nothing.
    const isSent = !isNothing || fallback !== undefined || (climb.lease?.seen ?? "") !== "";
    this.#sends = "removal";
    this.#result = isNothing ? "no-store" : "refused";
    flights.fenceOlder(key.local, this.#flight);
    this.#flight.dropFallback();
    local?.tier.delete(key.local);
    return isSent && call.namespace.remote !== undefined ? undefined : this.#result;
  }

  /** The tag versions to store it under. */
  versions(): Awaitable<UsableVersions> {
    const { call, climb } = this.#flight;
    const { versions } = call.namespace.remote!;
    if (versions === undefined || this.#sends === "removal") return "none";
    return whenReady(versionsFor(versions, climb.pinned!, this.#dependsOn), (found) =>
      found === undefined ? "fenced" : (this.#loaded.used?.forbids(this.#dependsOn, found) ?? found),
    );
  }

  /** Encodes it. A value that the backend cannot take is kept in memory alone. */
  encode(versions: UsableVersions = "unreachable"): Awaitable<StoreResult | undefined> {
    const flight = this.#flight;
    const { pinned, isProven } = flight.climb;
    if (this.#sends === "removal") return undefined;
    if (versions === "fenced" || versions === "unreachable") {
      if (this.#sends === "placeholder") return this.#result;
      if (versions === "fenced") return this.#answers.fenced(flight, "tags");
      return this.#keepAlone(this.#epochUnconfirmed());
    }
    if (versions !== "none") this.#entry = { ...this.#entry, versions };
    if (this.#sends === "placeholder") return this.#takes(encodedPlaceholder(this.#placeholder!));
    if (!isProven && pinned !== undefined) flight.prove(new Set([...pinned.versions.keys(), ...this.#dependsOn]));
    const renewed = this.#result === "not-modified" ? renewable(flight, this.#entry) : undefined;
    if (renewed !== undefined) {
      this.#sends = "renewal";
      return this.#becomes(renewed);
    }
    let encoding: Awaitable<Encoded>;
    try {
      encoding = flight.call.namespace.remote!.encode(this.#entry.value, "load");
    } catch (error) {
      return this.#untaken(error as EncodeError);
    }
    if (!isThenable(encoding)) return this.#takes(encoding);
    flight.makes(this.#entry);
    return encoding.then(
      (encoded) => this.#takes(encoded),
      (error: EncodeError) => this.#untaken(error),
    );
  }

  #takes(encoded: Encoded): undefined {
    this.#encoded = encoded;
    this.#becomes(storedEntry(this.#entry, this.#entry.versions, encoded));
  }

  #becomes(entry: Entry): undefined {
    this.#entry = entry;
    if (this.#sends !== "placeholder") this.#flight.makes(entry);
  }

  /**
   * Where the backend has nothing, a placeholder with the life of the value says so: other processes load for
   * themselves, side by side, and what ends the placeholder ends the copies.
   */
  #untaken(error: EncodeError): StoreResult | undefined {
    const flight = this.#flight;
    this.#answers.unwritable(flight, error);
    flight.makes(this.#entry);
    if (flight.climb.lease?.seen !== "" || !flight.call.namespace.remote!.keepsMeta)
      return this.#keepAlone(this.#epochOfRefused());
    this.#placeholder = "not-stored";
    return this.#takes(encodedPlaceholder(this.#placeholder));
  }

  /** Sends the store in its turn among the writes of the key. @returns `undefined` if nothing is sent. */
  send(): Promise<WriteAnswer> | undefined {
    const flight = this.#flight;
    const { key, call } = flight;
    const { lease } = flight.climb;
    const { trust, recovery } = this.#context;
    const remote = call.namespace.remote!;
    const entry = this.#entry;
    this.#takeovers = recovery?.takeovers;
    if (this.#sends === "removal") return this.#sendRemoval();
    // Its turn may have come late: a later call of this process is newer.
    if (this.#fence() !== undefined) return undefined;
    // Without leases nothing else keeps it from undoing a change of another process.
    if (lease === undefined && flight.isTainted) {
      flight.lose();
      return undefined;
    }
    this.#wasTainted = flight.isTainted;
    // From here on the copy is the stored entry, unless a change is received.
    if (this.#sends === "renewal") {
      flight.resend(trust.epochOf(key.local));
      return remote.leases!.touch(key, entry).then((isSame) => (isSame ? "stored" : "overtaken"));
    }
    flight.sendStore(trust.epochOf(key.local));
    const placeholder = this.#placeholder;
    const sent = placeholder === undefined ? entry : { ...entry, terms: { ...entry.terms, placeholder } };
    const write = { entry: sent, encoded: this.#encoded, versions: entry.versions };
    return promised<StoreStatus>((ends) => {
      if (lease === undefined) remote.writeTo(key, write, ends);
      else remote.leases!.store(key, write, lease.token, lease.seen, ends);
    });
  }

  async #sendRemoval(): Promise<undefined> {
    const { key, call } = this.#flight;
    const { recovery } = this.#context;
    const status = await promised<DeleteStatus | "pending">((ends) =>
      orPending(recovery, key, (sent) => call.namespace.remote!.removeTo(key, sent), ends),
    );
    if (status !== "pending") this.#flight.climb.lease?.end();
  }

  /** In that turn: keeps a copy. One that is renewed in place keeps its version, and the lease is not ended by that. */
  sent(answer: WriteAnswer): StoreResult {
    try {
      return this.#sent(answer);
    } catch (error) {
      return this.#answers.broken(this.#flight, error);
    }
  }

  #sent(answer: WriteAnswer): StoreResult {
    const { flights, recovery, trust } = this.#context;
    const flight = this.#flight;
    const { key, call } = flight;
    if (answer === "stored" || answer === "refused" || answer === "overtaken")
      if (this.#sends !== "renewal") flight.climb.lease?.end();
    if (this.#sends === "placeholder" || this.#sends === "removal") return this.#result;
    if (answer === undefined) return "refused";
    if (answer instanceof Error) return this.#notSent(answer);
    if (answer === "overtaken") {
      flight.lose();
      return "refused";
    }
    const isStored = answer === "stored";
    // A forced load is a write of this process: anything that began before it is older.
    if (recovery?.takeovers !== this.#takeovers) recovery?.addKey(key);
    else if (call.isForced) recovery?.acknowledgedKey(key);
    else recovery?.forgetKey(key);
    // If the backend refused the entry, it has nothing to confirm the copy by.
    // A refusal has removed the entry, which was reported, too.
    const unconfirmed = this.#wasTainted ? trust.doubted : trust.unconfirmed;
    const epoch = isStored ? flights.copyEpoch(flight) : unconfirmed;
    const kept = this.#placeholder === undefined ? this.#keep(epoch) : this.#keepAlone(epoch);
    if (!isStored) return "refused";
    confirmStored(this.#context, call.namespace.remote!.leases, flight, key, this.#entry.version);
    return this.#placeholder === undefined ? this.#result : kept;
  }

  #notSent(error: Error): StoreResult {
    if (error instanceof EncodeError) this.#answers.unwritable(this.#flight, error);
    const isRefused = error instanceof BackendRefusedError || error instanceof EncodeError;
    return this.#keepAlone(isRefused ? this.#epochOfRefused() : this.#epochUnconfirmed());
  }

  /**
   * The final result of a store: `fenced` if something newer came meanwhile. After a removal it also drops the copy and
   * outdates reads.
   */
  settled(result: StoreResult): StoreResult {
    const { flights, local } = this.#context;
    const { key } = this.#flight;
    const fence = this.#fence();
    if (this.#sends === "placeholder") return result;
    if (this.#sends !== "removal") return fence === undefined ? result : this.#answers.fenced(this.#flight, fence);
    // A read before the acknowledgement may have found the old entry.
    if (fence !== undefined) return result;
    flights.outdateReads(key.local);
    local?.tier.delete(key.local);
    return result;
  }

  #fence(): FencedBy | undefined {
    return fencedBy(this.#context.tags, this.#flight, this.#dependsOn);
  }

  /**
   * The epoch of a copy that cannot be encoded, or whose lease, versions or store the backend refused: it is trusted
   * like one that was stored. The key was read before the load, so every change by a cache is reported, although the
   * backend has no entry. A forced load, and one after a token, does not read it: it depends on the lease.
   */
  #epochOfRefused(): Epoch {
    const { call } = this.#flight;
    const { lease, isUnreachable } = this.#flight.climb;
    const wasRead = lease !== undefined || !(call.isForced || call.isCurrent);
    return isUnreachable || !wasRead ? this.#epochUnconfirmed() : this.#context.flights.copyEpoch(this.#flight);
  }

  /** Where the store failed, no backend has said that what was reported during the load was no change. */
  #epochUnconfirmed(): Epoch {
    const { trust } = this.#context;
    return this.#flight.isTainted || this.#wasTainted ? trust.doubted : trust.unconfirmed;
  }

  /** A value that the backend does not take. */
  #keepAlone(epoch: Epoch): StoreResult {
    return this.#keep(epoch, { ...this.#entry, isLocalOnly: true });
  }

  #keep(epoch: Epoch, entry = this.#entry): StoreResult {
    const { local, flights } = this.#context;
    const flight = this.#flight;
    const { key, policy } = flight.call;
    // A finished flight is unregistered, so a later fence would not reach it.
    if (flight.isOver || this.#fence() !== undefined) return "refused";
    flights.fenceOlder(key.local, flight);
    const isKept = local?.keep(key.local, entry, policy.localTtlMs ?? Infinity, epoch) === true;
    return isKept && local.tier.get(key.local) !== undefined ? this.#result : "refused";
  }
}

/**
 * Confirms the copy of an entry that this process has just stored, if a change was reported meanwhile: it may be that
 * of its own write, which looks like any other. No caller waits for it.
 */
export function confirmStored(
  { local, trust, flights, writes }: Copies & Pick<Writing, "writes">,
  leases: EntryLeases | undefined,
  guard: Guard,
  key: EntryKey,
  version: string | undefined,
): void {
  if (leases === undefined || version === undefined || flights.isUntainted(guard)) return;
  const copy = local?.copyOf(key.local);
  if (copy?.version !== version) return;
  const epoch = trust.epochOf(key.local);
  const confirming = leases.confirm(key).then((now) => {
    if (now === version) local!.confirm(key.local, copy, epoch);
  }, ignore);
  void writes.include(confirming);
}

/** How long a key counts as one whose value is not stored, or not shared: then callers wait for one load again. */
export const PLACEHOLDER_MS = 10_000;
/** How long a fence stands, and its placeholder in a backend. */
export const FENCE_MS = 300_000;
export const NO_LIMITS: LifeLimits = { staleWhileRevalidateMs: 0, staleIfErrorMs: 0, localTtlMs: Infinity };
export const NO_LABELS: Labels = { tags: NO_TAGS, etag: undefined, lastModified: undefined };

/**
 * The entry that a load found not modified, as the backend can renew it: under the version and in the form that it has
 * there, with the life and the terms of `made`. `undefined` if the backend has another one, or no leases; and if it has
 * other tags, since a process that confirms the version would keep a copy without them.
 */
function renewable({ fallback, climb: { lease } }: Flight, made: Entry): Entry | undefined {
  if (lease === undefined || fallback?.encoding === undefined || fallback.version !== lease.seen) return undefined;
  if (!haveEqualItems(fallback.terms.dependsOn, made.terms.dependsOn)) return undefined;
  const { version, encoding, encodedBytes, uncompressedBytes } = fallback;
  if (encodedBytes === undefined) return undefined;
  return { ...made, version, encoding, encodedBytes, uncompressedBytes };
}
