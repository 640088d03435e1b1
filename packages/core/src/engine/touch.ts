import type { NamespaceContext } from "./call.ts";
import type { Copies, Life, Reporting, Writing } from "./context.ts";
import type { LoadedStore } from "./loaded-store.ts";
import type { Reads } from "./reads.ts";
import { Guard } from "../coherence/guards.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";
import { CacheError, EncodeError } from "../contracts/errors.ts";
import type { Encoded } from "../entry/codec.ts";
import { storedEntry, wholeInstant, type Entry } from "../entry/entry.ts";
import { isFresh, lifeOf } from "../entry/freshness.ts";
import type { EntryKey } from "../entry/key.ts";
import { lifetimeOf, type TouchOptions } from "../entry/policy.ts";
import { newId } from "../primitives/ids.ts";
import type { EntryLeases, EntryTier, EntryWrite, StoreStatus } from "../tiers/entry-tier.ts";
import { ignore } from "../primitives/ignore.ts";

/** The outcome of `touch`. */
export interface TouchResult {
  /**
   * `missing`: neither this process nor the backend has a fresh value. `refused`: the entry is as it
   * was, since it is being loaded or changed at this moment, or the backend did not store it.
   */
  readonly status: "touched" | "missing" | "refused";
}

type TouchContext = Reporting & Copies & Life & Pick<Writing, "writes" | "recovery">;

/**
 * Gives a fresh entry a new life, with the value, tags, validators and age that it has.
 *
 * With a backend it is read there and stored again like the result of a load: under a lease, if the entry is still the
 * one that was read, and under its own tag versions. So it undoes no change, and brings nothing back.
 */
export class Touch {
  readonly #context: TouchContext;
  readonly #reads: Reads;
  readonly #loadedStore: LoadedStore;

  constructor(context: TouchContext, reads: Reads, loadedStore: LoadedStore) {
    this.#context = context;
    this.#reads = reads;
    this.#loadedStore = loadedStore;
  }

  async touch(namespace: NamespaceContext, key: EntryKey, options: TouchOptions | undefined): Promise<TouchResult> {
    const { remote } = namespace;
    this.#context.decisions?.note(key.local, "write", "touched here");
    return {
      status:
        remote === undefined
          ? this.#here(namespace, key, options)
          : await this.#there(remote, { namespace, key, options }),
    };
  }

  #here(namespace: NamespaceContext, key: EntryKey, options: TouchOptions | undefined): TouchResult["status"] {
    const { local, clock } = this.#context;
    const entry = this.#renewed(namespace, local?.get(key.local, clock.now()), options);
    if (entry === undefined) return "missing";
    const isKept = local!.keep(key.local, entry, namespace.policy.localTtlMs ?? Infinity, EPOCH_ALWAYS);
    return isKept && local!.tier.get(key.local) !== undefined ? "touched" : "refused";
  }

  async #there(remote: EntryTier, call: TouchCall): Promise<TouchResult["status"]> {
    const { flights, writes, lifecycle } = this.#context;
    const { namespace, key, options } = call;
    if (!lifecycle.isOpen) return "refused";
    const guard = new Guard();
    flights.add(key.local, guard);
    try {
      const entry = this.#renewed(namespace, await this.#reads.entry(namespace, key), options);
      if (entry === undefined) return "missing";
      const encoded = await remote.encode(entry.value);
      return await writes.run(key.local, () => this.#store(remote, call, guard, { entry, encoded }));
    } catch (error) {
      // A local tier that broke its contract is not reported elsewhere.
      if (error instanceof EncodeError || !(error instanceof CacheError)) throw error;
      // The tier has reported it. The value is the same with either life, so an unknown outcome leaves nothing to mend.
      return "refused";
    } finally {
      flights.remove(guard);
    }
  }

  /** In its turn among the writes of this key. */
  async #store(
    remote: EntryTier,
    call: TouchCall,
    guard: Guard,
    { entry, encoded }: Draft,
  ): Promise<TouchResult["status"]> {
    const { flights, trust, tags, local, recovery } = this.#context;
    const { namespace, key } = call;
    const isOvertaken = (): boolean =>
      guard.fencedBy !== undefined || tags.wasCalled(entry.terms.dependsOn, entry.tagSequence);
    // Without leases nothing else keeps it from undoing a change of another process.
    if (isOvertaken() || (remote.leases === undefined && guard.isTainted)) return "refused";
    guard.resend(trust.epochOf(key.local));
    const token = remote.leases && newId();
    if (token !== undefined && !(await this.#takeLease(remote.leases!, call, entry, token, isOvertaken)))
      return "refused";
    const kept = storedEntry({ ...entry, version: token }, entry.versions, encoded);
    const write = { entry: kept, encoded, versions: entry.versions };
    const status =
      token === undefined
        ? await remote.write(key, write)
        : await this.#storeUnderLease(remote.leases!, key, write, token, entry.version ?? "");
    if (status !== "stored") return "refused";
    recovery?.tookWrite();
    if (isOvertaken()) return "touched";
    local?.keep(key.local, kept, namespace.policy.localTtlMs ?? Infinity, flights.copyEpoch(guard));
    if (!flights.isUntainted(guard) && token !== undefined) void this.#loadedStore.confirm(remote.leases!, key, token);
    return "touched";
  }

  /** Where it fails the lease is released, also if nothing was sent: other processes would wait for it. */
  async #storeUnderLease(
    leases: EntryLeases,
    key: EntryKey,
    write: EntryWrite,
    token: string,
    seen: string,
  ): Promise<StoreStatus> {
    try {
      return await leases.store(key, write, token, seen);
    } catch (error) {
      void leases.release(key, token).catch(ignore);
      throw error;
    }
  }

  /** Whether the lease was granted over this very entry, and nothing newer was called meanwhile. */
  async #takeLease(
    leases: EntryLeases,
    { namespace: { schema }, key }: TouchCall,
    { version = "", terms: { tags }, tagSequence }: Entry,
    token: string,
    isOvertaken: () => boolean,
  ): Promise<boolean> {
    const request = { key, schema, expectedTags: tags, tagSequence };
    const answer = await leases.acquire(request, token, version);
    if (answer.kind !== "granted") return false;
    if (answer.seen === version && !isOvertaken()) return true;
    // Its failure the tier has reported; then the lease ends by itself.
    void leases.release(key, token).catch(ignore);
    return false;
  }

  /** The entry with its new life; `undefined` if none is fresh. */
  #renewed(
    { policy }: NamespaceContext,
    entry: Entry | undefined,
    options: TouchOptions | undefined,
  ): Entry | undefined {
    const { clock } = this.#context;
    const now = wholeInstant(clock.now());
    if (!isFresh(entry, now)) return undefined;
    const ttl = options?.ttl;
    const { ttlMs } = lifetimeOf(entry.value, policy, ttl === undefined ? {} : { ttl, negativeTtl: ttl });
    // A namespace may keep no `null`.
    if (ttlMs <= 0) return undefined;
    const expiresAt = now + ttlMs + Math.max(entry.terms.staleWhileRevalidateMs, entry.terms.staleIfErrorMs);
    // Its age goes on, unknown if it was: a call with `maxAge` asks when the value was loaded.
    const ageMs = entry.ttlMs === Infinity ? Infinity : lifeOf(entry, now).ageMs;
    return { ...entry, ttlMs: ttlMs + ageMs, staleAt: now + ttlMs, expiresAt, deadAt: expiresAt };
  }
}

interface TouchCall {
  readonly namespace: NamespaceContext;
  readonly key: EntryKey;
  readonly options: TouchOptions | undefined;
}

/** An entry with its new life, and the version of the one that was read. */
interface Draft {
  readonly entry: Entry;
  readonly encoded: Encoded;
}
