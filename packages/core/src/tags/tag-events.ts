import type { Entry } from "../entry/entry.ts";
import { staleByTag } from "../entry/freshness.ts";
import type { KeySpace } from "../entry/key.ts";

/**
 * The tag calls of this process and the tag changes reported by others, numbered.
 *
 * A local copy is checked against them: it is dropped when one of its tags was invalidated after its last check, and
 * stale when one was marked stale. While no event has happened since, the check is one comparison. `clear` is a call on
 * the version of a namespace, which every entry below depends on.
 *
 * Bounded: a forgotten call counts as one on every tag, so forgetting costs misses and never serves a stale value.
 * Before calls are forgotten, copies are checked against them: so these cost no copy of another tag.
 */
export class TagEvents {
  /** The number of the last event. */
  sequence = 0;
  /** Checks all copies against the calls until now. */
  checkCopies: (() => void) | undefined;
  #checkedAt = 0;
  readonly #hard = new LastEvents();
  readonly #soft = new LastEvents();
  /** By namespace, the last call there: flights from before it are not joined. */
  readonly #byNamespace = new LastEvents();
  /** By tag key, the last call that was made, however late it was acknowledged. */
  readonly #made = new LastEvents();
  /** By namespace, the last change by others. */
  readonly #changedByNamespace = new LastEvents();
  /** By tag key, the last change that was reported: by others, or by this process, where own changes are reported. */
  readonly #changed = new LastEvents();

  /** Records a call on these tag keys of one namespace that is made now. */
  called(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft"): void {
    this.acknowledged(keySpace, keys, mode);
    for (const key of keys) this.#made.add(key, this.sequence);
  }

  /** Notes that the backend acknowledged a call noted by {@link called}: a read or load since then may be older. */
  acknowledged(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft"): void {
    const calls = mode === "hard" ? this.#hard : this.#soft;
    this.#makeRoom(calls, keys.length);
    this.sequence += 1;
    for (const key of keys) calls.add(key, this.sequence);
    this.#byNamespace.add(keySpace.tagPrefixes.at(-1)!, this.sequence);
  }

  /** Checks copies before events are forgotten for so many more keys. */
  #makeRoom(events: LastEvents, more: number): void {
    // All keys of one call have one number: copies are checked up to the call before it.
    // Loads that were under way then have stored copies since that were not checked.
    if (events.forgetsFor(more) > this.#checkedAt - 2_000) {
      this.checkCopies?.();
      this.#checkedAt = this.sequence;
    }
    events.makeRoomFor(more);
  }

  /** Notes tags that were reported as changed: copies are checked again, no earlier flight is joined. */
  changed(keys: readonly string[]): void {
    this.#makeRoom(this.#changed, keys.length);
    this.sequence += 1;
    for (const key of keys) {
      this.#changed.add(key, this.sequence);
      this.#changedByNamespace.add(key.slice(0, key.indexOf("::") + 2), this.sequence);
    }
  }

  /** Known versions were forgotten: copies are checked again. */
  forgotten(): void {
    this.sequence += 1;
    this.#changed.doubt(this.sequence);
  }

  /**
   * Applies the calls of this process since `entry.tagSequence` to `entry`: unchanged, stale, or `undefined`. Changes
   * by others are found by comparing versions.
   */
  applyTo(entry: Entry, now: number): Entry | undefined {
    if (entry.tagSequence === this.sequence) return entry;
    if (this.wasInvalidated(entry.terms.dependsOn, entry.tagSequence)) return undefined;
    if (!this.#soft.hasSince(entry.terms.dependsOn, entry.tagSequence)) return entry;
    return staleByTag(entry, now);
  }

  /** Whether one of these keys was invalidated, or may have been, after call number `since`. */
  wasInvalidated(keys: readonly string[], since: number): boolean {
    return this.#hard.hasSince(keys, since);
  }

  /** Whether one of these keys was invalidated or marked stale, or may have been, after call number `since`. */
  wasCalled(keys: readonly string[], since: number): boolean {
    return this.wasInvalidated(keys, since) || this.#soft.hasSince(keys, since);
  }

  /** Whether a call was made after `since`. Unlike in {@link wasCalled}, late acknowledgements do not count. */
  wasMade(keys: readonly string[], since: number): boolean {
    return this.#made.hasSince(keys, since);
  }

  /** {@link wasCalled}, or whether others changed, or may have changed, one of these keys after `changedSince`. */
  hadEvents(keys: readonly string[], calledSince: number, changedSince: number): boolean {
    return (
      this.wasCalled(keys, calledSince) || (changedSince < this.sequence && this.#changed.hasSince(keys, changedSince))
    );
  }

  /** Whether a change of this key was reported after event number `since`; forgotten versions alone do not count. */
  wasReported(key: string, since: number): boolean {
    return since < this.sequence && this.#changed.wasAddedSince(key, since);
  }

  /** Whether others changed any tag of this namespace, or above it, after event `since`. */
  hadChanges(keySpace: KeySpace, since: number): boolean {
    return since < this.sequence && this.#changedByNamespace.hasSince(keySpace.tagPrefixes, since);
  }

  /** Whether one called tags in or above a namespace after event `calledSince`, or others after `changedSince`. */
  hasEvents(keySpace: KeySpace, calledSince: number, changedSince: number): boolean {
    return (
      (calledSince !== this.sequence && this.#byNamespace.hasSince(keySpace.tagPrefixes, calledSince)) ||
      this.hadChanges(keySpace, changedSince)
    );
  }
}

const MAX_REMEMBERED = 10_000;

/** For each key the number of its last event, the oldest first. Beyond the bound, the oldest tenth is forgotten. */
class LastEvents {
  readonly #numbers = new Map<string, number>();
  /** The number of the last forgotten event. */
  #floor = 0;
  /** Until this number there may have been events of any key. */
  #doubtedUntil = 0;

  add(key: string, number: number): void {
    this.#numbers.delete(key);
    this.#numbers.set(key, number);
    this.makeRoomFor(0);
  }

  /** Whether one of these keys had an event after number `since`, or may have had one that is forgotten. */
  hasSince(keys: readonly string[], since: number): boolean {
    if (since < this.#floor || since < this.#doubtedUntil) return true;
    // Asked eight times for each load: no closure.
    for (const key of keys) if ((this.#numbers.get(key) ?? 0) > since) return true;
    return false;
  }

  /** The last event that is to be forgotten for so many more keys. */
  forgetsFor(more: number): number {
    const size = this.#numbers.size + more;
    if (size <= MAX_REMEMBERED) return -Infinity;
    return [...this.#numbers.values()].slice(0, size - 0.9 * MAX_REMEMBERED).at(-1) ?? this.#floor;
  }

  /** As {@link hasSince}, of events that were added: those that each key may have had do not count. */
  wasAddedSince(key: string, since: number): boolean {
    return since < this.#floor || (this.#numbers.get(key) ?? 0) > since;
  }

  /** From now on each key may have had an event of this number. */
  doubt(number: number): void {
    this.#doubtedUntil = number;
  }

  makeRoomFor(more: number): void {
    if (this.#numbers.size + more <= MAX_REMEMBERED) return;
    for (const [key, number] of this.#numbers) {
      if (this.#numbers.size + more <= 0.9 * MAX_REMEMBERED) return;
      this.#numbers.delete(key);
      this.#floor = number;
    }
  }
}
