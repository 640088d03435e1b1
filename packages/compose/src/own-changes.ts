import type { Clock } from "@hotset/core";

/** The last change of a key that this process made. */
export interface Change {
  /** The copy that it leaves in `near`; `undefined` if it leaves none. */
  id: string | undefined;
  running: number;
  /** The number of its last step. */
  sequence: number;
  until: number;
}

/**
 * The changes of entries that this process makes. After a change, `near` must not bring back an entry from before.
 *
 * Nothing that was read before a change has ended is copied to `near`. Another process that shares `near` may still do
 * so, and late; its copy expires. Until then the only copy of the key that is served is the one that this
 * process wrote.
 *
 * Bounded: the oldest change is forgotten, and then `nearTtl` alone bounds a late copy of another process.
 */
export class OwnChanges {
  readonly #clock: Clock;
  readonly #rememberedMs: number;
  readonly #changes = new Map<string, Change>();
  #sequence = 0;
  /** The last step of the changes that are forgotten. */
  #forgotten = 0;

  /** @param rememberedMs how long after a change a copy from before may be in `near`. */
  constructor(clock: Clock, rememberedMs: number) {
    this.#clock = clock;
    this.#rememberedMs = rememberedMs;
  }

  /** Numbers the steps of all changes: for {@link mayCopy}, read before an entry is asked for. */
  get sequence(): number {
    return this.#sequence;
  }

  begin(key: string, id: string | undefined): Change {
    const change = this.#changes.get(key) ?? { id, running: 0, sequence: 0, until: 0 };
    change.id = id;
    change.running += 1;
    this.#step(key, change);
    return change;
  }

  end(key: string, change: Change): void {
    change.running -= 1;
    this.#step(key, this.#changes.get(key) ?? change);
  }

  /** Whether this copy in `near` cannot be older than a change by this process. */
  mayServe(key: string, id: string): boolean {
    const change = this.#last(key);
    return change === undefined || change.id === id;
  }

  /**
   * Whether an entry cannot be older than a change by this process.
   *
   * @param since `sequence` when it was asked for.
   * @param mayLag it may be older than what was acknowledged by then.
   */
  mayCopy(key: string, id: string, since: number, mayLag: boolean): boolean {
    const change = this.#changes.get(key);
    if (change === undefined) return this.#forgotten <= since;
    if (change.running > 0 || change.sequence > since) return false;
    return !mayLag || this.mayServe(key, id);
  }

  /** Notes that a copy in `near` is not older than the last change. */
  copied(key: string, id: string): void {
    const change = this.#last(key);
    if (change !== undefined) change.id = id;
  }

  /** Unless it is so long ago that no copy from before it is left. */
  #last(key: string): Change | undefined {
    const change = this.#changes.get(key);
    return change === undefined || (change.running === 0 && change.until <= this.#clock.now()) ? undefined : change;
  }

  #step(key: string, change: Change): void {
    change.sequence = this.#sequence += 1;
    change.until = this.#clock.now() + this.#rememberedMs;
    this.#changes.delete(key);
    this.#changes.set(key, change);
    if (this.#changes.size <= MAX_CHANGES) return;
    const [oldest, { sequence }] = this.#changes.entries().next().value!;
    this.#changes.delete(oldest);
    this.#forgotten = sequence;
  }
}

const MAX_CHANGES = 10_000;
