import type { Guard } from "../coherence/guards.ts";
import type { Epoch } from "../coherence/parts.ts";
import { lastEpoch, type CopyTrust } from "../coherence/trust.ts";
import type { FencedBy } from "../contracts/events.ts";
import { KeyTable } from "../primitives/key-table.ts";
import { Flight } from "./flight.ts";

/** Everything in flight, by local key. Nothing is kept for idle keys. */
export class Flights {
  readonly #guards = new KeyTable<Guard>();
  readonly #trust: CopyTrust;

  constructor(trust: CopyTrust) {
    this.#trust = trust;
  }

  /** How many there are, of all keys. */
  get size(): number {
    return this.#guards.size;
  }

  has(localKey: string): boolean {
    return this.#guards.first(localKey) !== undefined;
  }

  /** Registers a guard. Called before anything is sent, so that no change is missed in between. */
  add(localKey: string, guard: Guard): void {
    guard.begin(this.#trust.epochOf(localKey));
    this.#guards.add(localKey, guard);
  }

  remove(guard: Guard): void {
    this.#guards.remove(guard);
  }

  /**
   * The flight that a call made at `now` may join. Once the link is known to be lost no change can arrive: then the age
   * of a flight that did not reach the backend does not count.
   */
  joinable(localKey: string, now: number): Flight | undefined {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each))
      if (
        each instanceof Flight &&
        each.isJoinable &&
        (each.call.namespace.remote === undefined ||
          (each.climb.isUnreachable && this.#trust.epochOf(localKey).until === -Infinity) ||
          (lastEpoch(each.epoch!, localKey) === this.#trust.epochOf(localKey) &&
            this.#trust.mayShare(localKey, each.hasCopy ? -Infinity : each.readAt, now)))
      )
        return each;
    return undefined;
  }

  /** Whether its result is current in the backend, as far as this process was notified. */
  isUntainted({ epoch, tableKey: key, isTainted }: Guard): boolean {
    const now = this.#trust.epochOf(key);
    return !isTainted && (epoch === now || lastEpoch(epoch!, key) === now);
  }

  /** The epoch of a copy of its result: the copy is trusted immediately, or must be confirmed first. */
  copyEpoch(guard: Guard): Epoch {
    if (this.isUntainted(guard)) return guard.epoch!;
    return guard.isTainted ? this.#trust.doubted : this.#trust.unconfirmed;
  }

  /** The key changed elsewhere, or may have. */
  taint(localKey: string, version: string | undefined): void {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each))
      each.taint(version);
  }

  /** Whether another flight of this process has callers that may get what this one stores: they wait for its lease. */
  isWaitedFor(flight: Flight): boolean {
    if (flight.climb.lease === undefined || flight.fencedBy !== undefined) return false;
    for (const each of this.#of(flight.key.local))
      if (each !== flight && each.isAwaited && !each.hasBegunToLoad) return true;
    return false;
  }

  /** The flights of this key whose callers have all left by their signals. */
  abandoned(localKey: string): readonly Flight[] {
    return [...this.#of(localKey)].filter((each) => each.crowd.isAbandoned && each.climb.loaded === undefined);
  }

  *#of(localKey: string): Iterable<Flight> {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each))
      if (each instanceof Flight) yield each;
  }

  /** Flights that wait for a load elsewhere ask the backend again. */
  wake(localKey: string): void {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each))
      if (each instanceof Flight) each.wake();
  }

  /** The lease of the key changed, and the entry did not. */
  leaseChanged(localKey: string, order: "loose" | "exact" | "renewed"): void {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each))
      if (each instanceof Flight) each.leaseChanged(order);
  }

  /** Whether a lease on this key is being asked for, or held and renewed. */
  isLeasing(localKey: string): boolean {
    for (const each of this.#of(localKey))
      if (each.phase === "leasing" || (each.phase === "loading" && each.climb.lease !== undefined)) return true;
    return false;
  }

  /** Fenced flights of this key let other processes load. */
  releaseFenced(localKey: string): void {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each))
      if (each instanceof Flight && each.fencedBy !== undefined) each.climb.lease?.release();
  }

  /** Fences everything in flight for this key: no caller joins it any more, and its results are not stored. */
  fence(localKey: string, by: FencedBy): void {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each)) each.fence(by);
  }

  /** Fences reads and loads in flight, which may have older results than a write that was just acknowledged. */
  fenceReads(localKey: string, by: FencedBy): void {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each))
      if (!each.isWrite) each.fence(by);
  }

  /** Fences all that is in flight for this key but `write` and the writes that were called after it. */
  fenceBefore(localKey: string, write: Guard, by: FencedBy): void {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each))
      if (!each.isWrite || each.serial < write.serial) each.fence(by);
  }

  /** Fences loads that began before the one that was just stored, and outdates reads. */
  fenceOlder(localKey: string, stored: Flight): void {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each)) {
      outdate(each);
      if (!(each instanceof Flight) || each.serial >= stored.serial) continue;
      if (each.hasBegunToLoad) each.fence("set");
      each.dropFallback();
    }
  }

  /** Outdates reads in flight after a store or a removal: their answers may be older, and become no copies. */
  outdateReads(localKey: string): void {
    for (let each = this.#guards.first(localKey); each !== undefined; each = this.#guards.after(each)) outdate(each);
  }

  /** Keeps later callers from joining a load that began before `by`. */
  supersede(localKey: string, by: Flight): void {
    for (const each of this.#of(localKey)) if (each !== by) each.supersede();
  }

  *all(): Iterable<Flight> {
    for (const each of [...this.#guards]) if (each instanceof Flight) yield each;
  }
}

/** A write stays: those of one key are sent in turn. */
function outdate(each: Guard): void {
  if (each.isWrite) return;
  if (!(each instanceof Flight)) each.fence("set");
  else if (each.phase === "reading") each.taint();
}
