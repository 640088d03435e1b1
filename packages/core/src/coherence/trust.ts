/**
 * Whether local copies may be served without asking the backend: a deadline, not an event. A process that was frozen,
 * or whose link is silent, finds the deadline passed before any message arrives.
 *
 * If no backend reports changes, copies are trusted for as long as `localTtl` lets them live.
 */
export class Trust {
  /** Incremented whenever changes may have been missed: a copy of an older epoch is confirmed before it is served. */
  epoch = 0;
  /** `clock.now()` from which no copy is served unconfirmed. */
  until: number = Infinity;
  readonly #sources: TrustSource[] = [];
  /** The bound of the strictest source, in milliseconds. */
  #maxStalenessMs = Infinity;

  /** Whether a backend reports changes; copies are then trusted only while it does. */
  get hasSources(): boolean {
    return this.#sources.length !== 0;
  }

  /**
   * The epoch of a copy that is not confirmed yet: none if a backend reports changes, since it can confirm the copy.
   */
  get unconfirmed(): number {
    return this.hasSources ? EPOCH_NONE : this.epoch;
  }

  /** Adds a backend that reports changes. @param maxStalenessMs how long its last sign of life counts. */
  addSource(maxStalenessMs: number): TrustSource {
    const source = new TrustSource(this, maxStalenessMs);
    this.#sources.push(source);
    this.#maxStalenessMs = Math.min(this.#maxStalenessMs, maxStalenessMs);
    this.update();
    return source;
  }

  /**
   * Whether a call at `now` may join a read begun at `beganAt`: it may miss at most `maxStalenessMs` of changes, like a
   * local copy.
   */
  mayShare(beganAt: number, now: number): boolean {
    return now < this.until || now - beganAt < this.#maxStalenessMs;
  }

  /** All present copies have to be confirmed: one counter, no walk over them. */
  renew(): void {
    this.epoch += 1;
  }

  /** Recomputes `until`: the deadline of the source whose last sign of life is the oldest. */
  update(): void {
    this.until = this.#sources.reduce((until, source) => Math.min(until, source.until), Infinity);
  }
}

/** The epoch of a copy that no other process can change: its namespace never leaves this one. */
export const EPOCH_ALWAYS: number = Infinity;
const EPOCH_NONE = -1;

/** One backend that reports changes. */
export class TrustSource {
  readonly #trust: Trust;
  readonly #maxStalenessMs: number;
  #isAttached = false;
  #provenAt = -Infinity;

  constructor(trust: Trust, maxStalenessMs: number) {
    this.#trust = trust;
    this.#maxStalenessMs = maxStalenessMs;
  }

  get until(): number {
    return this.#isAttached ? this.#provenAt + this.#maxStalenessMs : -Infinity;
  }

  /**
   * All changes acknowledged before `sentAtMs` were reported. Trust counts from when the ping was sent: later changes
   * may still be on their way.
   */
  alive(sentAtMs: number): void {
    if (sentAtMs <= this.#provenAt) return;
    this.#provenAt = sentAtMs;
    this.#trust.update();
  }

  attached(): void {
    this.#isAttached = true;
    this.#trust.renew();
    this.#trust.update();
  }

  lost(): void {
    this.#isAttached = false;
    this.#provenAt = -Infinity;
    this.#trust.renew();
    this.#trust.update();
  }
}
