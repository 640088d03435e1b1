import type { KeyedQueue } from "../primitives/keyed-queue.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryTier } from "../tiers/entry-tier.ts";
import { Flights, Guard } from "../engine/flights.ts";
import type { EntryKey } from "../entry/key.ts";
import { Semaphore } from "../primitives/semaphore.ts";
import { Trust } from "../coherence/trust.ts";

/** A copy in `near`. Without a version it cannot be told from another one of its key. */
export interface NearCopy {
  readonly key: EntryKey;
  readonly version: string | undefined;
}

interface Known extends NearCopy {
  /** When it was last known to be what `far` holds; {@link NEVER} if not. */
  readonly epoch: number;
  /** Whether this process has changed the key: what it replaced or removed must not stand in for it. */
  readonly isOwn: boolean;
}

export interface NearCopiesOf {
  readonly near: EntryTier;
  readonly far: EntryTier;
  /** Changes of this process, by key. */
  readonly changes: KeyedQueue;
  readonly clock: Clock;
  /** `clock.now()` until which all that was changed in `far` has been heard of; `undefined` where not all of it is. */
  readonly farHeardUntil: (() => number) | undefined;
}

/**
 * What this process knows of the copies in `near`, which others may change, and others let stand when `far` changes.
 *
 *     unknown ──far holds the same write──▶ proven ──far changed, or may have──▶ overtaken ──replaced, or removed──▶ unknown
 *
 * A copy answers alone while it is proven: `far` held that very write, and whatever has changed there since has been
 * heard of. Any other is held against `far` first; where that does not answer it stands in, unless it is overtaken, or
 * may be older than a change of this process. So it does not matter who else writes to `near`, or when that arrives.
 * Where not all of `far` is heard, nothing can be proven: copies answer for as long as `nearTtl` lets them live, unless
 * they are overtaken.
 *
 * What is proven and heard to have changed is removed from `near`, behind. `far` is asked first whether it holds that
 * very write, since own writes are heard like any other; if so the copy stays, and is proven.
 *
 * Bounded: a copy that is forgotten is proven again. Where too much is overtaken to be remembered, what was loaded before
 * does not stand in any more.
 */
export class NearCopies {
  readonly #of: NearCopiesOf;
  readonly #trust = new Trust();
  readonly #guards = new Flights(this.#trust);
  readonly #known = new Map<string, Known>();
  /** The latest last. */
  readonly #overtaken = new Map<string, { readonly at: number; readonly isOwn: boolean }>();
  /** What was loaded before may be overtaken, and nobody remembers. */
  #forgottenAt = -Infinity;
  readonly #checks = new Set<Promise<void>>();
  readonly #checking = new Semaphore(AT_ONCE);
  #isStopped = false;

  constructor(of: NearCopiesOf) {
    this.#of = of;
  }

  /** Whether copies can be proven, and so have to be. */
  get isProving(): boolean {
    return this.#of.farHeardUntil !== undefined;
  }

  // ---- what happens meanwhile

  /** Registered before anything is sent: whatever is heard or done about the key, the guard is told. */
  watch(id: string): Guard {
    const guard = new Guard();
    this.#guards.add(id, guard);
    return guard;
  }

  unwatch(guard: Guard): void {
    this.#guards.remove(guard);
  }

  /** Whether nothing has happened to the key since. */
  isUntainted(guard: Guard): boolean {
    return guard.fencedBy === undefined && this.#guards.isUntainted(guard);
  }

  /** A change by this process was acknowledged, or given up: what was read before may be older. */
  fence(id: string): void {
    this.#guards.fence(id, "set");
    if (this.isProving) this.#overtake(id, true);
  }

  // ---- what a copy is good for

  answersAlone(id: string, copy: Entry): boolean {
    const { farHeardUntil, clock } = this.#of;
    if (farHeardUntil === undefined) return !this.#overtaken.has(id);
    const known = this.#known.get(id);
    return (
      known !== undefined && known.epoch === this.#trust.epoch && isThat(copy, known) && clock.now() < farHeardUntil()
    );
  }

  /** Whether it may be served while `far` does not answer. */
  canServeOnError(id: string, copy: Entry): boolean {
    const known = this.#known.get(id);
    if (known !== undefined) return isThat(copy, known);
    return (
      !this.#overtaken.has(id) && (this.#forgottenAt === -Infinity || copy.staleAt - copy.ttlMs > this.#forgottenAt)
    );
  }

  /** The version of a copy, also where `near` keeps none. */
  versionOf(id: string, copy: Entry): string | undefined {
    return copy.version ?? this.#known.get(id)?.version;
  }

  // ---- what is learnt of it

  /** `far` held the same write while `guard` watched. */
  prove(guard: Guard, copy: NearCopy): void {
    if (this.isUntainted(guard)) this.#remember(guard.tableKey, copy, guard.epoch);
  }

  /** `near` has taken it, and `far` has not answered yet. */
  arrived(guard: Guard, copy: NearCopy): void {
    if (this.isUntainted(guard)) this.#remember(guard.tableKey, copy, NEVER);
  }

  /** `near` has taken it. @param isFars whether it is what `far` held or was given while `guard` watched. */
  written(guard: Guard, copy: NearCopy, isFars: boolean): void {
    if (guard.fencedBy !== undefined) return;
    if (!guard.isTainted) return this.#remember(guard.tableKey, copy, isFars ? guard.epoch : NEVER);
    this.overtake(guard.tableKey);
    this.#check(guard.tableKey, copy);
  }

  /** What `near` holds is not what `far` holds. */
  overtake(id: string): void {
    this.#overtake(id, this.#isOwn(id));
  }

  /** It was heard that what `near` held has gone, or was replaced. */
  replaced(id: string): void {
    if (this.#overtaken.get(id)?.isOwn === false) this.#overtaken.delete(id);
  }

  /** It was heard that `far` changed, or may have. */
  changed(id: string): void {
    this.#guards.taint(id);
    const known = this.#known.get(id);
    this.overtake(id);
    // A change of this process that is under way sees to it when it ends.
    if (known !== undefined && !this.#of.changes.has(id)) this.#check(id, known);
  }

  /** Anything in `far` may have changed, or its change been missed: each copy is proven anew. */
  everythingChanged(): void {
    this.#trust.renew();
  }

  /** Resolves when nothing is removed behind any more. Never rejects. */
  async settled(): Promise<void> {
    while (this.#checks.size !== 0) await Promise.all(this.#checks);
  }

  stop(): void {
    this.#isStopped = true;
  }

  #remember(id: string, { key, version }: NearCopy, epoch: number): void {
    const isOwn = this.#isOwn(id);
    this.#overtaken.delete(id);
    if (!this.isProving) return;
    this.#known.delete(id);
    this.#known.set(id, { key, version, epoch, isOwn });
    if (this.#known.size <= MAX_KNOWN) return;
    const [oldest, forgotten] = this.#known.entries().next().value!;
    this.#known.delete(oldest);
    if (forgotten.isOwn) this.#overtake(oldest, true);
  }

  #overtake(id: string, isOwn: boolean): void {
    this.#known.delete(id);
    this.#overtaken.delete(id);
    this.#overtaken.set(id, { at: this.#of.clock.now(), isOwn });
    if (this.#overtaken.size <= MAX_OVERTAKEN) return;
    const [oldest, { at }] = this.#overtaken.entries().next().value!;
    this.#overtaken.delete(oldest);
    this.#forgottenAt = at;
  }

  #isOwn(id: string): boolean {
    return (this.#known.get(id) ?? this.#overtaken.get(id))?.isOwn ?? false;
  }

  /** Where too many wait already the copy stays where it is: it answers nobody, until it ends or is replaced. */
  #check(id: string, copy: NearCopy): void {
    if (this.#isStopped || this.#checks.size >= MAX_CHECKS) return;
    const check: Promise<void> = this.#removeUnlessSame(id, copy)
      .catch(ignore)
      .then(() => void this.#checks.delete(check));
    this.#checks.add(check);
  }

  /** Rejects where a side does not answer, which was reported: then the copy stays overtaken. */
  async #removeUnlessSame(id: string, copy: NearCopy): Promise<void> {
    const { near, changes } = this.#of;
    const { key } = copy;
    await this.#checking.take();
    try {
      for (;;) {
        if (this.#isStopped) return;
        const guard = this.watch(id);
        const isSame = await this.#isInFar(copy).finally(() => this.unwatch(guard));
        if (!isSame) break;
        if (this.isUntainted(guard)) return this.prove(guard, copy);
        // Something has happened to it meanwhile.
      }
      await changes.run(id, async () => {
        // By now there may be another one.
        if (this.#known.has(id)) return;
        await near.remove(key);
        this.replaced(id);
      });
    } finally {
      this.#checking.free();
    }
  }

  async #isInFar({ key, version }: NearCopy): Promise<boolean> {
    const { leases } = this.#of.far;
    return leases !== undefined && isTelling(version) && (await leases.confirm(key)) === version;
  }
}

/** Whether a version names one write: that of an entry that another program wrote names none. */
export const isTelling = (version: string | undefined): version is string =>
  version !== undefined && version.length > 1;

/** A backend without leases keeps no versions: what it holds is what was last known to be there. */
const isThat = (copy: Entry, known: Known): boolean => copy.version === undefined || copy.version === known.version;

const NEVER = -1;
/** About 20 MB at most. */
const MAX_KNOWN = 100_000;
const MAX_OVERTAKEN = 10_000;
const MAX_CHECKS = 10_000;
const AT_ONCE = 100;
const ignore = (): void => undefined;
