import { Guard } from "../coherence/guards.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";
import { CacheError, EncodeError } from "../contracts/errors.ts";
import { staleLifeMs, wholeInstant, type Entry } from "../entry/entry.ts";
import { isFresh, lifeOf } from "../entry/freshness.ts";
import type { EntryKey } from "../entry/key.ts";
import { lifetimeOf, type TouchOptions } from "../entry/policy.ts";
import { termsIn } from "../entry/terms.ts";
import { promised } from "../primitives/settlers.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import type { NamespaceContext } from "./call.ts";
import type { Copies, Life, Reporting, Writing } from "./context.ts";
import type { Reads } from "./reads.ts";
import { confirmStored } from "./store.ts";

/** The outcome of `touch`. */
export interface TouchResult {
  /**
   * `missing`: neither this process nor the backend has a fresh value. `refused`: the entry is as it was, since it has
   * been changed, or the backend did not answer.
   */
  readonly status: "touched" | "missing" | "refused";
}

type TouchContext = Reporting & Copies & Life & Pick<Writing, "writes" | "recovery">;

/**
 * Gives a fresh entry a new life, with the value, tags, validators, age and inherited limit that it has.
 *
 * In a backend with leases that is one step, which moves no value, and is taken if the entry still has the version of
 * the local copy, or else of the entry that was read. Another backend gets the entry again. So it undoes no change, and
 * brings nothing back.
 */
export class Touch {
  readonly #context: TouchContext;
  readonly #reads: Reads;

  constructor(context: TouchContext, reads: Reads) {
    this.#context = context;
    this.#reads = reads;
  }

  async touch(namespace: NamespaceContext, key: EntryKey, options: TouchOptions | undefined): Promise<TouchResult> {
    const { remote } = namespace;
    this.#context.decisions?.note(key.local, "write", "touched here");
    const call = { namespace, key, options };
    return { status: remote === undefined ? this.#here(call) : await this.#there(remote, call) };
  }

  #here({ namespace, key, options }: TouchCall): TouchResult["status"] {
    const { local, clock } = this.#context;
    const entry = this.#renewed(namespace, local?.get(key.local, clock.now()), options);
    if (entry === undefined) return "missing";
    const isKept = local!.keep(key.local, entry, namespace.policy.localTtlMs ?? Infinity, EPOCH_ALWAYS);
    return isKept && local!.tier.get(key.local) !== undefined ? "touched" : "refused";
  }

  async #there(remote: RemoteTier, call: TouchCall): Promise<TouchResult["status"]> {
    const { flights, writes, lifecycle } = this.#context;
    const { namespace, key, options } = call;
    if (!lifecycle.isOpen) return "refused";
    const guard = new Guard();
    flights.add(key.local, guard);
    try {
      const entry = this.#renewed(namespace, await this.#current(remote, namespace, key), options);
      if (entry === undefined) return "missing";
      return await writes.run(key.local, () => this.#send(remote, call, guard, entry));
    } catch (error) {
      // A local tier that broke its contract is not reported elsewhere.
      if (error instanceof EncodeError || !(error instanceof CacheError)) throw error;
      // The tier has reported it. The value is the same with either life, so an unknown outcome leaves nothing to mend.
      return "refused";
    } finally {
      flights.remove(guard);
    }
  }

  /** The copy, where the backend compares its version; else the entry in the backend. */
  async #current(remote: RemoteTier, namespace: NamespaceContext, key: EntryKey): Promise<Entry | undefined> {
    const { local, clock } = this.#context;
    const copy = remote.leases && local?.get(key.local, clock.now());
    return copy?.encoding !== undefined && isFresh(copy, clock.now()) ? copy : this.#reads.entry(namespace, key);
  }

  /** Sends the touch in its turn among the writes of the key. */
  async #send(remote: RemoteTier, call: TouchCall, guard: Guard, entry: Entry): Promise<TouchResult["status"]> {
    const { flights, trust, tags, local, recovery } = this.#context;
    const { namespace, key } = call;
    const { leases } = remote;
    const isOvertaken = (): boolean =>
      guard.fencedBy !== undefined || tags.wasCalled(entry.terms.dependsOn, entry.tagSequence);
    // Without versions nothing else keeps it from undoing a change of another process.
    if (isOvertaken() || (leases === undefined && guard.isTainted)) return "refused";
    guard.resend(trust.epochOf(key.local));
    const isTouched = await (leases === undefined ? this.#rewrite(remote, key, entry) : leases.touch(key, entry));
    if (!isTouched) return "refused";
    recovery?.tookWrite();
    if (isOvertaken()) return "touched";
    local?.keep(key.local, entry, namespace.policy.localTtlMs ?? Infinity, flights.copyEpoch(guard));
    confirmStored(this.#context, leases, guard, key, entry.version);
    return "touched";
  }

  async #rewrite(remote: RemoteTier, key: EntryKey, entry: Entry): Promise<boolean> {
    const write = { entry, encoded: await remote.encode(entry.value), versions: entry.versions };
    return (await promised((ends) => remote.writeTo(key, write, ends))) === "stored";
  }

  /** The entry with its new life; `undefined` if none is fresh. */
  #renewed(
    { policy, keySpace }: NamespaceContext,
    entry: Entry | undefined,
    options: TouchOptions | undefined,
  ): Entry | undefined {
    const { clock } = this.#context;
    const now = wholeInstant(clock.now());
    if (!isFresh(entry, now)) return undefined;
    const ttl = options?.ttl;
    const life = lifetimeOf(entry.value, policy, ttl === undefined ? {} : { ttl, negativeTtl: ttl });
    // A namespace may keep no `null`.
    if (life === undefined) return undefined;
    // Its age continues, unknown if it was: a call with `maxAge` asks when the value was loaded.
    const ageMs = entry.ttlMs === Infinity ? Infinity : lifeOf(entry, now).ageMs;
    const { inheritedMs, mayLag } = entry.terms;
    const touchedMs = Math.min(life.ttlMs, inheritedMs === undefined ? Infinity : inheritedMs - ageMs);
    const touched = termsIn(keySpace, { ...entry.terms, touchedMs }, entry.terms);
    const terms = mayLag === true ? { ...touched, mayLag } : touched;
    const staleAt = now + touchedMs;
    const expiresAt = staleAt + staleLifeMs(terms);
    return { ...entry, ttlMs: touchedMs + ageMs, staleAt, expiresAt, deadAt: expiresAt, terms };
  }
}

interface TouchCall {
  readonly namespace: NamespaceContext;
  readonly key: EntryKey;
  readonly options: TouchOptions | undefined;
}
