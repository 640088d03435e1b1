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
 * Bounded: a forgotten tag counts as called, so forgetting costs misses and never serves a stale value.
 */
export class TagEvents {
  /** The number of the last event. */
  sequence = 0;
  #floor = 0;
  readonly #hard = new Map<string, number>();
  readonly #soft = new Map<string, number>();
  /** By namespace, the last call there: flights from before it are not joined. */
  readonly #byNamespace = new Map<string, number>();
  /** As `#byNamespace`, for changes by others. */
  readonly #changedByNamespace = new Map<string, number>();
  #changedFloor = 0;

  /** Records a call on these tag keys of one namespace: once when it is made, and again when it is acknowledged. */
  called(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft"): void {
    this.sequence += 1;
    for (const key of keys) remember(mode === "hard" ? this.#hard : this.#soft, key, this.sequence);
    remember(this.#byNamespace, keySpace.tagPrefixes.at(-1)!, this.sequence);
    this.#bound();
  }

  /**
   * Records that these tags changed elsewhere, or may have: copies are checked again, and earlier flights are not
   * joined.
   */
  changed(keys: readonly string[]): void {
    this.sequence += 1;
    for (const key of keys) remember(this.#changedByNamespace, key.slice(0, key.indexOf("::") + 2), this.sequence);
    if (this.#changedByNamespace.size > MAX_REMEMBERED) {
      this.#changedByNamespace.clear();
      this.#changedFloor = this.sequence;
    }
  }

  /** Known versions were forgotten: copies are checked again. */
  forgotten(): void {
    this.sequence += 1;
  }

  /**
   * Applies the calls of this process since `entry.tagSequence` to `entry`: unchanged, stale, or `undefined`. Changes
   * by others are found by comparing versions.
   */
  applyTo(entry: Entry, now: number): Entry | undefined {
    if (entry.tagSequence === this.sequence) return entry;
    if (this.wasInvalidated(entry.dependsOn, entry.tagSequence)) return undefined;
    return this.#since(this.#soft, entry.dependsOn, entry.tagSequence) ? staleByTag(entry, now) : entry;
  }

  /** Whether one of these keys was invalidated, or may have been, after call number `since`. */
  wasInvalidated(keys: readonly string[], since: number): boolean {
    return since < this.#floor || this.#since(this.#hard, keys, since);
  }

  /** Whether one of these keys was invalidated or marked stale, or may have been, after call number `since`. */
  wasCalled(keys: readonly string[], since: number): boolean {
    return this.wasInvalidated(keys, since) || this.#since(this.#soft, keys, since);
  }

  /**
   * Whether there was a tag call in this namespace or above it after event number `calledSince`, or a change by others
   * after event number `changedSince`.
   */
  hasEvents(keySpace: KeySpace, calledSince: number, changedSince: number): boolean {
    return (
      (calledSince !== this.sequence &&
        (calledSince < this.#floor || this.#since(this.#byNamespace, keySpace.tagPrefixes, calledSince))) ||
      (changedSince !== this.sequence &&
        (changedSince < this.#changedFloor ||
          this.#since(this.#changedByNamespace, keySpace.tagPrefixes, changedSince)))
    );
  }

  #since(calls: ReadonlyMap<string, number>, keys: readonly string[], since: number): boolean {
    return keys.some((key) => (calls.get(key) ?? 0) > since);
  }

  #bound(): void {
    if (this.#hard.size + this.#soft.size + this.#byNamespace.size > MAX_REMEMBERED) this.#forget();
  }

  #forget(): void {
    this.#floor = this.sequence;
    this.#hard.clear();
    this.#soft.clear();
    this.#byNamespace.clear();
  }
}

const MAX_REMEMBERED = 10_000;

function remember(calls: Map<string, number>, key: string, sequence: number): void {
  calls.set(key, sequence);
}
