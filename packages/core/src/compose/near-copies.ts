import type { KeyedQueue } from "../primitives/keyed-queue.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";
import { Guard } from "../coherence/guards.ts";
import { Flights } from "../engine/flights.ts";
import type { EntryKey } from "../entry/key.ts";
import { Semaphore } from "../primitives/semaphore.ts";
import { Trust } from "../coherence/trust.ts";

/** A copy in `near`. A copy without a version looks the same as any other copy of its key. */
export interface NearCopy {
  readonly key: EntryKey;
  readonly version: string | undefined;
}

interface KnownCopy extends NearCopy {
  /** The epoch of trust in which it last matched `far`; {@link EPOCH_NONE} if it was not compared yet. */
  readonly epoch: number;
  /** Whether this process has changed the key: an entry from before that change must not be served as fallback. */
  readonly isOwn: boolean;
}

export interface NearCopiesParts {
  readonly near: EntryTier;
  readonly far: EntryTier;
  /** Changes by this process, by key. */
  readonly changes: KeyedQueue;
  readonly clock: Clock;
  readonly nearTtlMs: number;
  /**
   * `clock.now()` until which every change in `far` is known to have arrived; `undefined` where not all of `far`
   * reports changes.
   */
  readonly farTrustedUntil: (() => number) | undefined;
}

/**
 * Tracks which copies in `near` are known to match `far`. Other processes may overwrite a copy, or leave it when `far`
 * changes.
 *
 *     unknown ──far holds the same write──▶ proven ──far changed, or may have──▶ overtaken ──replaced, or removed──▶
 *     unknown
 *
 * - proven: `far` held the very same write, and every change since then has arrived. The copy answers alone.
 * - unknown: the copy is checked against `far` first. If `far` does not answer, the copy is served as fallback, unless
 *   it may be older than a change by this process.
 * - overtaken: the copy is not served.
 *
 * So it does not matter which other process writes to `near`, and when that write arrives. Where not all of `far`
 * reports changes, no copy can be proven: copies answer alone for as long as `nearTtl` lets them live, unless they are
 * overtaken.
 *
 * When `far` reports a change of a proven copy, the copy is removed from `near` in the background. Before that, `far`
 * is asked whether it holds the very same write, since this process receives messages about its own writes, too. If it
 * does, the copy stays and is proven.
 *
 * Bounded: a forgotten copy is proven again. When too many copies are overtaken, the oldest are forgotten, and entries
 * loaded before then are not served as fallback any more.
 */
export class NearCopies {
  readonly #parts: NearCopiesParts;
  readonly #trust = new Trust();
  readonly #guards = new Flights(this.#trust);
  readonly #known = new Map<string, KnownCopy>();
  /** The latest is last. */
  readonly #overtaken = new Map<string, { readonly overtakenAt: number; readonly isOwn: boolean }>();
  /** Copies loaded before this may be overtaken: their records were dropped for want of room. */
  #forgottenAt = -Infinity;
  readonly #checks = new Set<Promise<void>>();
  readonly #checking = new Semaphore(MAX_CONCURRENT_CHECKS);
  #isStopped = false;

  constructor(parts: NearCopiesParts) {
    this.#parts = parts;
  }

  /** Whether a copy must be proven before it answers alone: where all of `far` reports changes. */
  get needsProof(): boolean {
    return this.#parts.farTrustedUntil !== undefined;
  }

  /** An entry as `near` stores it: it lives no longer than `nearTtl`. */
  limited(entry: Entry): Entry {
    const until = this.#parts.clock.now() + this.#parts.nearTtlMs;
    return entry.expiresAt <= until ? entry : { ...entry, expiresAt: until, deadAt: until };
  }

  // ---- changes meanwhile

  /**
   * Registers a guard before anything is sent: it is fenced by changes of this process, and tainted by reported ones.
   */
  watch(backendKey: string): Guard {
    const guard = new Guard();
    this.#guards.add(backendKey, guard);
    return guard;
  }

  unwatch(guard: Guard): void {
    this.#guards.remove(guard);
  }

  /** Whether the key has not changed since the guard was registered. */
  isUntainted(guard: Guard): boolean {
    return guard.fencedBy === undefined && this.#guards.isUntainted(guard);
  }

  /** A change by this process has settled: entries that were read before may be older. */
  fence(backendKey: string): void {
    this.#guards.fence(backendKey, "set");
    if (this.needsProof) this.#overtake(backendKey, { isOwn: true });
  }

  // ---- when a copy may be served

  answersAlone(backendKey: string, copy: Entry): boolean {
    const { farTrustedUntil, clock } = this.#parts;
    if (farTrustedUntil === undefined) return !this.#overtaken.has(backendKey);
    const known = this.#known.get(backendKey);
    return (
      known !== undefined &&
      known.epoch === this.#trust.epoch &&
      isSameCopy(copy, known) &&
      clock.now() < farTrustedUntil()
    );
  }

  /** Whether it may be served as fallback while `far` does not answer. */
  canServeOnError(backendKey: string, copy: Entry): boolean {
    const known = this.#known.get(backendKey);
    if (known !== undefined) return isSameCopy(copy, known);
    return (
      !this.#overtaken.has(backendKey) &&
      (this.#forgottenAt === -Infinity || copy.staleAt - copy.ttlMs > this.#forgottenAt)
    );
  }

  /** The version of a copy. Where `near` keeps no versions, the version known for the key. */
  versionOf(backendKey: string, copy: Entry): string | undefined {
    return copy.version ?? this.#known.get(backendKey)?.version;
  }

  // ---- changes of its state

  /** `far` held the same write while `guard` was registered. */
  prove(guard: Guard, copy: NearCopy): void {
    if (this.isUntainted(guard)) this.#remember(guard.tableKey, copy, guard.epoch);
  }

  /** `near` has stored it, and `far` has not answered yet. */
  arrived(guard: Guard, copy: NearCopy): void {
    if (this.isUntainted(guard)) this.#remember(guard.tableKey, copy, EPOCH_NONE);
  }

  /** `near` has stored it. @param matchesFar whether `far` held it or took it while `guard` was registered. */
  written(guard: Guard, copy: NearCopy, { matchesFar }: { readonly matchesFar: boolean }): void {
    if (guard.fencedBy !== undefined) return;
    if (!guard.isTainted) return this.#remember(guard.tableKey, copy, matchesFar ? guard.epoch : EPOCH_NONE);
    this.overtake(guard.tableKey);
    this.#check(guard.tableKey, copy);
  }

  /** `near` and `far` hold different writes. */
  overtake(backendKey: string): void {
    this.#overtake(backendKey, { isOwn: this.#isOwn(backendKey) });
  }

  /** `near` reported that its copy has gone, or was replaced. */
  replaced(backendKey: string): void {
    if (this.#overtaken.get(backendKey)?.isOwn === false) this.#overtaken.delete(backendKey);
  }

  /** `far` reported that the key changed, or may have. */
  changed(backendKey: string): void {
    this.#guards.taint(backendKey);
    const known = this.#known.get(backendKey);
    this.overtake(backendKey);
    // A change by this process that is under way decides about the copy when it ends.
    if (known !== undefined && !this.#parts.changes.has(backendKey)) this.#check(backendKey, known);
  }

  /** Anything in `far` may have changed, or a message was missed: each copy must be proven again. */
  everythingChanged(): void {
    this.#trust.renew();
  }

  /** Resolves when no background removal is left. Never rejects. */
  async settled(): Promise<void> {
    while (this.#checks.size !== 0) await Promise.all(this.#checks);
  }

  stop(): void {
    this.#isStopped = true;
  }

  #remember(backendKey: string, { key, version }: NearCopy, epoch: number): void {
    const isOwn = this.#isOwn(backendKey);
    this.#overtaken.delete(backendKey);
    if (!this.needsProof) return;
    this.#known.delete(backendKey);
    this.#known.set(backendKey, { key, version, epoch, isOwn });
    if (this.#known.size <= MAX_KNOWN) return;
    const [oldest, forgotten] = this.#known.entries().next().value!;
    this.#known.delete(oldest);
    if (forgotten.isOwn) this.#overtake(oldest, { isOwn: true });
  }

  #overtake(backendKey: string, { isOwn }: Pick<KnownCopy, "isOwn">): void {
    this.#known.delete(backendKey);
    this.#overtaken.delete(backendKey);
    this.#overtaken.set(backendKey, { overtakenAt: this.#parts.clock.now(), isOwn });
    if (this.#overtaken.size <= MAX_OVERTAKEN) return;
    const [oldest, { overtakenAt }] = this.#overtaken.entries().next().value!;
    this.#overtaken.delete(oldest);
    this.#forgottenAt = overtakenAt;
  }

  #isOwn(backendKey: string): boolean {
    return (this.#known.get(backendKey) ?? this.#overtaken.get(backendKey))?.isOwn ?? false;
  }

  /** When too many checks wait already, the copy stays in `near`. It is not served until it ends or is replaced. */
  #check(backendKey: string, copy: NearCopy): void {
    if (this.#isStopped || this.#checks.size >= MAX_CHECKS) return;
    const check: Promise<void> = this.#removeUnlessSame(backendKey, copy)
      .catch(ignore)
      .then(() => void this.#checks.delete(check));
    this.#checks.add(check);
  }

  /** Rejects where a side does not answer, which its tier has reported. Then the copy stays overtaken. */
  async #removeUnlessSame(backendKey: string, copy: NearCopy): Promise<void> {
    const { near, changes } = this.#parts;
    await this.#checking.take();
    try {
      for (;;) {
        if (this.#isStopped) return;
        const guard = this.watch(backendKey);
        const isSame = await this.#isInFar(copy).finally(() => this.unwatch(guard));
        if (!isSame) break;
        if (this.isUntainted(guard)) return this.prove(guard, copy);
        // The key has changed meanwhile: ask again.
      }
      await changes.run(backendKey, async () => {
        // By now near may hold another copy.
        if (this.#known.has(backendKey)) return;
        await near.remove(copy.key);
        this.replaced(backendKey);
      });
    } finally {
      this.#checking.free();
    }
  }

  async #isInFar({ key, version }: NearCopy): Promise<boolean> {
    const { leases } = this.#parts.far;
    return leases !== undefined && namesOneWrite(version) && (await leases.confirm(key)) === version;
  }
}

/** Whether a version names one write. The version of an entry that another program wrote names none. */
export const namesOneWrite = (version: string | undefined): version is string =>
  version !== undefined && version.length > 1;

/** A backend without leases keeps no versions: there the last known copy is assumed to be the stored one. */
const isSameCopy = (copy: Entry, known: KnownCopy): boolean =>
  copy.version === undefined || copy.version === known.version;

const EPOCH_NONE = -1;
/** About 20 MB at most. */
const MAX_KNOWN = 100_000;
const MAX_OVERTAKEN = 10_000;
const MAX_CHECKS = 10_000;
const MAX_CONCURRENT_CHECKS = 100;
const ignore = (): void => undefined;
